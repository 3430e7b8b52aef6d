"""The simulated converters and the circuit between them, against formulas and an independent integrator."""

import io
import math
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.integrate import solve_ivp

from pnnlab.devices import SimulatedClock, State, Trigger
from pnnlab.errors import AcquisitionError, DeviceError, SetpointError
from pnnlab.physics import OscillatorNetwork
from pnnlab.systems import DacAdc
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._sweeps import Advance, run_in_segments
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.circuit_board import CircuitBoard, CircuitBoardOptions
from pnnlab_drivers.sim.dac import SimDac

Array = npt.NDArray[np.floating]

RATE_HZ = 8e3
DESIGN = {"seed": 3, "oscillators": 4, "inputs": 3, "outputs": 2, "quality": 1.0}
"""A small circuit: its slowest oscillation falls by exp(pi reference / 2 quality) a second, by 1e-6 in 70 samples."""
DAC_ERRORS = {"offset_v": 5e-3, "gain_error": 0.02, "inl_lsb": 2.0, "dnl_lsb": 1.0}
ADC_ERRORS = {"offset_v": 5e-3, "gain_error": 0.02, "inl_lsb": 2.0}


@dataclass
class Bench:
    """A DAC, a circuit and an ADC; opened."""

    board: dict[str, Any] = field(default_factory=dict)
    dac_options: dict[str, Any] = field(default_factory=dict)
    adc_options: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    seed: int = 1

    def __post_init__(self) -> None:
        self.clock = SimulatedClock()
        options = CircuitBoardOptions.model_validate({"network": {**DESIGN, **self.network}, **self.board})
        self.plant = CircuitBoard("board", options, clock=self.clock, seed=self.seed)
        dac, adc = (
            kind.Options.model_validate(chosen)
            for kind, chosen in ((SimDac, self.dac_options), (SimAdc, self.adc_options))
        )
        self.dac = SimDac("dac", dac, clock=self.clock, plant=self.plant).open()
        self.adc = SimAdc("adc", adc, clock=self.clock, plant=self.plant).open()

    def play(self, volts: Array, *, rate_hz: float = RATE_HZ) -> tuple[Array, Array]:
        """Play shots, shape `(batch, n_samples, n_in)`, as one waveform; return what was realised and the records."""
        self.adc.arm_records(len(volts), n_samples=volts.shape[1], rate_hz=rate_hz, trigger=Trigger.HARDWARE)
        setpoint = self.dac.arm_waveform(volts.reshape(-1, volts.shape[-1]), rate_hz=rate_hz, trigger=Trigger.INTERNAL)
        self.adc.start()
        self.dac.start()
        records = self.adc.read(len(volts), timeout_s=100.0).volts
        self.dac.wait(1.0)
        self.dac.disarm()
        self.adc.disarm()
        return np.asarray(setpoint.realised, np.float64).reshape(volts.shape), np.asarray(records, np.float64)


def exact(**changes: Any) -> Bench:
    """Return a bench in double precision without any converter error and without quantisation."""
    return Bench(
        board={"precision": "float64", **changes.pop("board", {})},
        dac_options={"quantised": False, **changes.pop("dac_options", {})},
        adc_options={"quantised": False, **changes.pop("adc_options", {})},
        **changes,
    )


def shots(batch: int, n_samples: int, *, rest: int = 0, n_in: int = 3, seed: int = 0) -> Array:
    volts = np.random.default_rng(seed).uniform(-1, 1, (batch, n_samples, n_in))
    volts[:, :rest] = 0
    return volts


def designed(**changes: Any) -> OscillatorNetwork:
    """Return the circuit as designed, in double precision."""
    design: dict[str, Any] = {**DESIGN, **changes}
    oscillators, inputs, outputs = (design.pop(key) for key in ("oscillators", "inputs", "outputs"))
    generator = torch.Generator().manual_seed(design.pop("seed"))
    return OscillatorNetwork.random(
        oscillators, inputs, outputs, generator, sample_rate_hz=RATE_HZ, dtype=torch.float64, **design
    )


