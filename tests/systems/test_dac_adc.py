"""A waveform through a circuit: what is played, what is read, and the gradient through it."""

from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.devices import Limits, SimulatedClock
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.systems import DacAdc, Facilities
from pnnlab.twins import CircuitTwinConfig, PlantTwinConfig, make_twin
from pnnlab_drivers.sim.dac import SimDac
from tests.devices.test_two_roles import AloneCard, Card
from tests.drivers.sim.circuits import Bench, exact
from tests.gradients import measured_and_exact

REST = 90
"""Samples after which this circuit's slowest oscillation has fallen by more than 1e-6."""


def wired(bench: Bench, **changes: Any) -> DacAdc:
    encoder = {
        "input_channels": (0,), "control_channels": (2, 1), "steps": 4, "hold": 2, "rest": REST,
        "amplitude_v": 0.5, "control_amplitude_v": 0.8, **changes.pop("encoder", {}),
    }  # fmt: skip
    config = DacAdc.Config.model_validate({
        "dac": "dac", "adc": "adc", "rate_hz": 8e3, "precision": "float64", "encoder": encoder,
        "decoder": {"windows": 4, "full_scale_v": 2.0}, **changes,
    })  # fmt: skip
    return DacAdc("circuit", config, {"dac": bench.dac, "adc": bench.adc}, Facilities(bench.clock))


def test_waveform_stands_as_the_file_says() -> None:
    """Drawn by hand: input on channel 0, controls on channels 2 and 1 in turn, each step held for two samples."""
    system = wired(exact())
    assert (system.n_in, system.n_controls, system.n_out) == (4, 8, 8)
    x, theta = np.array([[1.0, -1.0, 0.5, 0.0]]), np.linspace(0, 1, 8)
    (volts,) = system.to_setpoints(*system.encode(x, theta))
    assert volts.shape == (1, REST + 8, 3)
    assert not volts[:, :REST].any()
    controls = 0.8 * (2 * theta - 1)
    np.testing.assert_allclose(volts[0, REST:, 0], 0.5 * np.repeat(x[0], 2))
    np.testing.assert_allclose(volts[0, REST:, 2], np.repeat(controls[0::2], 2))
    np.testing.assert_allclose(volts[0, REST:, 1], np.repeat(controls[1::2], 2))


def test_inputs_may_be_shown_again_at_every_step() -> None:
    system = wired(exact(), encoder={"repeat_inputs": True, "input_channels": (0,), "control_channels": (2,)})
    assert (system.n_in, system.n_controls) == (1, 4)
    (volts,) = system.to_setpoints(*system.encode(np.array([[0.5]]), np.linspace(0, 1, 4)))
    np.testing.assert_allclose(volts[0, REST:, 0], 0.25)
    np.testing.assert_allclose(volts[0, REST:, 2], np.repeat(0.8 * (2 * np.linspace(0, 1, 4) - 1), 2))


def test_decoding_takes_means_of_windows_after_the_rest() -> None:
    system = wired(exact())
    record = np.random.default_rng(0).normal(size=(3, REST + 8, 2))
    by_hand = record[:, REST:].reshape(3, 4, 2, 2).mean(2) / 2.0
    np.testing.assert_allclose(system.decode(record), by_hand.reshape(3, 8))


def test_a_batch_is_one_waveform_and_takes_its_time() -> None:
    bench = exact()
    system = wired(bench)
    begin_s = bench.clock.now_s()
    shots = system.measure(np.random.default_rng(0).uniform(-1, 1, (5, 4)), np.full(8, 0.5))
    assert shots.y.shape == (5, 8) and system.n_shots == 5 and len(set(shots.tokens)) == 1
    assert bench.clock.now_s() - begin_s == pytest.approx(5 * (REST + 8) / 8e3, rel=0.01)


def test_realised_drive_is_what_the_codes_are() -> None:
    bench = exact(dac_options={"quantised": True, "bits": 6})
    system = wired(bench)
    x, theta = np.random.default_rng(0).uniform(-1, 1, (2, 4)), np.random.default_rng(1).random(8)
    (asked,), (realised,) = system.encode(x, theta), system.measure(x, theta).drive
    lsb = 10 / 64
    off = np.abs(asked - realised) * np.array([0.5, 0.8, 0.8])
    assert 0 < off.max() <= lsb / 2 + 1e-9
    codes = realised * np.array([0.5, 0.8, 0.8]) / lsb
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)


def test_gradients_of_a_perfect_twin_equal_autograd_through_the_plant() -> None:
    """1e-6 relative; the rest is long enough for what one shot leaves to the next."""
    torch.manual_seed(0)
    bench = exact(board={"component_spread": 0.1})
    system = wired(bench)
    twin = make_twin(PlantTwinConfig(), interface_of(system), dtype=torch.float64)
    layer = PhysicalLayer(system, twin)
    x, weight = torch.rand(3, 4, dtype=torch.float64) * 2 - 1, torch.randn(3, 8, dtype=torch.float64)
    for what, ours, truth in measured_and_exact(layer, x, weight):
        assert (ours - truth).norm() / truth.norm() < 1e-6, what


