"""Drivers that lie about themselves: identity, settings, limits."""

from collections.abc import Mapping
from typing import Unpack

import numpy as np

from pnnlab.devices import Identity, Limits, RealClock, SettingValue
from pnnlab.testing import DeviceArguments
from tests.testing.broken import broken
from tests.testing.memory_devices import MemoryAdc, MemoryCamera, MemoryCrossbar, MemoryDac, MemorySlm, Numbers


@broken("test_another_instrument_is_refused_and_let_go", "DID NOT RAISE")
class TrustingSlm(MemorySlm):
    def __init__(self, name: str, **arguments: Unpack[DeviceArguments]) -> None:
        arguments.pop("expected", None)
        super().__init__(name, **arguments)


@broken("test_the_identity_is_told", "tells nothing about itself")
class AnonymousAdc(MemoryAdc):
    def _identify(self) -> Identity:
        return Identity("", "", "")


@broken("test_the_identity_is_told", "spaces at an end")
class UntrimmedDac(MemoryDac):
    def _identify(self) -> Identity:
        return Identity("ACME", "DAC", "0012\n")


@broken("test_the_identity_is_told", "not made of texts")
class NumberedDac(MemoryDac):
    def _identify(self) -> Identity:
        return Identity("ACME", "DAC", 12)  # type: ignore[arg-type]


@broken("test_it_uses_the_clock_it_was_given", "RealClock object")
class OwnTimeCamera(MemoryCamera):
    def __init__(self, name: str, **arguments: Unpack[DeviceArguments]) -> None:
        arguments["clock"] = RealClock()
        super().__init__(name, **arguments)


@broken("test_settings_are_json", "not JSON serializable")
class ArraySettingsSlm(MemorySlm):
    def _settings(self) -> dict[str, SettingValue]:
        return {"lut": np.zeros(3)}  # type: ignore[dict-item]


@broken("test_settings_are_json", "Out of range float")
class NanSettingsDac(MemoryDac):
    def _settings(self) -> dict[str, SettingValue]:
        return {"offset_v": float("nan")}


@broken("test_settings_are_in_si_units_and_say_so", "is in ms")
class MillisecondsCamera(MemoryCamera):
    def _settings(self) -> dict[str, SettingValue]:
        return {"exposure_ms": 2}


@broken("test_settings_are_in_si_units_and_say_so", "has no unit")
class UnitlessCamera(MemoryCamera):
    def _settings(self) -> dict[str, SettingValue]:
        return {"exposure": 2e-3}


@broken("test_settings_are_in_si_units_and_say_so", "no_name_like_this")
class VendorKeysCamera(MemoryCamera):
    def _settings(self) -> dict[str, SettingValue]:
        return {"ExposureTime": 2}


@broken("test_the_expected_instrument_is_taken", "another instrument answered")
class ChangingAdc(MemoryAdc):
    asked = [0]  # noqa: RUF012 (shared by all instances on purpose: the number is the instrument's)

    def _identify(self) -> Identity:
        self.asked[0] += 1
        return Identity("pnnlab tests", "adc", str(self.asked[0]))


@broken("test_every_quantity_of_the_role_has_finite_limits", "must tell a finite range")
class BoundlessDac(MemoryDac):
    def _hard_limits(self) -> Mapping[str, Limits]:
        return {}


@broken("test_every_quantity_of_the_role_has_finite_limits", "limits of voltage")
class BurningCrossbar(MemoryCrossbar):
    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"conductance": Limits(1e-6, 1e-4)}


@broken("test_narrower_limits_of_the_bench_are_kept", "pass `limits` on")
class UnlimitedSlm(MemorySlm):
    def __init__(self, name: str, **arguments: Unpack[DeviceArguments]) -> None:
        arguments.pop("limits", None)
        super().__init__(name, **arguments)


@broken("test_wider_limits_of_the_bench_open_nothing", "assert (-5.0 <= -14.9")
class ObedientDac(MemoryDac):
    def _joined_limits(self) -> dict[str, Limits]:
        return {**self._hard_limits(), **self._bench_limits}


@broken("test_limits_that_leave_nothing_are_refused_at_opening", "DID NOT RAISE")
class ContradictoryCamera(MemoryCamera):
    def _joined_limits(self) -> dict[str, Limits]:
        hard = self._hard_limits()
        return {name: limits.intersect(self._bench_limits.get(name, limits)) for name, limits in hard.items()}


@broken("test_values_up_to_the_limits_are_accepted", "failed with OverflowError")
class WrappingSlm(MemorySlm):
    def _write(self, levels: Numbers) -> None:
        if levels.max() >= self.levels - 1:
            raise OverflowError("level")


@broken("test_what_is_outside_the_limits_is_refused", "SetpointError is due")
class UncheckedSlm(MemorySlm):
    def _check(self, levels: Numbers, shape: tuple[int, ...]) -> None:
        pass


@broken("test_what_does_not_fit_is_refused", "a pattern with a row too many")
class ShapelessSlm(UncheckedSlm):
    pass
