"""The simulated ADC: what it tells of its records, what goes wrong with them, and what they have truly sampled."""

import threading
from typing import Any, ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import RealClock, State, Trigger
from pnnlab.errors import AcquisitionError, StateError
from pnnlab.testing import ADCConformance, DeviceArguments
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.board import SampledRecord
from pnnlab_drivers.sim.circuit_board import CircuitBoard
from tests.drivers.sim.circuits import RATE_HZ, Array, Bench, exact, shots

RECORD_S = 8 / RATE_HZ


class SimAdcConformance(ADCConformance[SimAdc]):
    """On a board that nothing drives."""

    options: ClassVar[dict[str, object]]

    def make(self, **arguments: Unpack[DeviceArguments]) -> SimAdc:
        plant = CircuitBoard("board", clock=arguments["clock"])
        return SimAdc("adc", SimAdc.Options.model_validate(self.options), plant=plant, **arguments)

    def pulse(self, device: SimAdc) -> None:
        assert isinstance(device.plant, CircuitBoard)
        device.plant.pulse(device.clock.now_s())


class TestAdcThatRestartsItsCounter(SimAdcConformance):
    options: ClassVar[dict[str, object]] = {"restarts_counter": True, "counter_modulus": 3}


class TestAdcWithoutCounter(SimAdcConformance):
    options: ClassVar[dict[str, object]] = {"counts": False, "stamp_error": "20 us"}


class TestAdcWithoutStamps(SimAdcConformance):
    options: ClassVar[dict[str, object]] = {"stamps": False}


class TestAdcWithNeither(SimAdcConformance):
    options: ClassVar[dict[str, object]] = {"counts": False, "stamps": False}


class TestAdcThatChainsItsRecords(SimAdcConformance):
    options: ClassVar[dict[str, object]] = {"chains": True}


def begun(bench: Bench, volts: Array, n_records: int, *, n_samples: int = 8) -> int:
    """Arm and start records with a waveform, shape `(n, n_in)`; return the waveform's token."""
    bench.adc.arm_records(n_records, n_samples=n_samples, rate_hz=RATE_HZ, trigger=Trigger.HARDWARE)
    setpoint = bench.dac.arm_waveform(volts, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    return setpoint.tokens[0]


def ended(bench: Bench) -> None:
    bench.dac.disarm()
    bench.adc.disarm()


# Faults


def played(faults: dict[str, float], n: int = 40) -> tuple[Bench, Any]:
    bench = exact(adc_options={"faults": faults})
    begun(bench, shots(n, 8).reshape(-1, 3), n)
    return bench, bench.adc.collect(n, timeout_s=1.0)


def test_faults_change_what_comes_and_nothing_of_what_is_sampled() -> None:
    faults = {"drop": 0.1, "repeat": 0.2, "swap": 0.2, "incomplete": 0.2}
    bench, records = played(faults)
    clean = played({})[1]
    stamps = records.stamps
    assert stamps.count > 30 and stamps.intact is not None and not stamps.intact.all()
    assert len(set(stamps.counters)) < stamps.count and (np.diff(stamps.counters) < 0).any()
    for volts, counter, intact, start_s in zip(
        records.volts, stamps.counters.tolist(), stamps.intact, stamps.start_s, strict=True
    ):
        due = clean.volts[counter].copy()
        if not intact:
            due[4:] = 0
        # the circuit is followed to the same moments, in other pieces: they join to 1e-10 of a state of a few volts
        np.testing.assert_allclose(volts, due, rtol=0, atol=1e-8)
        assert start_s == pytest.approx(clean.stamps.start_s[counter], abs=1e-12)
    assert bench.adc.state is State.ARMED


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("drop", "lost"), ("miss", "of 40 readings came within 1 s"), ("repeat", "was repeated"),
        ("incomplete", "is incomplete"),
        ("swap", "lost"),  # the first sign of it is the gap that the second of the two leaves
    ],
)  # fmt: skip
def test_a_strict_reading_refuses_each_fault(fault: str, says: str) -> None:
    bench = exact(adc_options={"faults": {fault: 0.2}})
    begun(bench, shots(40, 8).reshape(-1, 3), 40)
    with pytest.raises(AcquisitionError, match=says):
        bench.adc.read(40, timeout_s=1.0)


def test_errors_of_the_stamps_leave_the_noise_alone() -> None:
    def volts(**options: Any) -> Array:
        return Bench(adc_options={"noise_rms_v": 1e-3, **options}).play(shots(6, 8))[1]

    np.testing.assert_array_equal(volts(stamp_error="10 us"), volts())


