"""The rules for when something goes wrong: what is told, how soon, and whether the device can be used again."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Device, State
from pnnlab.errors import AcquisitionError, DeviceError, LeaseError, SetpointError
from pnnlab.testing._checks import Check, does_not_apply, quiet, shows
from pnnlab.testing._subject import Call, Subject, assert_state

__all__ = ["TroubleRules"]

D = TypeVar("D", bound=Device)


class TroubleRules(Subject[D]):
    """Silent, unplugged, taken by another, or gullible: what a driver makes of it."""

    @shows(Check.TIMEOUT)
    def test_an_instrument_that_does_not_answer_is_told_in_time(self) -> None:
        self._assert_told(self.silent, "does not answer")

    @shows(Check.UNPLUGGED)
    def test_an_instrument_that_is_gone_is_told_in_time(self) -> None:
        self._assert_told(self.unplugged, "is unplugged")

    @shows(Check.UNPLUGGED, Check.REOPENS)
    def test_an_instrument_that_is_plugged_in_again_opens_again(self) -> None:
        device = self.make(clock=self.clock()).open()
        try:
            calls = self._asking(device)
            with self.unplugged(device):
                for call in calls.values():
                    with suppress(DeviceError):
                        call(device)
                        device.disarm()
                _end(device)
            for name, call in calls.items():
                with device:
                    call(device)
                    device.disarm()
                    assert_state(device, State.OPEN, f"after {name}")
        finally:
            _end(device)

    @quiet
    @shows(Check.SECOND_CLIENT)
    def test_a_second_client_is_refused_before_a_byte_is_sent(self, device: D) -> None:
        if type(device).needs_plant:
            does_not_apply("nobody else can reach a simulated device")
        if not device._claims():
            pytest.fail(f"{device.name}: anybody may open it a second time; tell in _claims() what opening takes")
        second = self.make(clock=self.clock())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(second, "_open", lambda: pytest.fail("the second client reached _open()"))
            with pytest.raises(LeaseError):
                second.open()
        assert_state(second, State.CLOSED)
        device.settings()
        assert_state(device, State.OPEN)

    @shows(Check.ACCEPTED)
    def test_what_a_gullible_instrument_would_take_is_refused(self, device: D) -> None:
        self._skip_without_senders(device)
        with self.gullible(device):
            for quantity, send in self.senders(device).items():
                self.let_slew(device, quantity)
                send(device, self.idle(device, quantity))
                before = np.array(self.instrument_has(device, quantity))
                low, high = self.limits_of(device, quantity)
                for value in (high + 10 * (high - low), low - 10 * (high - low)):
                    with pytest.raises(SetpointError):
                        send(device, value)
                after = self.instrument_has(device, quantity)
                np.testing.assert_array_equal(after, before, f"{device.name}: {value:g} reached the instrument")

    @shows(Check.ACCEPTED)
    def test_what_the_instrument_really_does_is_told(self, device: D) -> None:
        self._skip_without_senders(device)
        with self.gullible(device):
            for quantity, send in self.senders(device).items():
                for value in self.limits_of(device, quantity):
                    self.let_slew(device, quantity)
                    try:
                        told = self.told(device, quantity, send(device, value))
                    except DeviceError:
                        return  # noticed, and told as a fault
                    self.assert_account(device, quantity, told)

    def told(self, device: D, quantity: str, sent: object) -> npt.NDArray[np.number]:
        """Return what a device says is in force of a quantity, after what its sender returned."""
        raise NotImplementedError(f"{type(self).__name__} has senders and no told()")

    def assert_account(self, device: D, quantity: str, expected: npt.NDArray[np.number]) -> None:
        """Assert that the instrument's own account of a quantity agrees with another one."""
        low, high = self.limits_of(device, quantity)
        found = np.broadcast_to(self.instrument_has(device, quantity), expected.shape)
        error = self.account_error.get(quantity, 1e-6 * (high - low))
        far = float(np.abs(found.astype(np.float64) - expected).max())
        assert far <= error, (
            f"{device.name}: {quantity} is {far:g} away from what was told, allowed is {error:g}: "
            f"the instrument has {found.ravel()[:8]}, told was {expected.ravel()[:8]}"
        )

    def _assert_told(self, mishap: Callable[[D], AbstractContextManager[object]], what: str) -> None:
        """Assert that calls fail in time while something is wrong, as does opening, and that all is well afterwards."""
        with self.make(clock=self.clock()) as example:
            calls = self._asking(example)
        noticed = []
        for name, call in calls.items():
            device = self.make(clock=self.clock()).open()
            try:
                with mishap(device):
                    if self._fails_in_time(device, name, call, what):
                        noticed.append(name)
            finally:
                _end(device)
        assert noticed, f"{device.name}: {', '.join(calls)} work although the instrument {what}"
        with mishap(device):
            opened = not self._fails_in_time(device, "opening", lambda device: device.open(), what)
            _end(device)
        assert not opened, f"{device.name}: opens although the instrument {what}"
        with device:
            for call in calls.values():
                call(device)
                device.disarm()

    def _fails_in_time(self, device: D, name: str, call: Call[D], what: str) -> bool:
        """Return whether a call fails; it must end in time either way."""
        begin_s = time.monotonic()
        failed = False
        try:
            call(device)
        except AcquisitionError:
            failed = True  # only a reading is missing: the device may be asked again
        except DeviceError:
            failed = True
            if name != "opening":
                assert_state(device, State.FAULT, f"after {name} of an instrument that {what}")
        took_s = time.monotonic() - begin_s
        assert took_s <= self.silence_s, (
            f"{device.name}: {name} took {took_s:.1f} s of an instrument that {what}, allowed is {self.silence_s:g} s"
        )
        return failed

    def _asking(self, device: D) -> Mapping[str, Call[D]]:
        return {**self.calls(device), "settings": lambda device: device.settings()}

    def _skip_without_senders(self, device: D) -> None:
        if not self.senders(device):
            does_not_apply("no quantity of its role can be set")


def _end(device: Device) -> None:
    """Close a device that may be unable to say good-bye."""
    with suppress(DeviceError):
        device.close()
    assert_state(device, State.CLOSED)