# Conformance


class TestSimDac(DACConformance[SimDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimDac:
        plant = CircuitBoard("board", clock=arguments["clock"])
        return SimDac("dac", SimDac.Options.model_validate({"max_samples": 1000}), plant=plant, **arguments)


class TestSimDacWithErrors(DACConformance[SimDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimDac:
        plant = CircuitBoard("board", clock=arguments["clock"])
        options = SimDac.Options.model_validate({
            "bits": 12, "range_v": (0.0, 3.3), "safe_v": 1.65, "max_samples": 64, "noise_rms_v": 1e-3, **DAC_ERRORS,
        })  # fmt: skip
        return SimDac("dac", options, plant=plant, **arguments)


class TestSimAdc(ADCConformance[SimAdc]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimAdc:
        plant = CircuitBoard("board", clock=arguments["clock"])
        return SimAdc("adc", SimAdc.Options.model_validate({"noise_rms_v": 1e-3}), plant=plant, **arguments)

    def pulse(self, device: SimAdc) -> None:
        assert isinstance(device.plant, CircuitBoard)
        device.plant.pulse(device.clock.now_s())


# Converters


def converter(n_channels: int = 3, *, n_codes: int = 256, **errors: Any) -> Converter:
    return Converter(
        n_channels, low=-1.0, high=1.0, n_codes=n_codes, generator=torch.Generator().manual_seed(0),
        dtype=torch.float64, torch_device=torch.device("cpu"), **errors,
    )  # fmt: skip


def test_a_converter_without_errors_changes_nothing() -> None:
    values = torch.linspace(-2, 2, 99, dtype=torch.float64)[:, None].expand(-1, 3)
    assert torch.equal(converter().distort(values), values)


def test_offsets_and_gains_have_their_spread() -> None:
    n = 4000
    offsets = converter(n, offset=0.3).distort(torch.zeros(n, dtype=torch.float64))
    gains = converter(n, gain=0.02).distort(torch.ones(n, dtype=torch.float64)) - 1
    # the relative standard error of a standard deviation of n normal numbers is 1/sqrt(2 n) = 1.1 %; five of them
    assert float(offsets.std()) == pytest.approx(0.3, rel=5 / math.sqrt(2 * n))
    assert float(gains.std()) == pytest.approx(0.02, rel=5 / math.sqrt(2 * n))


def test_integral_nonlinearity_has_its_size_and_ends_at_the_ends() -> None:
    values = torch.linspace(-1, 1, 513, dtype=torch.float64)[:, None].expand(-1, 8)
    bent = (converter(8, inl_lsb=1.5).distort(values) - values) / (2 / 256)
    assert bent[[0, -1]].abs().max() < 1e-12
    # looked for on another grid than where it was scaled: a sine of four waves is curved by 5e-4 between two points
    torch.testing.assert_close(bent.abs().amax(0), torch.full((8,), 1.5, dtype=torch.float64), rtol=1e-3, atol=0)


def test_differential_nonlinearity_has_its_root_mean_square() -> None:
    codes = torch.as_tensor(converter().nearest(-1 + np.arange(256) * 2 / 256))[:, None].expand(-1, 50)
    steps = torch.diff(converter(50, dnl_lsb=0.25).distort(codes), dim=0) / (2 / 256) - 1
    # 12 750 steps; neighbours share a code, which widens the standard error of 0.6 % by sqrt(1.5); five of them
    assert float((steps**2).mean().sqrt()) == pytest.approx(0.25, rel=0.04)


def test_codes_are_those_of_two_s_complement() -> None:
    plain = converter(n_codes=8)
    np.testing.assert_array_equal(plain.nearest(np.array([-2, -1, -0.126, 0, 0.1, 0.9, 2])),
                                  [-1, -1, -0.25, 0, 0, 0.75, 0.75])  # fmt: skip


# The circuit in time


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


def advance_of(network: OscillatorNetwork) -> Advance:
    def advance(drive: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs, state = network(drive, state)
        return outputs.unsqueeze(2), state

    return advance


@pytest.mark.parametrize(
    "changes",
    [{}, {"cubic": 2.0}, {"quality": 0.5}, {"quality": 1e4, "cubic": 0.0}],
    ids=["as designed", "stiff", "overdamped", "hardly damped"],
)
@pytest.mark.parametrize("n", [1, 50, 997, 1200])
def test_segments_join_to_the_plain_loop(changes: dict[str, float], n: int) -> None:
    network = designed(**changes)
    advance = advance_of(network)
    drive = torch.as_tensor(shots(1, n)[0])
    start = 0.1 * torch.randn(1, network.state_size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        due, end = advance(drive[None], start)
        found, found_end = run_in_segments(advance, drive, start, memory_steps=100, tolerance=1e-10)
    # an error of 1e-10 of the largest state, a few volts, at each of some tens of joints at the most
    torch.testing.assert_close(found, due[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(found_end, end, rtol=0, atol=1e-7)


def test_segments_are_swept_together_only_where_the_circuit_forgets() -> None:
    def steps(network: OscillatorNetwork) -> int:
        done = 0

        def advance(drive: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            nonlocal done
            done += drive.shape[1]
            return advance_of(network)(drive, state)

        with torch.no_grad():
            run_in_segments(
                advance, torch.as_tensor(shots(1, 2000)[0]), torch.zeros(1, network.state_size, dtype=torch.float64),
                memory_steps=100, tolerance=1e-6,
            )  # fmt: skip
        return done

    assert steps(designed(quality=1.0)) < 2000 / 4
    assert 2000 <= steps(designed(quality=1e5, cubic=0.0)) < 2000 * 1.3


def test_a_circuit_that_runs_away_is_told() -> None:
    bench = exact(network={"cubic": -5.0, "gain": 5.0, "saturation_v": 1.0})
    with pytest.raises(DeviceError, match="run away"):
        bench.play(3 * shots(4, 50))
    assert bench.adc.state is State.FAULT
    bench.adc.close()


# Imperfections


def test_without_imperfections_a_record_is_the_designed_circuit_s() -> None:
    bench = exact(dac_options={"mismatch": 0.0, "noise": 0.0, "noise_rms_v": 1.0, **DAC_ERRORS},
                  adc_options={"mismatch": 0.0, "noise": 0.0, "noise_rms_v": 1.0, **ADC_ERRORS},
                  board={"mismatch": 0.0, "component_spread": 0.5})  # fmt: skip
    volts = shots(1, 50)
    realised, found = bench.play(volts)
    with torch.no_grad():
        due, _ = designed()(torch.as_tensor(volts))
    np.testing.assert_array_equal(realised, volts)
    np.testing.assert_allclose(found, due, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ("board", {"component_spread": 0.05}),
        ("board", {"gain_walk_per_sqrt_s": 0.05}),
        *(("dac_options", {key: value}) for key, value in DAC_ERRORS.items()),
        *(("adc_options", {key: value}) for key, value in ADC_ERRORS.items()),
        ("dac_options", {"noise_rms_v": 1e-3}),
        ("adc_options", {"noise_rms_v": 1e-3}),
        ("dac_options", {"quantised": True, "bits": 10}),
        ("adc_options", {"quantised": True, "bits": 10}),
    ],
)
def test_each_imperfection_shows(where: str, options: dict[str, Any]) -> None:
    volts = shots(2, 40)
    _, clean = exact().play(volts)
    bench = exact(**{where: {"bits": 12, **options} if where != "board" else options})
    bench.clock.sleep_until(1.0)
    _, found = bench.play(volts)
    rms = float(np.sqrt(((found - clean) ** 2).mean()))
    # 12 bits of 10 V are 2.4 mV; every entry above is of some thousandths of the signal of about 0.3 V
    assert 1e-5 < rms < 0.1


def test_noise_of_the_adc_has_its_variance_and_rounding_adds_a_twelfth() -> None:
    bench = Bench(adc_options={"noise_rms_v": 3e-3, "bits": 12})
    _, found = bench.play(np.zeros((1, 4000, 3)))
    lsb_v = 10 / 2**12
    n = found.size
    # independent samples: a relative standard error of 1/sqrt(2 n) of the standard deviation, five of them
    assert found.std() == pytest.approx(math.sqrt(3e-3**2 + lsb_v**2 / 12), rel=5 / math.sqrt(2 * n))
    np.testing.assert_allclose(found / lsb_v, np.rint(found / lsb_v), atol=1e-3)


def test_noise_of_the_dac_passes_through_the_circuit() -> None:
    # samples so long that the linear circuit settles within each: every output is the static gain times the noise
    network = {"quality": 0.5, "cubic": 0.0, "oscillators": 2, "substeps": 2}
    bench = exact(network=network, dac_options={"noise_rms_v": 10e-3})
    n = 1000
    _, found = bench.play(np.zeros((1, n, 3)), rate_hz=100.0)
    clean = exact(network=network)
    gains = np.concatenate([clean.play(np.eye(3)[[c]][None], rate_hz=20.0)[1][0] for c in range(3)])
    due = 10e-3 * np.sqrt((gains**2).sum(0))
    np.testing.assert_allclose(found[0].std(0), due, rtol=5 / math.sqrt(2 * n))


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


def test_the_adc_saturates_at_its_range() -> None:
    bench = Bench(network={"gain": 20.0}, adc_options={"range_v": (-0.5, 0.5), "bits": 8})
    volts = 4 * shots(1, 60)
    _, found = bench.play(volts)
    assert (found.min(), found.max()) == (-0.5, 0.5 - 1 / 2**8)
    expected = bench.adc.expected(torch.as_tensor(volts)).numpy()
    assert (expected.min(), expected.max()) == pytest.approx((-0.5, 0.5 - 1 / 2**8))


# What is expected


def imperfect(**changes: Any) -> Bench:
    return Bench(
        board={"precision": "float64", "component_spread": 0.05},
        dac_options={"bits": 12, **DAC_ERRORS, **changes.pop("dac_options", {})},
        adc_options={"bits": 12, **ADC_ERRORS, **changes.pop("adc_options", {})},
        **changes,
    )


def test_expected_is_the_mean_of_many_readings() -> None:
    # noise of more than a code: what rounding adds to the mean is below exp(-2 (pi 1.6)^2) codes
    bench = imperfect(adc_options={"noise_rms_v": 4e-3})
    shot = shots(1, 90, rest=70)
    realised, _ = bench.play(shot)
    _, found = bench.play(np.repeat(shot, 400, 0))
    mean, error = found[:, 70:].mean(0), found[:, 70:].std(0) / math.sqrt(400)
    expected = bench.adc.expected(torch.as_tensor(realised))[0, 70:].numpy()
    # 40 numbers: the largest of as many normal ones stays below four standard errors with a chance of 0.997
    assert (np.abs(mean - expected) / error).max() < 4
    rms = np.sqrt((((mean - expected) / error) ** 2).mean())
    assert 0.6 < rms < 1.4, "the deviations are as large as their standard error"


def test_expected_holds_every_error_of_the_converters() -> None:
    bench = imperfect(adc_options={"quantised": False})
    realised, found = bench.play(shots(1, 90, rest=70))
    expected = bench.adc.expected(torch.as_tensor(realised)).numpy()
    # the DAC's offset has moved the circuit before the shot already; within the rest that is forgotten to 1e-4
    np.testing.assert_allclose(found[:, 70:], expected[:, 70:], rtol=0, atol=2e-5)


@pytest.mark.parametrize("delay_s", [None, 40e-6])
def test_the_gradient_of_expected_is_exact(delay_s: float | None) -> None:
    bench = imperfect(adc_options={"delay_s": delay_s}, network={"oscillators": 2, "substeps": 2})
    volts = torch.as_tensor(shots(2, 4)).requires_grad_()
    assert torch.autograd.gradcheck(bench.adc.expected, (volts,), eps=1e-7, atol=1e-6)


def test_expected_keeps_type_and_precision() -> None:
    bench = Bench()
    volts = torch.zeros(2, 5, 3, dtype=torch.float64)
    assert bench.adc.expected(volts).dtype is torch.float64
    assert bench.adc.expected(volts.float()).shape == (2, 5, 2)


# Triggers


def test_a_waveform_before_the_adc_listens_is_missed() -> None:
    bench = Bench()
    bench.adc.arm_records(1, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(np.zeros((8, 3)), rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.dac.start()
    bench.adc.start()
    with pytest.raises(AcquisitionError, match="1 records are due, 0 were started by hardware"):
        bench.adc.read(1, timeout_s=1.0)
    assert bench.adc.state is State.ARMED


def test_a_waveform_that_is_too_short_leaves_records_missing() -> None:
    bench = Bench()
    bench.adc.arm_records(4, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(np.zeros((24, 3)), rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    assert len(bench.adc.read(3, timeout_s=1.0).volts) == 3
    with pytest.raises(AcquisitionError, match="4 records are due, 3 were started"):
        bench.adc.read(1, timeout_s=1.0)


def test_a_trigger_during_a_record_is_lost() -> None:
    bench = Bench()
    bench.adc.arm_records(2, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.SOFTWARE)
    bench.adc.start()
    bench.adc.trigger()
    bench.clock.sleep_until(4 / RATE_HZ)
    bench.adc.trigger()
    with pytest.raises(AcquisitionError, match="1 were started by software"):
        bench.adc.read(2, timeout_s=1.0)


def test_records_that_overlap_the_past_are_refused() -> None:
    bench = Bench()
    bench.play(shots(1, 8))
    with pytest.raises(AcquisitionError, match="does not run backwards"):
        bench.plant.sample(np.array([0.0]))


def test_a_waveform_that_is_abandoned_leaves_the_outputs_where_it_was() -> None:
    bench = Bench()
    volts = np.linspace(-1, 1, 10)[:, None] * np.ones(3)
    setpoint = bench.dac.arm_waveform(volts, rate_hz=1000.0, trigger=Trigger.INTERNAL)
    bench.dac.start()
    bench.clock.sleep_until(3.5e-3)
    with pytest.raises(AcquisitionError, match="still plays"):
        bench.dac.wait(1e-3)
    bench.dac.disarm()
    bench.clock.sleep_until(1.0)
    np.testing.assert_array_equal(bench.dac.present_v, setpoint.realised[4])


# Specimens and resuming


def noisy(seed: int = 1) -> Bench:
    return Bench(
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


def test_a_system_measures_what_it_expects() -> None:
    bench = Bench(network={"inputs": 2})
    config = DacAdc.Config.model_validate({
        "dac": "dac", "adc": "adc", "rate_hz": RATE_HZ, "decoder": {"windows": 4, "full_scale_v": 1.0},
        "encoder": {
            "input_channels": (0,), "control_channels": (1,), "steps": 8, "hold": 2, "rest": 80, "amplitude_v": 1.0,
            "control_amplitude_v": 1.0,
        },
    })  # fmt: skip
    system = DacAdc("circuit", config, {"dac": bench.dac, "adc": bench.adc}, clock=bench.clock)
    rng = np.random.default_rng(0)
    shot = system.measure(rng.uniform(-1, 1, (6, 8)), rng.uniform(0, 1, 8))
    expected = system.expected(torch.as_tensor(shot.drive[0])).numpy()
    # 16 bits of ±5 V are 0.15 mV; a window is the mean of four samples; what the rest leaves over is below 1e-4
    np.testing.assert_allclose(shot.y, expected, rtol=0, atol=2e-4)
    assert shot.y.std() > 0.01
