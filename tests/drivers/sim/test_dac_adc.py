"""The simulated converters at the circuit: imperfections, what is expected, triggers."""

import math
from typing import Any, Unpack

import numpy as np
import pytest
import torch

from pnnlab.devices import State, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.systems import DacAdc, Facilities
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.circuit_board import CircuitBoard
from pnnlab_drivers.sim.dac import SimDac
from tests.drivers.sim.circuits import (
    ADC_ERRORS,
    DAC_ERRORS,
    RATE_HZ,
    Bench,
    designed,
    exact,
    shots,
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
    with pytest.raises(AcquisitionError, match="0 of 1 records were started by hardware triggers"):
        bench.adc.read(1, timeout_s=1.0)
    assert bench.adc.state is State.ARMED


def test_a_waveform_that_is_too_short_leaves_records_missing() -> None:
    bench = Bench()
    bench.adc.arm_records(4, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(np.zeros((24, 3)), rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    assert len(bench.adc.read(3, timeout_s=1.0).volts) == 3
    with pytest.raises(AcquisitionError, match="3 of 4 records were started by hardware triggers"):
        bench.adc.read(1, timeout_s=1.0)


def test_a_trigger_during_a_record_is_lost() -> None:
    bench = Bench()
    bench.adc.arm_records(2, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.SOFTWARE)
    bench.adc.start()
    bench.adc.trigger()
    bench.clock.sleep_until(4 / RATE_HZ)
    bench.adc.trigger()
    with pytest.raises(AcquisitionError, match="1 of 2 records were started by software triggers"):
        bench.adc.read(2, timeout_s=1.0)


def test_records_that_overlap_the_past_are_refused() -> None:
    bench = Bench()
    bench.play(shots(1, 8))
    with pytest.raises(AcquisitionError, match="does not run backwards"):
        bench.plant.course.foresee(np.array([0.0]))


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


def test_a_system_measures_what_it_expects() -> None:
    bench = Bench(network={"inputs": 2})
    config = DacAdc.Config.model_validate({
        "dac": "dac", "adc": "adc", "rate_hz": RATE_HZ, "decoder": {"windows": 4, "full_scale_v": 1.0},
        "encoder": {
            "input_channels": (0,), "control_channels": (1,), "steps": 8, "hold": 2, "rest": 80, "amplitude_v": 1.0,
            "control_amplitude_v": 1.0,
        },
    })  # fmt: skip
    system = DacAdc("circuit", config, {"dac": bench.dac, "adc": bench.adc}, Facilities(bench.clock))
    rng = np.random.default_rng(0)
    shot = system.measure(rng.uniform(-1, 1, (6, 8)), rng.uniform(0, 1, 8))
    expected = system.expected(torch.as_tensor(shot.drive[0])).numpy()
    # 16 bits of ±5 V are 0.15 mV; a window is the mean of four samples; what the rest leaves over is below 1e-4
    np.testing.assert_allclose(shot.y, expected, rtol=0, atol=2e-4)
    assert shot.y.std() > 0.01
