"""The rules for roles that take setpoints: tokens, and what is realised of what was commanded."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Device, Setpoint
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.testing._checks import Check, quiet, shows
from pnnlab.testing._life import raising
from pnnlab.testing._nearest import assert_nearest
from pnnlab.testing._trouble import TroubleRules

__all__ = ["OutputRules"]

D = TypeVar("D", bound=Device)
Values = npt.NDArray[np.floating]
Realised = npt.NDArray[np.number]


class OutputRules(TroubleRules[D]):
    """What a device does with its setpoints."""

    @abstractmethod
    def send(self, device: D, quantity: str, values: Values) -> Setpoint:
        """Write a setpoint of a quantity."""

    @abstractmethod
    def setpoint_shape(self, device: D, quantity: str) -> tuple[int, ...]:
        """Return the shape of one setpoint."""

    @abstractmethod
    def output_quantities(self, device: D) -> tuple[str, ...]:
        """Return the quantities that setpoints are made of."""

    def realised(self, device: D, quantity: str, values: Values) -> Realised:
        """Return what is made of values of shape `(n,)`, shape `(n, k)`, by elements that share their steps."""
        shape = self.setpoint_shape(device, quantity)
        size = int(np.prod(shape))
        found = []
        for start in range(0, len(values), size):
            part = values[start : start + size]
            padded = np.concatenate([part, np.full(size - len(part), part[-1])])
            self.let_slew(device, quantity)
            found.append(self.send(device, quantity, padded.reshape(shape)).realised.ravel()[: len(part)])
        return np.concatenate(found)[:, None]

    def told(self, device: D, quantity: str, sent: object) -> npt.NDArray[np.number]:
        """See `TroubleRules.told`."""
        assert isinstance(sent, Setpoint)
        return sent.realised

    def senders(self, like: D) -> Mapping[str, Callable[[D, float], object]]:
        """See `Subject.senders`."""

        def sender(quantity: str) -> Callable[[D, float], object]:
            shape = self.setpoint_shape(like, quantity)
            return lambda device, value: self.send(device, quantity, np.full(shape, value))

        return {quantity: sender(quantity) for quantity in self.output_quantities(like)}

    @quiet
    def test_opening_writes_nothing(self) -> None:
        device = self.make(clock=self.clock())
        with pytest.MonkeyPatch.context() as patch:
            for hook in self.hooks:
                patch.setattr(device, hook, lambda *_, hook=hook, **__: pytest.fail(f"opening called {hook}()"))
            device.open()
        device.close()

    @shows(Check.REALISED)
    def test_commanded_is_what_was_asked_for(self, device: D) -> None:
        for quantity in self.output_quantities(device):
            values = self._inner(device, quantity)
            asked = values.copy()
            before_s = device.clock.now_s()
            setpoint = self.send(device, quantity, values)
            np.testing.assert_array_equal(values, asked, f"{device.name}: the caller's array was changed")
            np.testing.assert_array_equal(setpoint.commanded, asked)
            assert setpoint.realised.shape == asked.shape
            assert before_s <= setpoint.time_s <= device.clock.now_s()

    @shows(Check.REALISED)
    def test_realised_is_the_nearest_to_commanded(self, device: D) -> None:
        for quantity in self.output_quantities(device):
            low, high = self.limits_of(device, quantity)
            assert_nearest(partial(self.realised, device, quantity), low, high, f"{device.name}: {quantity}")

    @shows(Check.REALISED)
    def test_realised_is_realised_again_as_it_is(self, device: D) -> None:
        for quantity in self.output_quantities(device):
            low, high = self.limits_of(device, quantity)
            once = self.send(device, quantity, self._inner(device, quantity)).realised
            # half a step beyond a limit of the bench is realised, and cannot be asked for
            legal = (once >= low) & (once <= high)
            assert legal.any(), f"{device.name}: no {quantity} within the limits is realised within them"
            asked: Values = np.where(legal, once, once[legal][0]).astype(np.float64)
            self.let_slew(device, quantity)
            again = self.send(device, quantity, asked).realised
            np.testing.assert_array_equal(again, asked, f"{device.name}: realised {quantity} moves when written again")

    def test_tokens_count_every_setpoint_once(self) -> None:
        device = self.make(clock=self.clock())
        following = None
        for _ in range(2):
            with device:
                for quantity in self.output_quantities(device) * 2:
                    values = self._inner(device, quantity)
                    self.let_slew(device, quantity)
                    with pytest.raises(SetpointError):
                        self.send(device, quantity, np.full_like(values, np.nan))
                    tokens = self.send(device, quantity, values).tokens
                    assert len(tokens) == 1
                    assert following in (None, tokens.start), f"token {following} is due, {tokens.start} came"
                    following = tokens.stop

    @shows(Check.SAFE)
    def test_after_a_fault_closing_makes_the_outputs_safe(self) -> None:
        for quantity in self.held_quantities():
            device = self.make(clock=self.clock()).open()
            try:
                device.make_safe()
                safe = np.array(self.instrument_has(device, quantity))
                device.resume()
                self.let_slew(device, quantity)
                values = self._inner(device, quantity)
                self.send(device, quantity, values)
                self.let_slew(device, quantity)
                with pytest.MonkeyPatch.context() as patch, pytest.raises(DeviceError):
                    for hook in self.hooks:
                        patch.setattr(device, hook, raising(RuntimeError))
                    self.send(device, quantity, values)
            finally:
                device.close()
            self.assert_account(device, quantity, safe)

    def held_quantities(self) -> tuple[str, ...]:
        """Return the quantities whose outputs have a safe state."""
        with self.make(clock=self.clock()) as device:
            return self.output_quantities(device)

    def _inner(self, device: D, quantity: str) -> Values:
        """Return one setpoint with different values away from the ends of the range."""
        low, high = self.limits_of(device, quantity)
        shape = self.setpoint_shape(device, quantity)
        fractions = np.linspace(0.1, 0.9, int(np.prod(shape))).reshape(shape)
        values: Values = low + (high - low) * fractions
        return values
