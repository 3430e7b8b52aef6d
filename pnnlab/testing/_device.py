"""The rules for every device: who it is, what it is set to, what it is allowed."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Final, TypeVar

import numpy as np
import pytest

from pnnlab.devices import Device, ExpectedIdentity, Identity, Limits, State
from pnnlab.errors import IdentityError, SetpointError
from pnnlab.testing._checks import Check, does_not_apply, quiet, shows
from pnnlab.testing._life import LifeRules
from pnnlab.testing._subject import Call, assert_state
from pnnlab.testing._trouble import TroubleRules

__all__ = ["DeviceConformance"]

D = TypeVar("D", bound=Device)

_GUARDS: Final = (
    "_arm", "_call", "_check", "_joined_limits", "_next_tokens", "_outputs_moved", "_release", "_require",
    "_require_free", "_require_trigger", "_standing_v",
)  # fmt: skip
"""What keeps the public calls safe; not final for Python, and not for a driver to touch."""

_UNITS: Final = frozenset({"a", "hz", "j", "k", "kelvin", "kg", "m", "ohm", "pa", "rad", "s", "siemens", "v", "w"})
_COUNTED: Final = frozenset({"bits", "counts", "electron", "electrons", "levels", "lsb", "photons", "px", "samples"})
_NOT_SI: Final = frozenset({
    "celsius", "cm", "deg", "degc", "ghz", "h", "khz", "kv", "ma", "mhz", "min", "mm", "ms", "mv", "mw", "na", "nm",
    "ns", "nw", "ps", "ua", "um", "us", "uv", "uw",
})  # fmt: skip


class DeviceConformance(LifeRules[D], TroubleRules[D]):
    """What every device keeps, whatever its role.

    A driver's test is a subclass of its role's conformance whose name begins with `Test` and which says how a device
    is made:

    ```python
    class TestOurSlm(SpatialLightModulatorConformance[OurSlm]):
        def make(self, **arguments: Unpack[DeviceArguments]) -> OurSlm:
            return OurSlm("slm", **arguments)
    ```

    On real hardware, and over a real protocol, `clock` returns a `RealClock`, and `make` adds limits that the bench can
    stand: the kit writes values from all of the range that the limits leave. Every device that `make` returns is
    the same instrument at the same address. `peer` names what it talks to, and the hooks of `Mishaps` let
    things go wrong there: what they leave out is told as "not shown: needs the device".
    """

    @quiet
    def test_it_uses_the_clock_it_was_given(self) -> None:
        clock = self.clock()
        assert self.make(clock=clock).clock is clock

    @quiet
    def test_no_guard_is_overridden(self) -> None:
        device = type(self.make(clock=self.clock()))
        found = {name: getattr(device, name) for name in _GUARDS if hasattr(device, name)}
        touched = [name for name, guard in found.items() if not guard.__module__.startswith("pnnlab.devices.")]
        assert not touched, f"{device.__name__} overrides {', '.join(touched)}, which keep its calls safe"

    @quiet
    @shows(Check.IDENTITY)
    def test_the_identity_is_told(self, device: D) -> None:
        identity = device.identity
        values = [getattr(identity, entry.name) for entry in fields(Identity)]
        assert all(isinstance(value, str) for value in values), f"{device.name}: {identity} is not made of texts"
        assert any(values), f"{device.name}: tells nothing about itself"
        assert values == [value.strip() for value in values], f"{device.name}: {identity} has spaces at an end"

    @quiet
    @shows(Check.IDENTITY)
    @pytest.mark.parametrize("entry", [entry.name for entry in fields(Identity)])
    def test_another_instrument_is_refused_and_let_go(self, entry: str) -> None:
        found = self._identity()
        other = ExpectedIdentity.model_validate({entry: getattr(found, entry) + "-other"})
        device = self.make(clock=self.clock(), expected=other)
        with _counted(device, "_close") as closings, pytest.raises(IdentityError):
            device.open()
        assert closings == ["_close"], f"{device.name}: the wrong instrument was not let go"
        assert_state(device, State.CLOSED)
        with self.make(clock=self.clock()) as again:
            assert again.identity == found

    @quiet
    @shows(Check.IDENTITY)
    def test_the_expected_instrument_is_taken(self) -> None:
        found = self._identity()
        expected = ExpectedIdentity(
            vendor=found.vendor, model=found.model, serial=found.serial, firmware=found.firmware
        )
        with self.make(clock=self.clock(), expected=expected) as device:
            assert device.identity == found

    @quiet
    def test_settings_are_json(self, device: D) -> None:
        settings = device.settings()
        assert json.loads(json.dumps(settings, allow_nan=False)) == settings
        assert settings.keys() == device.settings().keys(), f"{device.name}: settings come and go"

    @quiet
    def test_settings_are_in_si_units_and_say_so(self, device: D) -> None:
        for key, value in device.settings().items():
            assert key.isidentifier() and key == key.lower(), f"{device.name}: setting {key!r} is no_name_like_this"
            unit = key.rpartition("_")[2]
            assert unit not in _NOT_SI, f"{device.name}: setting {key} is in {unit}; write it in its SI unit"
            numbers = value if isinstance(value, list) else [value]
            if any(isinstance(number, float) for number in numbers) and key not in self.dimensionless_settings:
                assert unit in _UNITS | _COUNTED, (
                    f"{device.name}: setting {key} is a number whose name has no unit; "
                    f"end it in one of _{', _'.join(sorted(_UNITS))}, or name it in dimensionless_settings"
                )

    @quiet
    @shows(Check.LIMITS)
    def test_every_quantity_of_the_role_has_finite_limits(self, device: D) -> None:
        self._skip_without_quantities(device)
        for quantity in self.senders(device):
            assert quantity in device.quantities, f"{device.name}: {quantity} is missing in {type(device)}.quantities"
            self.limits_of(device, quantity)

    @shows(Check.LIMITS)
    def test_values_up_to_the_limits_are_accepted(self, device: D) -> None:
        self._skip_without_quantities(device)
        for quantity, send in self.senders(device).items():
            low, high = self.limits_of(device, quantity)
            for value in (low, (low + high) / 2, high):
                self.let_slew(device, quantity)
                send(device, value)

    @shows(Check.LIMITS)
    @pytest.mark.parametrize("value", ["nan", "inf", "-inf", "just below", "just above", "far below", "far above"])
    def test_what_is_outside_the_limits_is_refused(self, device: D, value: str) -> None:
        self._skip_without_quantities(device)
        for quantity, send in self.senders(device).items():
            number = _outside(value, *self.limits_of(device, quantity))
            self.assert_refused(device, f"{quantity} {number:g}", _sending(send, number), SetpointError)
            self.let_slew(device, quantity)
            send(device, self.idle(device, quantity))

    @shows(Check.LIMITS)
    def test_narrower_limits_of_the_bench_are_kept(self) -> None:
        for quantity, (low, high) in self._ranges().items():
            third = (high - low) / 3
            narrow = Limits(low + third, high - third)
            with self.make(clock=self.clock(), limits={quantity: narrow}) as device:
                found = device.limits(quantity)
                assert (found.low, found.high) == (narrow.low, narrow.high), (
                    f"{device.name}: the bench allows {quantity} {narrow.low:g} to {narrow.high:g}, "
                    f"in force is {found.low:g} to {found.high:g}; pass `limits` on to the constructor"
                )
                send = self.senders(device)[quantity]
                send(device, (narrow.low + narrow.high) / 2)
                for value in (low, np.nextafter(narrow.low, -math.inf), np.nextafter(narrow.high, math.inf), high):
                    what = f"{quantity} {value:g}, which the bench does not allow,"
                    self.assert_refused(device, what, _sending(send, float(value)), SetpointError)

    @quiet
    @shows(Check.LIMITS)
    def test_wider_limits_of_the_bench_open_nothing(self) -> None:
        for quantity, (low, high) in self._ranges().items():
            wide = Limits(low - (high - low), high + (high - low))
            with self.make(clock=self.clock(), limits={quantity: wide}) as device:
                hard = device._hard_limits()
                found = device.limits(quantity)
                assert quantity in hard, f"{device.name}: _hard_limits() says nothing about {quantity}"
                assert hard[quantity].low <= found.low and found.high <= hard[quantity].high

    @quiet
    @shows(Check.LIMITS)
    def test_limits_that_leave_nothing_are_refused_at_opening(self) -> None:
        for quantity in self._ranges():
            with self.make(clock=self.clock()) as device:
                top = device._hard_limits().get(quantity, device.limits(quantity)).high
            device = self.make(clock=self.clock(), limits={quantity: Limits(top + 1, top + 2)})
            with _counted(device, "_close") as closings, pytest.raises(SetpointError):
                device.open()
            assert closings == ["_close"], f"{device.name}: was not let go after its limits were refused"
            assert_state(device, State.CLOSED)
            with self.make(clock=self.clock()):
                pass  # and it can be opened by others

    @quiet
    @shows(Check.LIMITS)
    def test_what_does_not_fit_is_refused(self, device: D) -> None:
        for what, call in self.misfits(device).items():
            self.assert_refused(device, what, call, SetpointError)

    def _identity(self) -> Identity:
        with self.make(clock=self.clock()) as device:
            return device.identity

    def _ranges(self) -> dict[str, tuple[float, float]]:
        with self.make(clock=self.clock()) as device:
            self._skip_without_quantities(device)
            return {quantity: self.limits_of(device, quantity) for quantity in self.senders(device)}

    def _skip_without_quantities(self, device: D) -> None:
        if not self.senders(device):
            does_not_apply("no quantity of its role can be limited")


def _sending(send: Callable[[D, float], object], value: float) -> Call[D]:
    return lambda device: send(device, value)


def _outside(value: str, low: float, high: float) -> float:
    """Return a number outside the limits: not finite, at the next float, or by the whole range."""
    table = {
        "just below": math.nextafter(low, -math.inf), "just above": math.nextafter(high, math.inf),
        "far below": low - (high - low), "far above": high + (high - low),
    }  # fmt: skip
    return table[value] if value in table else float(value)


@contextmanager
def _counted(device: Device, hook: str) -> Iterator[list[str]]:
    """Give a list that grows by the hook's name with each of its calls."""
    calls: list[str] = []
    real = getattr(device, hook)

    def told() -> None:
        calls.append(hook)
        real()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, hook, told)
        yield calls
