"""Drivers with one defect each; the decorator names the rule of the kit that must find it, and what it must say.

pytest does not collect this file by itself: `test_broken_devices.py` runs the named rules on it.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar, Unpack

import numpy as np

from pnnlab.devices import (
    Device,
    Identity,
    Limits,
    RealClock,
    RegionOfInterest,
    SettingValue,
    Stamps,
    Trigger,
)
from pnnlab.testing import (
    ADCConformance,
    CameraConformance,
    CrossbarArrayConformance,
    DACConformance,
    DeviceArguments,
    SpatialLightModulatorConformance,
)
from tests.testing.memory_devices import (
    Floats,
    MemoryAdc,
    MemoryCamera,
    MemoryCrossbar,
    MemoryDac,
    MemoryDevice,
    MemorySlm,
    Numbers,
    Steps,
)

RULES: dict[str, tuple[str, str]] = {}
"""Name of the test class to the rule that must fail on it, and a piece of what it must say."""

M = TypeVar("M", bound=type[MemoryDevice])

SUITES: Mapping[type[MemoryDevice], type] = {
    MemorySlm: SpatialLightModulatorConformance,
    MemoryCamera: CameraConformance,
    MemoryDac: DACConformance,
    MemoryAdc: ADCConformance,
    MemoryCrossbar: CrossbarArrayConformance,
}


def broken(rule: str, says: str) -> Callable[[M], M]:
    """Make a test class of the conformance kit for a broken driver."""

    def register(driver: M) -> M:
        suite = next(SUITES[base] for base in driver.__mro__ if base in SUITES)

        def make(self: object, **arguments: Unpack[DeviceArguments]) -> Device:
            return driver("device", **arguments)

        def pulse(self: object, device: MemoryDevice) -> None:
            device.edge()

        name = f"Test{driver.__name__}"
        # None in its place hides an inherited rule from pytest: only the one in question is run
        others = {other: None for other in dir(suite) if other.startswith("test_") and other != rule}
        globals()[name] = type(name, (suite,), {**others, "make": make, "pulse": pulse, "__module__": __name__})
        RULES[name] = (rule, says)
        return driver

    return register


# Life


@broken("test_a_closed_device_opens_again", "different identities")
class ForgetfulDac(MemoryDac):
    opened = 0

    def _identify(self) -> Identity:
        self.opened += 1
        return Identity("pnnlab tests", "dac", str(self.opened))


@broken("test_a_closed_device_opens_again", "the handle is used up")
class OneLifeDac(MemoryDac):
    used = False

    def _open(self) -> None:
        if self.used:
            raise OSError("the handle is used up")
        self.used = True
        super()._open()


@broken("test_opening_writes_nothing", "opening called _write")
class EagerSlm(MemorySlm):
    def _open(self) -> None:
        super()._open()
        self._write(np.zeros(self.shape, self.dtype))


@broken("test_an_error_inside_the_context_leaves_it_safe_and_closed", "[]")
class FairWeatherCamera(MemoryCamera):
    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.close()


@broken("test_making_safe_ends_an_armed_run", "cannot end a run")
class EndlessAdc(MemoryAdc):
    def _disarm(self) -> None:
        raise self._unable("end a run")


@broken("test_before_opening_every_call_is_refused", "write of a device that is closed reached _write()")
class ShamelessDac(MemoryDac):
    def _require(self, *states: object) -> None:
        pass


@broken("test_no_guard_is_overridden", "overrides _require")
class UnguardedDac(ShamelessDac):
    pass


@broken("test_a_hook_that_fails_puts_the_device_into_fault", "DID NOT RAISE")
class SwallowingCrossbar(MemoryCrossbar):
    def _call(self, hook: Callable[..., object], *args: object, **kwargs: object) -> object:  # type: ignore[override]
        try:
            return hook(*args, **kwargs)
        except Exception:
            return None


@broken("test_a_half_done_opening_lets_go", "due is _close only")
class ClingingCamera(MemoryCamera):
    def _release(self) -> None:
        if self._identity is not None:
            super()._release()


@broken("test_closing_makes_safe_and_lets_go_once", "_make_safe")
class HastyDac(MemoryDac):
    def _close(self) -> None:
        self._make_safe()


# Identity and settings


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


# Limits


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


# Setpoints


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class FlooringDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        realised: Floats = np.floor(volts / self.lsb_v + 1e-9) * self.lsb_v
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class OneFlooringChannelDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        realised = super()._realise(volts)
        realised[..., -1] = np.floor(volts[..., -1] / self.lsb_v + 1e-9) * self.lsb_v
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "its steps are")
class ClippingDac(MemoryDac):
    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-100.0, 100.0)}

    def _realise(self, volts: Floats) -> Floats:
        return super()._realise(np.clip(volts, -5.0, 5.0 - self.lsb_v))


@broken("test_realised_is_the_nearest_to_commanded", "is made of every value")
class DeafSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return np.zeros(levels.shape, self.dtype)


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class OffsetSlm(MemorySlm):
    dtype = np.dtype(np.float64)

    def _realise(self, levels: Numbers) -> Numbers:
        return levels * 0.99


@broken("test_realised_is_the_nearest_to_commanded", "conductance")
class CeilingCrossbar(MemoryCrossbar):
    def _realise(self, siemens: Floats) -> Floats:
        realised: Floats = self.levels_siemens[np.searchsorted(self.levels_siemens, siemens * (1 - 1e-12))]
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "voltage")
class FlooringRowsCrossbar(MemoryCrossbar):
    def _realise_voltage(self, volts: Floats) -> Floats:
        realised: Floats = np.floor(volts / self.step_v) * self.step_v
        return realised


@broken("test_shown_levels_are_of_the_hardware_type_and_nearest", "<= 0.5")
class TruncatingSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return levels.astype(self.dtype)


@broken("test_shown_levels_are_of_the_hardware_type_and_nearest", "dtype('float64') == dtype('uint8')")
class FloatSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return np.rint(levels)


@broken("test_realised_is_realised_again_as_it_is", "moves when written again")
class CalibratedDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        return super()._realise(volts) + 0.6 * self.lsb_v


@broken("test_commanded_is_what_was_asked_for", "the caller's array was changed")
class InPlaceDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        np.rint(volts / self.lsb_v, out=volts)
        volts *= self.lsb_v
        return volts


@broken("test_tokens_count_every_setpoint_once", "is due")
class TokenlessCrossbar(MemoryCrossbar):
    def _next_tokens(self, count: int) -> range:
        return range(count)


@broken("test_tokens_count_every_setpoint_once", "is due")
class RestartingSlm(MemorySlm):
    def _open(self) -> None:
        super()._open()
        self._tokens = 0


# Runs


@broken("test_what_it_cannot_be_triggered_by_is_refused", "no trigger input")
class BoastingCamera(MemoryCamera):
    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> None:
        if trigger is Trigger.HARDWARE:
            raise RuntimeError("this model has no trigger input")
        super()._arm_frames(n, trigger, delay_s)


@broken("test_a_run_that_was_not_started_is_not_done", "wait() returned")
class EagerWaitingAdc(MemoryAdc):
    def _wait(self, timeout_s: float) -> None:
        pass


@broken("test_a_run_that_was_not_started_is_not_done", "with a timeout of")
class StubbornSlm(MemorySlm):
    def _wait(self, timeout_s: float) -> None:
        super()._wait(60.0)


class GreedySteps(Steps):
    """One step makes all of them."""

    def step(self) -> None:
        for _ in range(self.n):
            super().step()


@broken("test_a_run_waits_for_each_of_its_triggers", "2 of 3 triggers came")
class GreedySlm(MemorySlm):
    def _begin(self, n: int, trigger: Trigger, step_s: float) -> None:
        self.steps = GreedySteps(self.clock, n, trigger, step_s)


@broken("test_a_run_waits_for_each_of_its_triggers", "triggers came")
class DeafToSoftwareDac(MemoryDac):
    def _start(self) -> None:
        super()._start()
        self.steps.step()


@broken("test_an_abandoned_run_leaves_nothing_behind", "was abandoned")
class UndeadDac(MemoryDac):
    def _begin(self, n: int, trigger: Trigger, step_s: float) -> None:
        if not hasattr(self, "steps") or self.steps.trigger is not trigger:
            super()._begin(n, trigger, step_s)

    def _disarm(self) -> None:
        self._waveform = None


@broken("test_a_run_ends_when_all_steps_are_done_and_can_be_armed_again", "armed before")
class OneRunAdc(MemoryAdc):
    runs = 0

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> None:
        self.runs += 1
        if self.runs > 1:
            raise RuntimeError("armed before")
        super()._arm_records(n, n_samples, rate_hz, trigger)


# Readings


@broken("test_readings_lie_in_the_buffer_of_the_caller", "left the buffer as it was")
class LazyCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        return super()._read(out.copy(), timeout_s)


@broken("test_readings_lie_in_the_buffer_of_the_caller", "wrote rows that were not asked for")
class OverrunningCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        if isinstance(out.base, np.ndarray):
            out.base[...] = out[0]
        return stamps


@broken("test_readings_have_their_shape_and_type", "start times")
class ShortCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, stamps.start_s[:-1], stamps.duration_s, stamps.counter_modulus)


@broken("test_readings_have_their_shape_and_type", "counters")
class MiscountingCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters[:-1], stamps.start_s, stamps.duration_s, stamps.counter_modulus)


@broken("test_readings_have_their_shape_and_type", "isfinite")
class GappyAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        out[-1, -1] = np.nan
        return stamps


@broken("test_the_counter_and_the_stamps_run_on", "1 readings were lost")
class DroppingCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        self.counter += 1
        return stamps


@broken("test_the_counter_and_the_stamps_run_on", "repeated")
class StutteringCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(0 * stamps.counters, stamps.start_s, stamps.duration_s)


@broken("test_the_counter_and_the_stamps_run_on", "overlap")
class OverlappingAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, stamps.start_s, 10.0)


@broken("test_the_counter_and_the_stamps_run_on", "readings began at")
class BackwardsAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, -stamps.start_s, stamps.duration_s)


@broken("test_stamps_are_bench_time", "by the bench's clock")
class OwnTicksCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, stamps.start_s + 1e6, stamps.duration_s, stamps.counter_modulus)


@broken("test_waiting_means_that_all_is_collected", "<= (0.003 + 0.001)")
class HalfWaitingCamera(MemoryCamera):
    def _wait(self, timeout_s: float) -> None:
        self.steps.wait(1, timeout_s)


@broken("test_before_the_start_there_is_nothing_to_read", "nothing had triggered")
class NeverLateAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        out[...] = 0
        return Stamps(np.empty(0, np.int64), np.arange(len(out), dtype=np.float64), 1e-3)


@broken("test_before_the_start_there_is_nothing_to_read", "with a timeout of")
class PatientCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        return super()._read(out, max(timeout_s, 10.0))


@broken("test_each_trigger_gives_one_reading", "nothing had triggered")
class BurstCamera(MemoryCamera):
    def _begin(self, n: int, trigger: Trigger, step_s: float) -> None:
        self.steps = GreedySteps(self.clock, n, trigger, step_s)


@broken("test_readings_of_an_abandoned_run_do_not_come_back", "came in a run that was armed at")
class StaleCamera(MemoryCamera):
    def _disarm(self) -> None:
        self._left = self.steps.starts_s[self.taken :]

    def _start(self) -> None:
        super()._start()
        self.steps.starts_s = [*getattr(self, "_left", []), *self.steps.starts_s][: self.steps.n]


# Camera


@broken("test_counts_are_right_justified", "10 bits reach 1023")
class LeftJustifiedCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        out *= 2**6
        out += 2**15
        return stamps


@broken("test_its_facts_agree", "do not fit uint8")
class NarrowCamera(MemoryCamera):
    dtype = np.dtype(np.uint8)


@broken("test_a_frame_collects_for_the_exposure", "0.001 == 0.002")
class WrongDurationCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, stamps.start_s, self.exposure_s / 2, stamps.counter_modulus)


@broken("test_the_exposure_in_force_stays_when_it_is_asked_for", "asked again")
class CreepingCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi)
        self.exposure_s += self.step_s


@broken("test_the_exposure_in_force_stays_when_it_is_asked_for", "longer exposures gave")
class FixedExposureCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(2e-3, roi)


@broken("test_configure_leaves_what_it_is_not_told", "assert RegionOfInter")
class ForgettingRegionCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi or RegionOfInterest(0, 0, *self.sensor_shape))


@broken("test_the_whole_sensor_can_be_read", "assert RegionOfInter")
class CroppingCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi and RegionOfInterest(roi.top, roi.left, min(roi.height, 4), roi.width))


@broken("test_frames_have_the_shape_of_the_region_in_force", "asked again")
class MovingRegionCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi and RegionOfInterest(min(roi.top + 1, 3), roi.left, roi.height, roi.width))


@broken("test_what_does_not_fit_is_refused", "changed exposure")
class RestlessCamera(MemoryCamera):
    @property
    def exposure_s(self) -> float:
        self.asked = getattr(self, "asked", 0) + 1
        return self.asked * 1e-3

    @exposure_s.setter
    def exposure_s(self, value: float) -> None:
        pass


# DAC


@broken("test_written_voltages_are_present", "an array of the caller moved the outputs")
class SharingDac(MemoryDac):
    @property
    def present_v(self) -> Floats:
        return self._held


@broken("test_written_voltages_are_present", "an array of the caller moved the outputs")
class BorrowingDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        return volts

    def _write(self, volts: Floats) -> None:
        self._held = volts


@broken("test_safe_is_the_same_wherever_it_comes_from", "depends on what was written before")
class UnsafeDac(MemoryDac):
    def _make_safe(self) -> None:
        pass


@broken("test_a_waveform_waits_for_its_trigger_and_holds_its_last_value", "Mismatched elements")
class ReturningDac(MemoryDac):
    def _disarm(self) -> None:
        super()._disarm()
        self._held = np.zeros(self.n_channels)


@broken("test_a_waveform_waits_for_its_trigger_and_holds_its_last_value", "arming a waveform moved the outputs")
class JumpingDac(MemoryDac):
    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        super()._arm_waveform(volts, rate_hz, trigger)
        self._held = volts[0]


@broken("test_a_waveform_waits_for_its_trigger_and_holds_its_last_value", "did not wait for its trigger")
class UntriggeredDac(MemoryDac):
    def _start(self) -> None:
        super()._start()
        self._held = np.ones(self.n_channels)


@broken("test_an_internal_waveform_takes_its_time", " >= ")
class FastDac(MemoryDac):
    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        super()._arm_waveform(volts, 1e3 * rate_hz, trigger)


@broken("test_the_longest_waveform_fits", "out of memory")
class ForgetfulMemoryDac(MemoryDac):
    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        if len(volts) > self.max_samples - 2:
            raise RuntimeError("out of memory")
        super()._arm_waveform(volts, rate_hz, trigger)


@broken("test_a_jump_above_the_slew_limit_is_refused_and_a_ramp_arrives", "a jump reached _write()")
class SlewlessDac(MemoryDac):
    def __init__(self, name: str, **arguments: Unpack[DeviceArguments]) -> None:
        arguments["limits"] = {key: Limits(found.low, found.high) for key, found in arguments.get("limits", {}).items()}
        super().__init__(name, **arguments)


@broken("test_after_the_safe_state_the_slew_limit_counts_from_there", "out of the safe state reached _write()")
class ForgetsSafeDac(MemoryDac):
    def _outputs_moved(self, *, by_run: bool) -> None:
        pass


@broken("test_a_waveform_above_the_slew_limit_is_refused", "a steep waveform reached _arm_waveform()")
class SlewlessWaveformDac(SlewlessDac):
    pass


@broken("test_its_facts_agree", "a waveform needs memory and a trigger")
class NoTriggerDac(MemoryDac):
    triggers = frozenset[Trigger]()


# ADC


@broken("test_its_facts_agree", "are not of type int16")
class RawCodesAdc(MemoryAdc):
    dtype = np.dtype(np.int16)


@broken("test_its_facts_agree", "10.0 < -10.0")
class UpsideDownAdc(MemoryAdc):
    range_v = (10.0, -10.0)


@broken("test_a_record_lasts_for_its_samples", " / 50000.0) * 0.99) <=")
class SampleTimeAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return Stamps(stamps.counters, stamps.start_s, 1 / self.rate_hz / 10)


# SLM


@broken("test_its_facts_agree", "do not fit uint8")
class ManyLevelsSlm(MemorySlm):
    levels = 1024
    dtype = np.dtype(np.uint8)


@broken("test_its_facts_agree", "a sequence needs room and a trigger")
class RoomlessSlm(MemorySlm):
    max_sequence = 0


@broken("test_patterns_of_any_number_type_are_taken", "whole numbers only")
class PickySlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        if levels.dtype == np.float32:
            raise TypeError("whole numbers only")
        return super()._realise(levels)


@broken("test_a_sequence_has_one_token_a_pattern", "assert range")
class OneTokenSlm(MemorySlm):
    def _next_tokens(self, count: int) -> range:
        return super()._next_tokens(1)


@broken("test_the_longest_sequence_fits", "out of memory")
class SmallSlm(MemorySlm):
    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None:
        if len(levels) == self.max_sequence:
            raise RuntimeError("out of memory")
        super()._arm_sequence(levels, trigger, period_s)


@broken("test_one_illegal_level_in_a_sequence_refuses_all_of_it", "SetpointError is due")
class FirstPatternSlm(MemorySlm):
    def _check(self, levels: Numbers, shape: tuple[int, ...]) -> None:
        super()._check(levels[:1] if levels.ndim == 3 else levels, shape)


@broken("test_an_internal_sequence_takes_its_time", "3 patterns took")
class RushingSlm(MemorySlm):
    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None:
        super()._arm_sequence(levels, trigger, period_s / 100)


# Crossbar


@broken("test_currents_and_conductances_belong_to_the_caller", "changed the currents of an earlier one")
class ReusingCrossbar(MemoryCrossbar):
    def _open(self) -> None:
        super()._open()
        self._amps = np.zeros((64 * 65, self.shape[1]))

    def _multiply(self, volts: Floats) -> Floats:
        amps: Floats = self._amps[: len(volts)]
        amps[...] = super()._multiply(volts)
        return amps


@broken("test_every_vector_has_a_token_and_currents", "(3, 4) == (4, 3)")
class TransposedCrossbar(MemoryCrossbar):
    def _multiply(self, volts: Floats) -> Floats:
        return super()._multiply(volts).T


@broken("test_every_cell_is_read", "(12,) == (4, 3)")
class FlatCrossbar(MemoryCrossbar):
    def _read_conductance(self) -> Floats:
        return super()._read_conductance().ravel()


@broken("test_its_facts_agree", "negative conductance")
class NegativeCrossbar(MemoryCrossbar):
    levels_siemens = np.linspace(-1e-6, 100e-6, 33)
