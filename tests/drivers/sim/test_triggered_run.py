"""Which triggers become readings, and which readings come when."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pnnlab.devices import Stamps, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab_drivers.sim._reading_faults import SensorOptions
from pnnlab_drivers.sim._triggered_run import TriggeredRun
from tests.drivers.sim.clocks import EventfulClock

Floats = npt.NDArray[np.float64]
ALL = {"drop": 0.2, "miss": 0.2, "repeat": 0.3, "swap": 0.3, "incomplete": 0.2}


@dataclass
class Sensor:
    """Readings of 1 s with 0.5 s of read-out that see the number `world` and when they began."""

    n: int = 6
    trigger: Trigger = Trigger.HARDWARE
    options: dict[str, Any] = field(default_factory=dict)
    delay_s: float = 0.0
    ahead: int = 0
    first: int = 10
    seed: int = 0
    chained: bool = False

    def __post_init__(self) -> None:
        self.clock = EventfulClock()
        self.noise = np.random.default_rng(self.seed)
        self.world, self.revision = 0.0, 0
        self.observed: list[list[float]] = []
        self.converted: list[int] = []
        self.run = TriggeredRun(
            "camera", "frame", self.n, self.trigger, clock=self.clock, noise=self.noise, first=self.first,
            options=SensorOptions.model_validate(self.options), duration_s=1.0, busy_s=1.5, delay_s=self.delay_s,
            advice="look at the trigger line", ahead=self.ahead, chained=self.chained,
        )  # fmt: skip
        self.run.start()

    def read(self, n: int, timeout_s: float = 100.0) -> tuple[Floats, Floats, Stamps]:
        """Return rows of two equal numbers, the true beginnings, and the stamps."""
        out = np.full((n, 2), np.nan)
        starts_s, stamps = self.run.read(
            out, timeout_s, observe=self.observe, convert=self.convert, revision=lambda: self.revision
        )
        assert np.isnan(out[stamps.count :]).all(), "rows of readings that did not come are left alone"
        return out[: stamps.count], starts_s, stamps

    def observe(self, starts_s: Floats) -> torch.Tensor:
        self.observed.append(starts_s.tolist())
        return torch.as_tensor(starts_s + self.world)[:, None].expand(-1, 2).clone()

    def convert(self, starts_s: Floats, counters: npt.NDArray[np.int64], seen: torch.Tensor) -> Floats:
        assert (starts_s + 1.5 <= self.clock.now_s()).all(), "a reading is converted after it has ended"
        self.converted += counters.tolist()
        rows: Floats = seen.numpy() + 1000
        return rows

    def pulses(self, *times_s: float) -> "Sensor":
        self.run.begin(np.array(times_s))
        return self


def test_readings_begin_after_their_triggers_by_the_delay() -> None:
    sensor = Sensor(n=3, delay_s=0.25, first=65535).pulses(2.0, 4.0, 6.0)
    rows, starts_s, stamps = sensor.read(3)
    np.testing.assert_array_equal(starts_s, [2.25, 4.25, 6.25])
    np.testing.assert_array_equal(rows, 1000 + starts_s[:, None] * [1, 1])
    assert (stamps.count, stamps.duration_s, stamps.intact, stamps.note) == (3, 1.0, None, "")
    np.testing.assert_array_equal(stamps.counters, [65535, 0, 1])
    np.testing.assert_array_equal(stamps.start_s, starts_s)
    assert sensor.clock.now_s() == 7.75, "the last frame is read out"
    assert sensor.run.first_counter == 65535 and sensor.run.end() == 65538


def test_a_trigger_that_finds_the_sensor_busy_is_lost() -> None:
    sensor = Sensor().pulses(0.0, 1.4, 1.5 - 1e-12, 2.9, 3.0)
    assert sensor.read(3)[1].tolist() == [0.0, 1.5 - 1e-12, 3.0]


def test_an_internal_timer_makes_one_reading_after_the_other() -> None:
    sensor = Sensor(n=4, trigger=Trigger.INTERNAL)
    assert sensor.read(4)[1].tolist() == [0.0, 1.5, 3.0, 4.5]
    sensor.run.wait(0.0)


def test_software_triggers_one_reading_a_call() -> None:
    sensor = Sensor(n=2, trigger=Trigger.SOFTWARE)
    sensor.clock.sleep_until(1.0)
    sensor.run.trigger()
    assert sensor.read(2, timeout_s=4.0)[1].tolist() == [1.0]
    with pytest.raises(AcquisitionError, match="does not listen to software"):
        Sensor(trigger=Trigger.HARDWARE).run.trigger()


def test_those_that_come_in_time_are_returned_and_the_rest_later() -> None:
    sensor = Sensor(n=4).pulses(0.0, 2.0, 4.0)
    _, starts_s, stamps = sensor.read(4, timeout_s=3.5)
    assert starts_s.tolist() == [0.0, 2.0] and sensor.clock.now_s() == 3.5
    assert "3 of 4 frames were started by hardware triggers; look at the trigger line" in stamps.note
    _, _, stamps = sensor.read(1, timeout_s=1.0)
    assert stamps.count == 0 and "wait longer" in stamps.note and sensor.clock.now_s() == 4.5
    assert sensor.read(1)[1].tolist() == [4.0]
    with pytest.raises(AcquisitionError, match="after 2 s the run is not done: 3 of 4 frames were started"):
        sensor.run.wait(2.0)


# Faults


def faulty(**faults: float) -> Sensor:
    return Sensor(options={"faults": faults}).pulses(*(2.0 * np.arange(6)).tolist())


@pytest.mark.parametrize(
    ("fault", "numbers", "counted"),
    [
        ("swap", [1, 0, 3, 2, 5, 4], 6), ("repeat", [0, 0, 1, 1, 2, 2], 6), ("drop", [], 6), ("miss", [], 0),
        ("incomplete", [0, 1, 2, 3, 4, 5], 6),
    ],
)  # fmt: skip
def test_each_fault_does_what_it_says(fault: str, numbers: list[int], counted: int) -> None:
    sensor = faulty(**{fault: 1.0})
    rows, starts_s, stamps = sensor.read(6)
    assert starts_s.tolist() == [2.0 * k for k in numbers]
    assert stamps.counters is not None and stamps.counters.tolist() == [10 + k for k in numbers]
    sensor.clock.sleep_until(20.0)
    assert sensor.run.end() == 10 + counted
    np.testing.assert_array_equal(rows[:, 0], 1000 + starts_s)
    if fault == "incomplete":
        assert stamps.intact is not None and not stamps.intact.any()
        assert (rows[:, 1] == 0).all()
    else:
        assert stamps.intact is None
        np.testing.assert_array_equal(rows[:, 1], rows[:, 0])


def test_a_swapped_reading_comes_when_its_successor_has_come() -> None:
    sensor = Sensor(options={"faults": {"swap": 1.0}}).pulses(0.0)
    assert sensor.read(1, timeout_s=5.0)[2].count == 0
    sensor.pulses(6.0)
    assert sensor.read(1)[1].tolist() == [6.0] and sensor.read(1)[1].tolist() == [0.0]


def test_faults_are_as_frequent_as_they_are_said_to_be() -> None:
    n = 4000
    sensor = Sensor(n=n, options={"faults": ALL}, first=0).pulses(*(2.0 * np.arange(n)).tolist())
    _, starts_s, stamps = sensor.read(2 * n, timeout_s=1e6)
    assert stamps.counters is not None and stamps.intact is not None
    came, copies = np.unique(stamps.counters, return_counts=True)
    counted = sensor.run.end()
    late = np.flatnonzero(np.diff(starts_s) < 0)
    # a binomial part p of m differs from p by five standard errors with a chance of 6e-7
    for share, due, m in (
        (1 - counted / n, 0.2, n), (1 - len(came) / counted, 0.2, counted),
        (float((copies == 2).mean()), 0.3, len(came)), (1 - float(stamps.intact.mean()), 0.2, len(came)),
    ):  # fmt: skip
        assert share == pytest.approx(due, abs=5 * np.sqrt(due * (1 - due) / m))
    # of two neighbours that would both be late only the first is: 0.3 / 1.3 of the readings; fewer are seen, as some of
    # either are dropped
    assert 0.3 / 1.3 * 0.8**2 * 0.85 < len(late) / counted < 0.3 / 1.3


@pytest.mark.parametrize("sizes", [(1,) * 12, (2, 1, 4, 5), (12,)])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ahead", [0, 100])
def test_faults_do_not_depend_on_how_readings_are_read_and_triggered(
    sizes: tuple[int, ...], seed: int, ahead: int
) -> None:
    def found(sizes: tuple[int, ...], ahead: int, *, at_once: bool) -> list[list[float]]:
        sensor = Sensor(n=12, seed=seed, ahead=ahead, options={"faults": ALL, "stamp_error": 0.1})
        if at_once:
            sensor.pulses(*(2.0 * np.arange(12)).tolist())
        rows = []
        for k, size in enumerate(sizes):
            if not at_once:
                sensor.pulses(*(2.0 * np.arange(12)[sum(sizes[:k]) : sum(sizes[: k + 1])]).tolist())
            part, _, stamps = sensor.read(size, timeout_s=2.0 * size)
            assert stamps.start_s is not None and stamps.counters is not None
            rows += np.column_stack([part, stamps.start_s, stamps.counters]).tolist()
        assert sensor.converted == sorted(set(sensor.converted)), "each reading is converted once, in their order"
        return rows

    due = found((12,), 0, at_once=True)
    assert len(due) > 4
    singly = found((*sizes, *(1,) * 20), ahead, at_once=False)
    assert found((*sizes, *(1,) * 20), ahead, at_once=True) == singly
    # at once, no more than twelve are asked for
    assert singly[:12] == due


def test_where_nothing_goes_wrong_nothing_is_drawn() -> None:
    sensor = Sensor(n=3)
    before = sensor.noise.bit_generator.state
    sensor.pulses(0.0, 2.0, 4.0).read(3)
    assert sensor.noise.bit_generator.state == before


def test_stamps_are_off_by_up_to_their_error() -> None:
    n = 2000
    sensor = Sensor(n=n, options={"stamp_error": "0.2 s"}).pulses(*(2.0 * np.arange(n)).tolist())
    _, starts_s, stamps = sensor.read(n, timeout_s=1e6)
    assert stamps.start_s is not None
    off_s = stamps.start_s - starts_s
    assert np.abs(off_s).max() <= 0.2
    # evenly spread: a standard deviation of 0.2 s over the root of 3, known to 1 % from 2000 numbers; five of them
    assert off_s.std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)


def test_a_sensor_that_neither_counts_nor_stamps_says_nothing() -> None:
    sensor = Sensor(options={"counts": False, "stamps": False, "stamp_error": 1.0}).pulses(0.0)
    stamps = sensor.read(1)[2]
    assert (stamps.counters, stamps.start_s, sensor.run.first_counter) == (None, None, None)


def test_a_counter_that_restarts_begins_at_zero() -> None:
    sensor = Sensor(options={"restarts_counter": True}).pulses(0.0)
    assert sensor.run.first_counter == 0
    np.testing.assert_array_equal(sensor.read(1)[2].counters, [0])


def test_a_late_answer_begins_late_and_may_cost_the_next_reading() -> None:
    faults = {"late": 1.0, "late_by": ("0.2 s", "0.3 s")}
    sensor = Sensor(options={"faults": faults}).pulses(0.0, 2.0, 4.0)
    late_s = sensor.read(3)[1] - np.array([0.0, 2.0, 4.0])
    assert (late_s >= 0.2).all() and (late_s <= 0.3).all()
    sensor = Sensor(options={"faults": faults}).pulses(0.0, 1.5)
    assert sensor.read(2, timeout_s=20.0)[2].count == 1, "the second edge came while the sensor was busy"


def test_a_spurious_edge_starts_a_reading_too_early() -> None:
    sensor = Sensor(n=2, options={"faults": {"spurious": 1.0}}).pulses(10.0, 20.0)
    _, starts_s, stamps = sensor.read(2)
    assert 0.0 <= starts_s[0] < 10.0 and starts_s[0] + 1.5 <= starts_s[1]
    assert stamps.counters is not None and stamps.counters.tolist() == [10, 11]


def test_what_is_stalled_holds_up_what_follows() -> None:
    faults = {"stall": 1.0, "stall_by": "5 s"}
    sensor = Sensor(options={"faults": faults}).pulses(0.0, 2.0)
    assert sensor.read(2, timeout_s=6.0)[2].count == 0
    assert sensor.read(2, timeout_s=3.0)[1].tolist() == [0.0, 2.0]
    assert sensor.clock.now_s() == 8.5, "the second one has ended at 3.5 s"


# Chains


@pytest.mark.parametrize("faults", [{}, {"repeat": 1e-12}])
def test_one_edge_starts_a_chain(faults: dict[str, float]) -> None:
    """With and without the short way for sensors without faults."""
    sensor = Sensor(n=3, chained=True, options={"faults": faults}).pulses(1.0, 2.0, 7.0)
    assert sensor.read(3)[1].tolist() == [1.0, 2.5, 4.0]
    assert sensor.run.end() == 13


def test_a_chain_goes_on_when_its_trigger_is_called_off_afterwards() -> None:
    sensor = Sensor(n=3, chained=True).pulses(1.0)
    sensor.run.withdraw(2.0)
    assert sensor.read(3)[1].tolist() == [1.0, 2.5, 4.0]
    sensor = Sensor(n=3, chained=True).pulses(3.0)
    sensor.run.withdraw(2.0)
    assert sensor.read(3, timeout_s=20.0)[2].count == 0


def test_a_chain_whose_edge_is_missed_never_begins() -> None:
    sensor = Sensor(n=3, chained=True, options={"faults": {"miss": 1.0}}).pulses(1.0)
    assert sensor.read(3, timeout_s=20.0)[2].count == 0


# Triggers that do not come after all


def test_withdrawn_triggers_start_nothing() -> None:
    sensor = Sensor(delay_s=3.0).pulses(0.0, 2.0, 4.0, 6.0)
    sensor.run.withdraw(2.0)
    assert sensor.read(4, timeout_s=20.0)[1].tolist() == [3.0, 5.0], "what was triggered before still happens"
    assert sensor.run.end() == 12


def test_after_the_end_nothing_begins() -> None:
    sensor = Sensor(delay_s=3.0).pulses(0.0, 2.0)
    sensor.clock.sleep_until(4.0)
    assert sensor.run.end() == 11, "one has begun"
    sensor.pulses(8.0)
    assert sensor.read(4, timeout_s=20.0)[1].tolist() == [3.0]


def test_faults_of_what_is_kept_stay() -> None:
    due = Sensor(options={"faults": ALL}).pulses(0.0, 2.0, 4.0, 6.0).read(3)[1].tolist()
    sensor = Sensor(options={"faults": ALL}).pulses(0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    sensor.run.withdraw(6.0)
    assert sensor.read(3)[1].tolist() == due


# What is seen, and when it is asked for


def test_what_is_seen_is_asked_for_before_the_wait() -> None:
    sensor = Sensor(n=2).pulses(0.0, 2.0)
    asked: list[int] = []
    sensor.clock.at(0.5, lambda: asked.append(len(sensor.observed)))
    sensor.read(2)
    assert asked == [1]


def test_a_world_that_changes_before_the_end_is_looked_at_again() -> None:
    sensor = Sensor(n=2).pulses(0.0, 2.0)

    def change() -> None:
        sensor.world, sensor.revision = 0.5, 1

    sensor.clock.at(3.0, change)
    rows, _, _ = sensor.read(2)
    np.testing.assert_array_equal(rows[:, 0], [1000.5, 1002.5])
    assert sensor.observed == [[0.0, 2.0]] * 2


def test_readings_that_are_called_off_during_the_wait_do_not_come() -> None:
    sensor = Sensor(n=3).pulses(0.0, 2.0, 4.0)
    sensor.clock.at(3.0, lambda: sensor.run.withdraw(2.0))
    rows, starts_s, stamps = sensor.read(3, timeout_s=10.0)
    assert starts_s.tolist() == [0.0, 2.0] and sensor.clock.now_s() == 10.0
    np.testing.assert_array_equal(rows[:, 0], [1000, 1002])
    assert "2 of 3 frames were started" in stamps.note


def test_a_reading_that_begins_at_another_time_after_all_is_asked_for_again() -> None:
    sensor = Sensor(n=3, ahead=100).pulses(0.0, 2.0, 4.0)
    sensor.read(1)
    sensor.read(1)  # looks ahead
    sensor.run.withdraw(3.0)
    sensor.pulses(5.0)
    np.testing.assert_array_equal(sensor.read(1)[0], [[1005, 1005]])


def test_more_and_more_is_asked_for_in_advance() -> None:
    sensor = Sensor(n=64, ahead=20).pulses(*(2.0 * np.arange(64)).tolist())
    rows = np.concatenate([sensor.read(4)[0] for _ in range(16)])
    np.testing.assert_array_equal(rows[:, 0], 1000 + 2.0 * np.arange(64))
    assert [len(asked) for asked in sensor.observed] == [4, 8, 16, 20, 16]
    assert list(chain.from_iterable(sensor.observed)) == (2.0 * np.arange(64)).tolist(), "each is asked for once"
