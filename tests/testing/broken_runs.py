"""Drivers whose armed runs or readings are broken."""

from dataclasses import replace

import numpy as np

from pnnlab.devices import Stamps, Trigger
from pnnlab.devices._readings import ReadingBuffer
from tests.testing.broken import broken
from tests.testing.memory_devices import MemoryAdc, MemoryCamera, MemoryDac, MemorySlm, Numbers, Steps


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


@broken("test_readings_have_their_shape_and_type", "with start_s that do not fit")
class ShortCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, start_s=stamps.start_s[:-1])


@broken("test_readings_have_their_shape_and_type", "with counters that do not fit")
class MiscountingCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, counters=stamps.counters[:-1])


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
        return replace(stamps, counters=0 * stamps.counters)


@broken("test_the_counter_and_the_stamps_run_on", "overlap")
class OverlappingAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, duration_s=10.0)


@broken("test_the_counter_and_the_stamps_run_on", "readings began at")
class BackwardsAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, start_s=-stamps.start_s)


@broken("test_stamps_are_bench_time", "by the bench's clock")
class OwnTicksCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, start_s=stamps.start_s + 1e6)


@broken("test_waiting_means_that_all_is_collected", "<= (0.003 + 0.001)")
class HalfWaitingCamera(MemoryCamera):
    def _wait(self, timeout_s: float) -> None:
        self.steps.wait(1, timeout_s)


@broken("test_before_the_start_there_is_nothing_to_read", "nothing had triggered")
class NeverLateAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        out[...] = 0
        return Stamps(len(out), 1e-3, start_s=np.arange(len(out), dtype=np.float64))


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


@broken("test_reading_more_than_armed_is_refused", "reading 4 of 3")
class GenerousCamera(MemoryCamera):
    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> None:
        super()._arm_frames(n + 5, trigger, delay_s)
        self._buffer = ReadingBuffer(self.name, n + 5, self.roi.shape, self.dtype, None)


@broken("test_a_ring_is_filled_again_from_its_beginning", "is not in row")
class OwnMemoryCamera(MemoryCamera):
    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        counter = super()._arm_frames(n, trigger, delay_s)
        self._buffer = ReadingBuffer(self.name, n, self.roi.shape, self.dtype, None)
        return counter


@broken("test_collecting_gives_what_came", "1 reading was triggered, 3 came")
class EagerCamera(MemoryCamera):
    def _trigger(self) -> None:
        for _ in range(3 - len(self.steps.starts_s)):
            super()._trigger()
