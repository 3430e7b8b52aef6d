"""The simulated circuit in time, against an independent integrator."""

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pnnlab.devices import SimulatedClock, State, Trigger
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.physics import OscillatorNetwork
from tests.drivers.sim.circuits import (
    ADC_ERRORS,
    DAC_ERRORS,
    RATE_HZ,
    Array,
    Bench,
    designed,
    exact,
    shots,
)
from tests.drivers.sim.clocks import EventfulClock


def reference(network: OscillatorNetwork, drive: Any, times_s: Array) -> Array:
    """Integrate the equations in the network's docstring with an eighth-order Runge-Kutta method, from rest at 0 s.

    `drive` gives the breakpoints of the piecewise constant voltages and the voltages after each of them.
    """
    n, angular = network.n_oscillators, 2 * math.pi * network.reference_hz
    pole = network.bandwidth_hz / network.reference_hz
    f, d, c, k, g, o = (
        getattr(network, name).numpy()
        for name in ("frequency", "damping", "cubic", "coupling", "input_gain", "output_gain")
    )
    edges_s, volts = drive
    state, outputs = np.zeros(2 * n + network.n_in), []
    for begin_s, end_s, u in zip(edges_s, [*edges_s[1:], times_s[-1]], volts, strict=True):

        def rates(_: float, y: Array, u: Array = u) -> Array:
            x, v, a = y[:n], y[n : 2 * n], y[2 * n :]
            force = g @ a - d * v - f**2 * x - c * x**3 - (k.sum(1) * x - k @ x)
            return angular * np.concatenate([v, force, pole * (u - a)])

        inside = times_s[(times_s > begin_s) & (times_s <= end_s)]
        if end_s > begin_s:
            moments = np.unique([*inside, end_s])
            run = solve_ivp(rates, (begin_s, end_s), state, method="DOP853", t_eval=moments, rtol=1e-10, atol=1e-12)
            state = run.y[:, -1]
            outputs.append(run.y[:n, np.isin(moments, inside)].T @ o.T)
    linear = np.concatenate(outputs)
    return network.saturation_v * np.tanh(linear / network.saturation_v)