def test_the_design_is_the_twin_of_a_board_without_spread() -> None:
    system = wired(exact())
    design = CircuitTwinConfig(
        seed=3, oscillators=4, inputs=3, outputs=2, quality=1.0, sample_rate_hz=8e3, reference_hz=1e3,
        bandwidth_hz=3e3, saturation_v=5.0, substeps=8,
    )  # fmt: skip
    twin = make_twin(design, interface_of(system), dtype=torch.float64)
    shots = system.measure(np.random.default_rng(0).uniform(-1, 1, (3, 4)), np.random.default_rng(1).random(8))
    with torch.no_grad():
        y = twin(*(torch.from_numpy(d) for d in shots.drive))
    np.testing.assert_allclose(y.numpy(), shots.y, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoder": {"control_channels": (0, 1)}}, SetpointError, r"must be different ones of the 3 channels"),
        ({"encoder": {"control_channels": (1, 3)}}, SetpointError, r"must be different ones of the 3 channels"),
        ({"decoder": {"windows": 3, "full_scale_v": 2.0}}, SetpointError, r"3 windows do not divide the 8 samples"),
        ({"encoder": {"rest": 300_000}}, AbilityError, r"a shot has 300008 samples, the memory of dac holds 262144"),
    ],
)
def test_a_wiring_that_does_not_fit_is_refused(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wired(exact(), **changes)


def test_values_outside_their_range_are_refused() -> None:
    system = wired(exact())
    with pytest.raises(SetpointError, match=r"circuit: inputs span -1\.5 to 0, allowed are -1 to 1"):
        system.measure(np.array([[0, 0, 0, -1.5]]), np.full(8, 0.5))
    with pytest.raises(SetpointError, match=r"circuit: controls span 0\.5 to 1\.25, allowed are 0 to 1"):
        system.measure(np.zeros((1, 4)), np.array([0.5] * 7 + [1.25]))
    assert system.n_shots == 0


# Static voltages, one after the other


def stepped(bench: Bench, **changes: Any) -> DacAdc:
    """Settling takes 90 samples of this circuit, which are waited out in the host's time."""
    encoder = {"rest": 0, "steps": 2, "hold": 3, **changes.pop("encoder", {})}
    decoder = {"windows": 2, "full_scale_v": 2.0}
    return wired(bench, mode="steps", settle_s=REST / 8e3, encoder=encoder, decoder=decoder, **changes)


def test_static_voltages_give_what_a_waveform_of_long_steps_gives() -> None:
    x, theta = np.random.default_rng(0).uniform(-1, 1, (3, 2)), np.random.default_rng(1).random(4)
    steps = stepped(exact()).measure(x, theta)
    long = wired(
        exact(), encoder={"steps": 2, "hold": REST + 3, "rest": 0}, decoder={"windows": 2, "full_scale_v": 2.0}
    )
    (volts,) = long.to_setpoints(*long.encode(x, theta))
    records = exact().play(volts)[1].reshape(3, 2, REST + 3, 2)[:, :, REST:]
    # a waveform's sample is taken with the change, a static one after the settling time: 1e-6 of the step is left
    np.testing.assert_allclose(steps.y, records.mean(2).reshape(3, 4) / 2.0, atol=2e-5)
    assert len(set(steps.tokens.tolist())) == 3 and not np.isnan(steps.exposed_s).any()


def test_gradients_of_static_voltages_equal_autograd_through_the_plant() -> None:
    torch.manual_seed(0)
    bench = exact(board={"component_spread": 0.1}, network={"cubic": 0.0})
    system = stepped(bench, encoder={"hold": 1})
    twin = make_twin(PlantTwinConfig(), interface_of(system), dtype=torch.float64)
    layer = PhysicalLayer(system, twin)
    x, weight = torch.rand(3, 2, dtype=torch.float64) * 2 - 1, torch.randn(3, 4, dtype=torch.float64)
    for what, ours, truth in measured_and_exact(layer, x, weight):
        assert (ours - truth).norm() / truth.norm() < 1e-6, what


def test_the_design_is_the_twin_of_static_voltages_too() -> None:
    system = stepped(exact())
    design = CircuitTwinConfig(
        seed=3, oscillators=4, inputs=3, outputs=2, quality=1.0, sample_rate_hz=8e3, reference_hz=1e3,
        bandwidth_hz=3e3, saturation_v=5.0, substeps=8,
    )  # fmt: skip
    twin = make_twin(design, interface_of(system), dtype=torch.float64)
    shots = system.measure(np.random.default_rng(0).uniform(-1, 1, (3, 2)), np.random.default_rng(1).random(4))
    with torch.no_grad():
        y = twin(*(torch.from_numpy(d) for d in shots.drive))
    np.testing.assert_allclose(y.numpy(), shots.y, atol=2e-5)


def test_outputs_that_swing_around_a_middle() -> None:
    """As with pins that make 0 to 5 V: the drive is around the middle, realised as the codes are."""
    bench = exact(dac_options={"quantised": True, "bits": 6, "range_v": (0.0, 5.0)})
    encoder = {"amplitude_v": 2.0, "control_amplitude_v": 2.4, "offset_v": 2.5, "control_offset_v": 2.4}
    system = stepped(bench, encoder=encoder)
    x, theta = np.random.default_rng(0).uniform(-1, 1, (3, 2)), np.random.default_rng(1).random(4)
    (asked,) = system.encode(x, theta)
    (volts,) = system.to_setpoints(asked)
    np.testing.assert_allclose(volts[:, -1, 0], 2.5 + 2.0 * x[:, 1])
    assert volts.min() >= 0
    shots = system.measure(x, theta)
    (realised,) = shots.drive
    codes = (realised * [2.0, 2.4, 2.4] + [2.5, 2.4, 2.4]) * 64 / 5
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-6)
    assert 0 < np.abs(realised - asked).max() <= 0.5 * 5 / 64 / 2.0 + 1e-9


