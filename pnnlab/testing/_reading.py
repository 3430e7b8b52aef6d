"""The rules for roles that give readings: buffers, counters, stamps and what is missing."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Sensor, Stamps, State, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.testing._checks import Check, does_not_apply, shows
from pnnlab.testing._runs import RunRules
from pnnlab.testing._subject import Call, assert_state

__all__ = ["ReadingRules"]

D = TypeVar("D", bound=Sensor)
Rows = npt.NDArray[np.number]


class ReadingRules(RunRules[D]):
    """What a device gives as readings of an armed run."""

    @abstractmethod
    def arm_readings(self, device: D, n: int, trigger: Trigger, out: Rows | None = None) -> None:
        """Arm a run of `n` readings."""

    @abstractmethod
    def read(self, device: D, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """Return the next rows and their stamps."""

    @abstractmethod
    def collect(self, device: D, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """Return those of the next rows that come in time, and their stamps."""

    @abstractmethod
    def row_type(self, device: D) -> tuple[tuple[int, ...], np.dtype[np.number]]:
        """Return shape and type of one row."""

    def arm(self, device: D, trigger: Trigger) -> None:
        """See `RunRules.arm`."""
        self.arm_readings(device, self.n_steps, trigger)

    def run_calls(self) -> Mapping[str, Call[D]]:
        """See `Subject.run_calls`."""
        return {**super().run_calls(), "read": lambda device: self.read(device, 1, self.impatience_s)}

    def misfits(self, like: D) -> Mapping[str, Call[D]]:
        """See `Subject.misfits`."""
        shape, dtype = self.row_type(like)
        trigger = self.preferred(like)
        wanted = (2, *shape)
        frozen = np.zeros(wanted, dtype)
        frozen.flags.writeable = False
        buffers = {
            "a buffer with too many rows": np.zeros((3, *shape), dtype),
            "a buffer without rows": np.zeros(shape, dtype),
            "an empty buffer": np.zeros((0, *shape), dtype),
            "a buffer with longer rows": np.zeros((*wanted[:-1], wanted[-1] + 1), dtype),
            "a buffer of complex numbers": np.zeros(wanted, np.complex128),
            "a buffer with gaps": np.zeros((4, *shape), dtype)[::2],
            "a buffer that cannot be written": frozen,
        }
        if dtype.itemsize > 1:
            buffers["a buffer of the other byte order"] = np.zeros(wanted, dtype.newbyteorder())
        calls = {what: _arming(self, 2, trigger, out) for what, out in buffers.items()}
        for n in (0, -1):
            calls[f"a run of {n} readings"] = _arming(self, n, trigger)
        return calls

    def preferred(self, device: D) -> Trigger:
        """Return the trigger that needs the least from outside."""
        for trigger in (Trigger.INTERNAL, Trigger.SOFTWARE, Trigger.HARDWARE):
            if trigger in self.triggers(device):
                return trigger
        pytest.fail(f"{device.name} has no triggers: it can never give a reading")

    def begin(self, device: D, n: int, out: Rows | None = None) -> None:
        """Arm a run of `n` readings and let all of them happen."""
        trigger = self.preferred(device)
        self.arm_readings(device, n, trigger, out)
        device.start()
        self.fire(device, trigger, n)

    @shows(Check.SEQUENCE)
    def test_readings_have_their_shape_and_type(self, device: D) -> None:
        shape, dtype = self.row_type(device)
        self.begin(device, 3)
        rows, stamps = self.read(device, 3, self.patience_s)
        assert (rows.shape, rows.dtype) == ((3, *shape), dtype)
        assert np.isfinite(rows).all()
        assert stamps.count == 3 and stamps.duration_s > 0
        for of, array in (("start times", stamps.start_s), ("counters", stamps.counters)):
            assert array is None or array.shape == (3,), f"{device.name}: 3 readings have {array.shape} {of}"

    def test_readings_lie_in_the_buffer_of_the_caller(self, device: D) -> None:
        shape, dtype = self.row_type(device)
        out = np.zeros((3, *shape), dtype)
        untouched = np.frombuffer(b"\x5a" * out.nbytes, dtype).reshape(out.shape)
        out[...] = untouched
        self.begin(device, 3, out)
        first, _ = self.read(device, 1, self.patience_s)
        assert np.shares_memory(first, out[:1]), f"{device.name}: the reading is a copy, not the caller's buffer"
        assert (first != untouched[:1]).any(), f"{device.name}: left the buffer as it was"
        np.testing.assert_array_equal(out[1:], untouched[1:], f"{device.name}: wrote rows that were not asked for")
        kept = first.copy()
        rest, _ = self.read(device, 2, self.patience_s)
        assert np.shares_memory(rest, out[1:])
        np.testing.assert_array_equal(first, kept, f"{device.name}: a later reading changed an earlier one")

    @shows(Check.SEQUENCE)
    def test_the_counter_and_the_stamps_run_on(self, device: D) -> None:
        self.begin(device, 5)
        parts = [self.read(device, n, self.patience_s)[1] for n in (1, 3, 1)]
        if device.counter_modulus is not None:
            counters = np.concatenate([part.counters for part in parts if part.counters is not None])
            steps = np.diff(counters) % device.counter_modulus
            assert (steps == 1).all(), f"{device.name}: the counter went {counters.tolist()}"
        starts_s = np.concatenate([_stamped(device, part) for part in parts])
        assert (np.diff(starts_s) >= parts[0].duration_s - self.stamp_error_s).all(), (
            f"{device.name}: readings of {parts[0].duration_s:g} s overlap, they began at {starts_s.tolist()}"
        )
        assert (np.diff(starts_s) > 0).all(), f"{device.name}: readings began at {starts_s.tolist()}"

    def test_stamps_are_bench_time(self, device: D) -> None:
        begin_s = device.clock.now_s()
        self.begin(device, 3)
        _, stamps = self.read(device, 3, self.patience_s)
        end_s = device.clock.now_s()
        starts_s = _stamped(device, stamps)
        ends_s = starts_s + stamps.duration_s
        assert begin_s - self.stamp_error_s <= starts_s[0] and ends_s[-1] <= end_s + self.stamp_error_s, (
            f"{device.name}: readings from {starts_s[0]:g} s to {ends_s[-1]:g} s, "
            f"by the bench's clock the run was from {begin_s:g} s to {end_s:g} s"
        )

    def test_waiting_means_that_all_is_collected(self, device: D) -> None:
        self.begin(device, 3)
        device.wait(self.patience_s)
        waited_s = device.clock.now_s()
        _, stamps = self.read(device, 3, self.patience_s)
        assert _stamped(device, stamps)[-1] + stamps.duration_s <= waited_s + self.stamp_error_s

    def test_a_ring_is_filled_again_from_its_beginning(self, device: D) -> None:
        shape, dtype = self.row_type(device)
        ring = np.zeros((2, *shape), dtype)
        self.begin(device, 5, ring)
        for row in (0, 1, 0, 1, 0):
            kept = ring[1 - row].copy()
            rows, _ = self.read(device, 1, self.patience_s)
            assert np.shares_memory(rows, ring[row]), f"{device.name}: the reading is not in row {row} of the ring"
            np.testing.assert_array_equal(ring[1 - row], kept, f"{device.name}: wrote over the reading before")

    def test_collecting_gives_what_came(self, device: D) -> None:
        trigger = Trigger.SOFTWARE
        if trigger not in self.triggers(device):
            does_not_apply(f"it has no {trigger} triggers")
        self.arm_readings(device, 3, trigger)
        device.start()
        self.fire(device, trigger, 1)
        rows, stamps = self.collect(device, 3, self.step_s(device) + self.impatience_s)
        assert len(rows) == stamps.count == 1, f"{device.name}: 1 reading was triggered, {stamps.count} came"
        self.fire(device, trigger, 2)
        assert self.collect(device, 2, self.patience_s)[1].count == 2

    def test_reading_more_than_armed_is_refused(self, device: D) -> None:
        self.begin(device, 3)
        for n in (4, 0, -1):
            self.assert_refused(device, f"reading {n} of 3", _reading(self, n), AcquisitionError)
        self.read(device, 2, self.patience_s)
        self.assert_refused(device, "reading 2 of 1", _reading(self, 2), AcquisitionError)
        self.read(device, 1, self.patience_s)
        self.assert_refused(device, "reading 1 of 0", _reading(self, 1), AcquisitionError)

    @shows(Check.TIMEOUT)
    def test_before_the_start_there_is_nothing_to_read(self, device: D) -> None:
        trigger = self.preferred(device)
        self.arm_readings(device, 2, trigger)
        self._assert_late(device)
        device.start()
        self.fire(device, trigger, 2)
        self.read(device, 2, self.patience_s)

    @shows(Check.TRIGGER)
    @pytest.mark.parametrize("trigger", [Trigger.SOFTWARE, Trigger.HARDWARE])
    def test_each_trigger_gives_one_reading(self, device: D, trigger: Trigger) -> None:
        if trigger not in self.triggers(device):
            does_not_apply(f"it has no {trigger} triggers")
        self._single_or_skip(device, trigger)
        self.arm_readings(device, 3, trigger)
        device.start()
        for _ in range(3):
            self._assert_late(device)
            self.fire(device, trigger, 1)
            self.read(device, 1, self.patience_s)

    def test_readings_of_an_abandoned_run_do_not_come_back(self, device: D) -> None:
        self.begin(device, 3)
        device.wait(self.patience_s)
        self.read(device, 1, self.patience_s)
        device.disarm()
        again_s = device.clock.now_s()
        self.begin(device, 3)
        _, stamps = self.read(device, 3, self.patience_s)
        first_s = _stamped(device, stamps)[0]
        assert first_s >= again_s - self.stamp_error_s, (
            f"{device.name}: a reading of {first_s:g} s came in a run that was armed at {again_s:g} s"
        )

    def _assert_late(self, device: D) -> None:
        begin_s = device.clock.now_s()
        try:
            self.read(device, 1, self.impatience_s)
        except AcquisitionError:
            pass
        else:
            pytest.fail(f"{device.name}: gave a reading that nothing had triggered")
        waited_s = device.clock.now_s() - begin_s
        assert waited_s <= self.impatience_s + self.grace_s, (
            f"{device.name}: took {waited_s:g} s with a timeout of {self.impatience_s:g} s"
        )
        assert_state(device, State.ARMED)


def _stamped(device: Sensor, stamps: Stamps) -> npt.NDArray[np.float64]:
    """Return start times; a device without any cannot be asked."""
    if stamps.start_s is None:
        does_not_apply("it has no time stamps")
    return stamps.start_s


def _arming(rules: ReadingRules[D], n: int, trigger: Trigger, out: Rows | None = None) -> Call[D]:
    return lambda device: rules.arm_readings(device, n, trigger, out)


def _reading(rules: ReadingRules[D], n: int) -> Call[D]:
    return lambda device: rules.read(device, n, rules.impatience_s)