def test_the_counter_counts_records_that_began_read_or_not() -> None:
    bench = Bench()
    begun(bench, np.zeros((80, 3)), 10)
    bench.adc.read(2, timeout_s=1.0)
    bench.clock.sleep_until(4.5 * RECORD_S)
    ended(bench)
    begun(bench, np.zeros((8, 3)), 1)
    assert bench.adc.first_counter == 5
    assert bench.adc.read(1, timeout_s=1.0).stamps.counters == [5]


def test_chained_records_are_those_that_were_triggered_one_by_one() -> None:
    volts = shots(6, 8)
    np.testing.assert_array_equal(exact(adc_options={"chains": True}).play(volts)[1], exact().play(volts)[1])


def test_old_records_come_before_those_of_a_run() -> None:
    bench = exact(adc_options={"stale_records": 2, "restarts_counter": True})

    def run(volts: float) -> tuple[Array, list[int], list[int]]:
        token = bench.dac.write(np.full(3, volts)).tokens[0]
        bench.clock.sleep_until(bench.clock.now_s() + 1.0)
        bench.adc.arm_records(3, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
        bench.adc.start()
        bench.plant.records.clear()
        records = bench.adc.collect(1, timeout_s=1.0), bench.adc.collect(2, timeout_s=1.0)
        bench.clock.sleep_until(bench.clock.now_s() + 1.0)
        bench.adc.disarm()
        stamps = [records[0].stamps, records[1].stamps]
        sampled = [record.tokens[0][0] - token for record in bench.plant.records]
        rows = np.concatenate([part.volts[:, -1, 0].copy() for part in records])
        return rows, [int(c) for part in stamps if part.counters is not None for c in part.counters], sampled

    first, numbers, sampled = run(0.2)
    assert first[:2].tolist() == [0.0, 0.0] and first[2] != 0
    assert numbers == [65535, 65535, 0] and sampled == [0]
    second, numbers, sampled = run(0.4)
    np.testing.assert_allclose(second[:2], first[2], rtol=1e-6)
    assert abs(second[2] - first[2]) > 0.01
    assert numbers == [1, 2, 0] and sampled == [-1, -1, 0]


# Truth


def told(records: list[SampledRecord]) -> list[tuple[int, float]]:
    return [(record.tokens[0][0], record.offset_s) for record in records]


def test_the_board_tells_which_setpoint_a_record_has_sampled() -> None:
    bench = Bench(adc_options={"faults": {"swap": 0.4, "repeat": 0.4}})
    for _ in range(2):
        token = begun(bench, shots(20, 8).reshape(-1, 3), 20)
        bench.plant.records.clear()
        stamps = [bench.adc.collect(n, timeout_s=1.0).stamps for n in (1, 4, 15)]
        counters = np.concatenate([part.counters for part in stamps if part.counters is not None])
        assert [record.counter for record in bench.plant.records] == counters.tolist(), "one each, as they came"
        for record in bench.plant.records:
            assert record.adc == "adc" and record.end_s - record.start_s == pytest.approx(RECORD_S)
            assert record.tokens == ((token, pytest.approx(RECORD_S)),)
            # a shot is as long as a record: its place in the waveform is its number in the run
            assert record.offset_s == pytest.approx((record.counter % 20) * RECORD_S)
        bench.dac.wait(1.0)
        ended(bench)


def test_a_record_across_a_change_has_sampled_both_setpoints() -> None:
    bench = Bench()
    first = bench.dac.write(np.zeros(3)).tokens[0]
    bench.adc.arm_records(3, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.SOFTWARE)
    bench.adc.start()
    bench.clock.sleep_until(1.0)
    bench.adc.trigger()
    bench.clock.sleep_until(1.0 + 0.25 * RECORD_S)
    second = bench.dac.write(np.ones(3)).tokens[0]
    bench.adc.read(1, timeout_s=1.0)
    bench.adc.trigger()
    bench.adc.read(1, timeout_s=1.0)
    bench.dac.make_safe()
    bench.adc.trigger()
    bench.adc.read(1, timeout_s=1.0)
    across, after, safe = bench.plant.records
    assert across.tokens == ((first, pytest.approx(0.25 * RECORD_S)), (second, pytest.approx(0.75 * RECORD_S)))
    assert across.offset_s == pytest.approx(1.0)
    assert after.tokens == ((second, pytest.approx(RECORD_S)),)
    assert safe.tokens == ((-1, pytest.approx(RECORD_S)),)


# What is abandoned


def test_an_abandoned_waveform_gives_no_more_pulses() -> None:
    bench = exact()
    begun(bench, shots(6, 8).reshape(-1, 3), 6)
    bench.adc.read(2, timeout_s=1.0)
    bench.clock.sleep_until(3.5 * RECORD_S)
    bench.dac.disarm()
    records = bench.adc.collect(4, timeout_s=1.0)
    assert records.stamps.start_s == pytest.approx([2 * RECORD_S, 3 * RECORD_S]), "the record that had begun goes on"
    assert "4 of 6 records were started" in records.stamps.note
    assert [record.counter for record in bench.plant.records] == [0, 1, 2, 3]


def test_records_after_an_abandoned_waveform_are_those_of_the_next_one() -> None:
    def found(*, abandoned: bool) -> Array:
        bench = exact()
        if abandoned:
            begun(bench, np.ones((80, 3)), 10)
            bench.adc.read(1, timeout_s=1.0)
            bench.clock.sleep_until(2.2 * RECORD_S)
            ended(bench)
            bench.dac.write(np.zeros(3))
        # the circuit forgets
        bench.clock.sleep_until(10.0)
        return bench.play(shots(3, 8))[1]

    # what is left of the first waveform after ten seconds is below the tolerance of 1e-10 of 5 mV
    np.testing.assert_allclose(found(abandoned=True), found(abandoned=False), rtol=0, atol=1e-9)


def test_records_that_were_armed_and_abandoned_do_not_hold_up_the_next_ones() -> None:
    bench = exact()
    begun(bench, np.ones((800, 3)), 100)
    bench.adc.read(1, timeout_s=1.0)
    bench.adc.read(1, timeout_s=1.0)
    bench.adc.disarm()
    bench.adc.arm_records(1, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.SOFTWARE)
    bench.adc.start()
    bench.adc.trigger()
    assert bench.adc.read(1, timeout_s=1.0).stamps.start_s == pytest.approx([2 * RECORD_S])


# A bench in real time


def test_made_safe_while_a_record_is_awaited() -> None:
    # coarse steps of integration: on a busy computer, too, the simulation is done well before the waveform
    bench = Bench(clock=RealClock(), network={"substeps": 1})
    # long records of a slow waveform: the reading waits while the DAC is made safe
    rate_hz, n = 50.0, 20
    bench.adc.arm_records(1, n_samples=n, rate_hz=rate_hz, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(np.ones((n, 3)), rate_hz=rate_hz, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    begin_s = bench.clock.now_s()
    found: list[Array] = []
    reading = threading.Thread(target=lambda: found.append(bench.adc.read(1, timeout_s=5.0).volts[0].copy()))
    reading.start()
    bench.clock.sleep_until(begin_s + 0.5 * n / rate_hz)
    bench.dac.make_safe()
    safe_s = bench.clock.now_s()
    reading.join(5.0)
    assert not reading.is_alive() and bench.dac.state is State.SAFE
    with pytest.raises(StateError):
        bench.dac.write(np.zeros(3))
    (volts,), (record,) = found, bench.plant.records
    safe_from = int(np.ceil((safe_s - record.start_s) * rate_hz))
    assert 0 < safe_from < n - 1, "the waveform was abandoned within the record"
    # each sample lasts for ten periods of the circuit: it shows what is at the inputs, waveform or safe state
    assert np.abs(volts[: safe_from - 1]).min() > 10 * np.abs(volts[safe_from + 1 :]).max()
    assert [token for token, _ in record.tokens] == [0, -1]


def test_a_record_of_the_future_is_what_it_would_have_been() -> None:
    # the same shots, read one by one with an ADC that looks ahead, and all at once
    volts = shots(12, 8)

    def found(sizes: tuple[int, ...]) -> Array:
        bench = exact(board={"gain_walk_per_sqrt_s": 0.0})
        begun(bench, volts.reshape(-1, 3), 12)
        return np.concatenate([bench.adc.read(n, timeout_s=1.0).volts for n in sizes])

    np.testing.assert_allclose(found((1,) * 12), found((12,)), rtol=0, atol=1e-9)


def test_where_nothing_goes_wrong_no_chance_is_drawn() -> None:
    bench = Bench()
    bench.play(shots(2, 8))
    state = bench.plant.state()["generators"]
    assert isinstance(state, dict)
    fresh = Bench()
    fresh.plant.noise("adc adc records")
    assert state["adc adc records"] == fresh.plant.noise("adc adc records").bit_generator.state