def test_an_output_of_zero_is_the_voltage_that_the_file_says() -> None:
    record = np.random.default_rng(0).normal(size=(3, REST + 8, 2))
    plain = wired(exact()).decode(record)
    shifted = wired(exact(), decoder={"windows": 4, "full_scale_v": 2.0, "zero_v": 0.5}).decode(record)
    np.testing.assert_allclose(shifted, plain - 0.25)


def test_a_slew_limit_is_kept_by_walking() -> None:
    bench = exact()
    limits = {"voltage": Limits(-5, 5, slew_per_s=100.0)}
    dac = SimDac("dac", bench.dac.options, clock=bench.clock, limits=limits, plant=bench.plant).open()
    config = stepped(exact()).config
    system = DacAdc("circuit", config, {"dac": dac, "adc": bench.adc}, Facilities(bench.clock))
    x, theta = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.full(4, 0.5)
    np.testing.assert_allclose(system.measure(x, theta).y, stepped(exact()).measure(x, theta).y, atol=2e-5)


def test_a_rest_stands_before_the_steps() -> None:
    bench = exact()
    system = stepped(bench, encoder={"rest": 400})
    before_s = bench.clock.now_s()
    shots = system.measure(np.ones((1, 2)), np.full(4, 0.5))
    assert bench.clock.now_s() - before_s >= 400 / 8e3 + 2 * REST / 8e3
    assert system.shot_s == pytest.approx((400 + 2 * (REST + 3)) / 8e3, rel=0.02)
    truth = system.expected(*(torch.from_numpy(d) for d in shots.drive))
    np.testing.assert_allclose(shots.y, truth.numpy(), atol=2e-5)


def test_one_card_plays_and_records_if_it_can() -> None:
    clock = SimulatedClock()
    config = wired(exact()).config.model_copy(update={"dac": "card", "adc": "card", "rate_hz": 100.0})
    short = config.model_copy(update={"encoder": config.encoder.model_copy(update={"rest": 0}), "precision": "float64"})
    card = Card("card", clock=clock).open()
    system = DacAdc("circuit", short, {"dac": card, "adc": card}, Facilities(clock))
    shots = system.measure(np.full((2, 4), 0.5), np.full(8, 0.5))
    assert card.log == ["start", "disarm"] * 1 and shots.y.shape == (2, 8)
    alone = AloneCard("card", clock=clock).open()
    with pytest.raises(AbilityError, match="card cannot play a waveform and record at once; use two devices, or set"):
        DacAdc("circuit", short, {"dac": alone, "adc": alone}, Facilities(clock))
    steps = short.model_copy(update={"mode": "steps"})
    shots = DacAdc("circuit", steps, {"dac": alone, "adc": alone}, Facilities(clock)).measure(
        np.full((2, 4), 0.5), np.full(8, 0.5)
    )
    np.testing.assert_allclose(shots.y.reshape(2, 4, 2)[..., 0], 0.25 / 2.0)


def test_converters_without_a_proof_are_refused_and_told_what_else_there_is() -> None:
    bench = exact(adc_options={"stamps": False})
    with pytest.raises(AbilityError, match=r"takes one for each record and has no time stamps.*mode. to .steps."):
        wired(bench)
    wired(exact(adc_options={"stamps": False, "chains": True}))
    stepped(bench)