@pytest.mark.parametrize("shift", [0.0, 0.37, 5.0])
@pytest.mark.parametrize("ratio", [1.0, 1.7, 0.5])
def test_samples_are_what_the_output_is_at_their_time(shift: float, ratio: float) -> None:
    # fine kicks: what is tested here is time, and the integration's own error falls with the square of the substep
    bench = exact(network={"substeps": 64})
    first, second = shots(1, 9)[0], shots(1, 7, seed=1)[0]
    t = 1 / RATE_HZ
    # a waveform that nobody looks at, a pause, and a second waveform that begins while the circuit still rings
    bench.dac.arm_waveform(first, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.dac.start()
    bench.dac.wait(1.0)
    bench.dac.disarm()
    bench.clock.sleep_until(12.25 * t)
    bench.dac.arm_waveform(second, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.dac.start()
    bench.clock.sleep_until((12.25 + shift) * t)
    bench.adc.arm_records(1, n_samples=11, rate_hz=RATE_HZ * ratio, trigger=Trigger.INTERNAL)
    bench.adc.start()
    found = bench.adc.read(1, timeout_s=1.0).volts[0]

    times_s = (12.25 + shift + (np.arange(11) + 1) / ratio) * t
    edges_s = [*(np.arange(9) * t), *((12.25 + np.arange(7)) * t)]
    due = reference(designed(substeps=64), (edges_s, [*first, *second]), times_s)
    # 64 kicks: an eighth of the default's substep, so a 64th of its error of up to 0.5 % of the standard deviation
    np.testing.assert_allclose(found, due, rtol=0, atol=1e-3 * due.std())
    if shift:
        early = reference(designed(substeps=64), (edges_s, [*first, *second]), times_s - shift * t)
        assert np.abs(found - early).max() > 0.01 * due.std(), "a record at another time must show something else"


@pytest.mark.parametrize("delay_s", [1e-6, 31.25e-6, 50e-6])
def test_the_aperture_delay_moves_the_samples(delay_s: float) -> None:
    bench = exact(network={"substeps": 64}, adc_options={"delay_s": delay_s})
    volts = shots(1, 12)
    _, found = bench.play(volts)
    times_s = np.arange(12) / RATE_HZ + delay_s
    due = reference(designed(substeps=64), (np.arange(12) / RATE_HZ, volts[0]), times_s)
    np.testing.assert_allclose(found[0], due, rtol=0, atol=1e-3 * due.std())
    assert np.abs(bench.adc.expected(torch.as_tensor(volts)).numpy() - found).max() < 1e-9


@pytest.mark.parametrize("sizes", [(8,), (2, 2, 4), (1, 1, 1, 1, 4)])
@pytest.mark.parametrize(("how", "when"), [("stop", 4.62), ("write", 0.3), ("write", 7.5)])
def test_what_was_foreseen_and_does_not_come_leaves_no_trace(sizes: tuple[int, ...], how: str, when: float) -> None:
    # eight records of five samples; after `when` of them the waveform is abandoned while a reading is awaited
    clock = EventfulClock()
    bench = exact(network={"substeps": 64}, clock=clock)
    volts, t = shots(1, 40)[0], 1 / RATE_HZ

    def happen() -> None:
        bench.dac.disarm()
        if how == "write":
            bench.dac.write(np.array([1.0, -1.0, 0.5]))

    bench.adc.arm_records(8, n_samples=5, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.dac.arm_waveform(volts, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    clock.at(5 * when * t, happen)
    found = np.concatenate([bench.adc.read(n, timeout_s=1.0).volts for n in sizes]).reshape(40, 2)

    rows = int(5 * when) + 1
    edges_s, drive = [*(np.arange(rows) * t)], [*volts[:rows]]
    if how == "write":
        edges_s, drive = [*edges_s, 5 * when * t], [*drive, np.array([1.0, -1.0, 0.5])]
    due = reference(designed(substeps=64), (edges_s, drive), (np.arange(40) + 1) * t)
    # as above: an eighth of the default's substep
    np.testing.assert_allclose(found, due, rtol=0, atol=1e-3 * due.std())


def test_a_plant_that_is_saved_during_a_run_knows_nothing_of_its_future() -> None:
    # a pulse, then half of a run, and after that another voltage: with the circuit as it was saved, and as it went on
    def start(bench: Bench) -> None:
        bench.adc.arm_records(8, n_samples=5, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
        bench.adc.start()

    def rest(bench: Bench) -> Array:
        bench.dac.write(np.array([1.0, -1.0, 0.5]))
        bench.adc.arm_records(1, n_samples=20, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
        bench.adc.start()
        return np.asarray(bench.adc.read(1, timeout_s=1.0).volts, np.float64)

    bench = exact()
    bench.dac.write(np.ones(3))
    start(bench)
    for _ in range(2):  # the second reading looks ahead
        bench.adc.read(1, timeout_s=1.0)
    saved, now_s = bench.plant.state(), bench.clock.now_s()
    assert saved["known_s"] <= now_s  # type: ignore[operator]
    bench.adc.disarm()
    resumed = exact()
    resumed.plant.restore(saved)
    resumed.clock.sleep_until(now_s)
    np.testing.assert_allclose(rest(resumed), rest(bench), rtol=0, atol=1e-12)


def in_parts(sizes: tuple[int, ...]) -> Array:
    """Return six records of five samples, at twice the DAC's rate, read in parts."""
    bench = exact()
    bench.adc.arm_records(6, n_samples=5, rate_hz=2 * RATE_HZ, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(shots(1, 15)[0], rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    return np.concatenate([bench.adc.read(n, timeout_s=1.0).volts for n in sizes])


def test_records_read_one_by_one_are_those_read_at_once() -> None:
    # a record ends in the middle of a step of the DAC; cut otherwise, the same substeps round otherwise
    np.testing.assert_allclose(in_parts((1, 2, 1, 1, 1)), in_parts((6,)), rtol=0, atol=1e-12)


def test_a_delay_beyond_the_period_is_refused() -> None:
    bench = exact(adc_options={"delay_s": 1e-3})
    with pytest.raises(SetpointError, match="aperture delay"):
        bench.adc.arm_records(1, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    assert bench.adc.state is State.OPEN


def test_a_batch_has_the_memory_of_one_long_waveform() -> None:
    bench = exact()
    volts = shots(20, 40, rest=5)
    _, found = bench.play(volts)
    with torch.no_grad():
        due, _ = designed()(torch.as_tensor(volts.reshape(1, -1, 3)))
        single, _ = designed()(torch.as_tensor(volts))
    # segments join to within 1e-10 of the largest state, which is of the order of 1 V
    np.testing.assert_allclose(found.reshape(-1, 2), due[0], rtol=0, atol=1e-8)
    assert np.abs(found - single.numpy())[1:].max() > 1e-3, "five samples of rest are too few to forget"


def test_the_circuit_rings_down_while_the_bench_is_idle() -> None:
    bench = exact()
    volts = shots(1, 40)
    volts[:, -1] = 0
    _, first = bench.play(volts)
    _, at_once = bench.play(volts)
    bench.clock.sleep_until(bench.clock.now_s() + 3600.0)
    _, later = bench.play(volts)
    assert np.abs(at_once - first).max() > 1e-3
    # idle time ends when nothing moves by more than 1e-10 of 5 mV
    np.testing.assert_allclose(later, first, rtol=0, atol=1e-9)


def test_a_circuit_that_runs_away_is_told() -> None:
    bench = exact(network={"cubic": -5.0, "gain": 5.0, "saturation_v": 1.0})
    with pytest.raises(DeviceError, match="run away"):
        bench.play(3 * shots(4, 50))
    assert bench.adc.state is State.FAULT
    bench.adc.close()


def test_the_gain_walks_by_the_root_of_time() -> None:
    network = {"quality": 0.5, "oscillators": 2, "substeps": 1}
    bench = exact(board={"gain_walk_per_sqrt_s": 0.01}, network=network)
    volts, n = shots(1, 4), 200
    volts[:, -1] = 0
    _, clean = exact(network=network).play(volts)
    gains = []
    for _ in range(n):
        bench.clock.sleep_until(bench.clock.now_s() + 4.0)
        gains.append(float((bench.play(volts)[1] / clean).mean()))
    # 200 independent steps of 4 s, each 2 % wide; five standard errors
    assert np.diff(gains).std() == pytest.approx(0.02, rel=5 / math.sqrt(2 * n))
    # what is left of the shot before, 4 s ago, is below 1e-10 of a millivolt
    np.testing.assert_allclose(bench.adc.expected(torch.as_tensor(volts)).numpy() / clean, gains[-1], rtol=1e-6)


# Specimens and resuming


def noisy(seed: int = 1) -> Bench:
    # a circuit with a long memory
    return Bench(
        network={"quality": 20.0},
        board={"component_spread": 0.05, "gain_walk_per_sqrt_s": 0.01},
        dac_options={"noise_rms_v": 1e-3, **DAC_ERRORS}, adc_options={"noise_rms_v": 1e-3, **ADC_ERRORS}, seed=seed,
    )  # fmt: skip


def test_a_seed_is_a_specimen_and_its_noise() -> None:
    volts = shots(3, 30)
    first = noisy()
    _, once = first.play(volts)
    np.testing.assert_array_equal(noisy().play(volts)[1], once)
    other = noisy(2)
    assert np.abs(other.play(volts)[1] - once).max() > 1e-2
    truth = [bench.adc.expected(torch.as_tensor(volts)) for bench in (first, other)]
    assert float((truth[0] - truth[1]).abs().max()) > 1e-2


def test_reseeding_restarts_the_noise_and_leaves_the_specimen() -> None:
    bench, fresh = noisy(), noisy()
    bench.plant.reseed(5)
    fresh.plant.reseed(5)
    volts = shots(2, 30)
    _, once = bench.play(volts)
    np.testing.assert_array_equal(fresh.play(volts)[1], once)
    plain = noisy()
    assert np.abs(plain.play(volts)[1] - once).max() > 1e-4
    specimens = [
        b.adc.expected(torch.as_tensor(volts)) / b.plant.state()["gain"]  # type: ignore[operator]
        for b in (bench, plain)
    ]
    # the walk of the gain is noise; single precision through an offset of 5 mV that does not walk with it
    torch.testing.assert_close(specimens[0], specimens[1], rtol=0, atol=1e-4)


def test_a_saved_plant_goes_on_bit_for_bit() -> None:
    bench = noisy()
    volts = shots(3, 30)
    for _ in range(2):
        bench.play(volts)
    bench.clock.sleep_until(bench.clock.now_s() + 1.234e-3)
    file = io.BytesIO()
    torch.save({"plant": bench.plant.state(), "now_s": bench.clock.now_s()}, file)
    last_v = bench.dac.present_v
    due = [bench.play(volts)[1] for _ in range(2)]

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = noisy()
    resumed.plant.restore(saved["plant"])
    resumed.clock.sleep_until(saved["now_s"])
    np.testing.assert_array_equal(resumed.dac.present_v, last_v)
    for records in due:
        np.testing.assert_array_equal(resumed.play(volts)[1], records)
    with_noise_only = noisy()
    with_noise_only.plant.restore({**with_noise_only.plant.state(), "generators": saved["plant"]["generators"]})
    with_noise_only.clock.sleep_until(saved["now_s"])
    assert np.abs(with_noise_only.play(volts)[1] - due[0]).max() > 1e-3, "the circuit's own state matters"


def test_a_state_of_another_circuit_is_refused() -> None:
    with pytest.raises(DeviceError, match="saved state is that of a circuit with 13 variables"):
        Bench().plant.restore(Bench(network={"oscillators": 5}).plant.state())


class _LateClock(SimulatedClock):
    """A clock that has run for two months."""

    def __init__(self) -> None:
        super().__init__()
        self.sleep_until(5e6 + 1 / 3)


@pytest.mark.parametrize("rate_hz", [8e3, 100e3])
def test_a_clock_that_has_run_for_long_changes_nothing_and_costs_nothing(rate_hz: float) -> None:
    """Times near 5e6 s are rounded to 1e-9 s; samples stay at the same place in each step nevertheless."""
    network = {"sample_rate_hz": rate_hz, "reference_hz": rate_hz / 8}
    records, cuts = [], []
    for clock in (SimulatedClock(), _LateClock()):
        bench = exact(clock=clock, network=network)
        runs: list[int] = []
        run = bench.plant._physics.run
        bench.plant._physics.run = lambda *a, run=run, runs=runs: (runs.append(1), run(*a))[1]  # type: ignore[method-assign]
        records.append(bench.play(shots(8, 24), rate_hz=rate_hz)[1])
        cuts.append(len(runs))
    # 1e-9 s of the slower clock are 1e-4 of a step at most, and voltages of the order of 1 V
    np.testing.assert_allclose(records[1], records[0], rtol=0, atol=1e-3)
    assert cuts[1] <= cuts[0] + 2
