"""Broken converters, digital to analog and back."""

from dataclasses import replace
from typing import Unpack

import numpy as np

from pnnlab.devices import DAC, Limits, Sensor, Stamps, Trigger
from pnnlab.testing import DeviceArguments
from tests.testing.broken import broken
from tests.testing.memory_devices import Floats, MemoryAdc, MemoryDac, Numbers


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
        self._held = np.zeros(self.n_outputs)


@broken("test_a_waveform_waits_for_its_trigger_and_holds_its_last_value", "arming a waveform moved the outputs")
class JumpingDac(MemoryDac):
    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        super()._arm_waveform(volts, rate_hz, trigger)
        self._held = volts[0]


@broken("test_a_waveform_waits_for_its_trigger_and_holds_its_last_value", "did not wait for its trigger")
class UntriggeredDac(MemoryDac):
    def _start(self) -> None:
        super()._start()
        self._held = np.ones(self.n_outputs)


@broken("test_the_start_that_it_tells_is_bench_time", " <= ")
class LateStartDac(MemoryDac):
    def _begun_s(self) -> float:
        return super()._begun_s() + 1.0


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


@broken("test_after_a_waveform_the_slew_limit_counts_from_its_end", "a jump after a waveform reached _write()")
class ForgetsWaveformDac(MemoryDac):
    def _outputs_moved(self, *, by_run: bool) -> None:
        if not by_run:
            super()._outputs_moved(by_run=by_run)


@broken("test_a_waveform_above_the_slew_limit_is_refused", "a steep waveform reached _arm_waveform()")
class SlewlessWaveformDac(SlewlessDac):
    pass


@broken("test_its_facts_agree", "a waveform needs memory and a trigger")
class NoTriggerDac(MemoryDac):
    waveform_triggers = frozenset[Trigger]()


class NothingChecked(Limits):
    """Limits that let everything pass."""

    def check(self, values: Numbers, *, who: str, unit: str) -> None:
        """See `Limits.check`."""


@broken("test_one_illegal_sample_refuses_the_waveform", "a sample of nan V reached _arm_waveform()")
class CarelessDac(MemoryDac):
    def _joined_limits(self) -> dict[str, Limits]:
        return {"voltage": NothingChecked(-5.0, 4.9)}


@broken("test_rates_that_it_cannot_keep_are_refused", "inf samples/s reached _arm_waveform()")
class EndlessRateDac(MemoryDac):
    max_update_rate_hz = np.inf


@broken("test_a_waveform_that_is_too_long_is_refused", "101 samples reached _arm_waveform()")
class BypassedDac(MemoryDac):
    pass


def arm_without_checks(self: BypassedDac, volts: Floats, *, rate_hz: float, trigger: Trigger) -> None:
    self._arm(DAC, self._arm_waveform, volts, rate_hz, trigger)


# what Device refuses in a subclass, slipped in behind its back
setattr(BypassedDac, "arm_waveform", arm_without_checks)  # noqa: B010


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
        return replace(stamps, duration_s=1 / self.rate_hz / 10)


@broken("test_rates_that_it_cannot_keep_are_refused", "8 samples at inf Hz reached _arm_records()")
class EndlessRateAdc(MemoryAdc):
    max_sample_rate_hz = np.inf


@broken("test_records_without_samples_are_refused", "0 samples at 100000 Hz reached _arm_records()")
class BypassedAdc(MemoryAdc):
    pass


def arm_records_without_checks(
    self: BypassedAdc, n: int, *, n_samples: int, rate_hz: float, trigger: Trigger, out: Floats | None = None
) -> None:
    self._arm(Sensor, self._arm_records, n, n_samples, rate_hz, trigger)


setattr(BypassedAdc, "arm_records", arm_records_without_checks)  # noqa: B010
