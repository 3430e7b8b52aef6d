"""The forward pass is the measurement, the backward pass the twin's at the measured point."""

import numpy as np
import pytest
import torch
from torch import nn

from pnnlab.errors import TwinError
from pnnlab.nn import ClassBins, ForwardRule, PhysicalLayer, Reencode, interface_of, record_shots
from pnnlab.twins import OpticalTwinConfig, PlantTwinConfig, make_twin
from tests.benches import OpticalBench, exact_bench


def plant_twin(bench: OpticalBench) -> nn.Module:
    return make_twin(PlantTwinConfig(), interface_of(bench.optics), dtype=torch.float64)


def deep_network(
    bench: OpticalBench, twin: nn.Module | None, rule: ForwardRule = ForwardRule.MEASURED
) -> nn.Sequential:
    """Two passes through one system, with the structure of the shipped network between them."""
    layers = [PhysicalLayer(bench.optics, twin) for _ in range(2)]  # type: ignore[arg-type]
    for layer in layers:
        layer.rule = rule
    return nn.Sequential(layers[0], Reencode(64), layers[1])


def test_forward_is_the_measurement_and_not_the_twin() -> None:
    bench = OpticalBench(table={"medium_mismatch": 0.5})
    design = OpticalTwinConfig(macropixels=(8, 8), outputs=(8, 8), seed=7)
    layer = PhysicalLayer(bench.optics, make_twin(design, interface_of(bench.optics)))
    x = torch.rand(5, 64)
    y = layer(x)
    assert layer.last_measurement is not None
    np.testing.assert_array_equal(y.detach().numpy(), layer.last_measurement.y)
    layer.rule = ForwardRule.TWIN
    assert (layer(x) - y).abs().max() > 0.05


def test_gradients_of_a_perfect_twin_equal_autograd_through_the_plant() -> None:
    """1e-6 relative in double precision, for inputs and the controls of both passes.

    The only difference left is the panel's last trace of settling: 300 time constants leave none.
    """
    torch.manual_seed(0)
    bench = exact_bench()
    measured = deep_network(bench, plant_twin(bench))
    truth = deep_network(bench, plant_twin(bench), ForwardRule.TWIN)
    truth.load_state_dict(measured.state_dict())
    x = torch.rand(4, 64, dtype=torch.float64)
    weight = torch.randn(4, 64, dtype=torch.float64)
    grads = []
    for model in (measured, truth):
        inputs = x.clone().requires_grad_()
        (model(inputs) * weight).sum().backward()
        grads.append([inputs.grad, model[0].raw_controls.grad, model[2].raw_controls.grad])
    for ours, exact in zip(*grads, strict=True):
        assert ours is not None and exact is not None
        assert exact.norm() > 1e-3
        assert (ours - exact).norm() / exact.norm() < 1e-6


def test_gradient_passes_finite_differences_of_the_bench_itself() -> None:
    """Central differences of measured outputs, without the twin: their own error is about 1e-7 of the gradient."""
    torch.manual_seed(1)
    bench = exact_bench()
    layer = PhysicalLayer(bench.optics, plant_twin(bench))  # type: ignore[arg-type]
    x, weight = torch.rand(3, 64, dtype=torch.float64), torch.randn(3, 64, dtype=torch.float64)
    (layer(x) * weight).sum().backward()
    assert layer.raw_controls.grad is not None
    theta, step = layer.raw_controls.detach().numpy(), 1e-5
    for k in (0, 17, 63):
        shifted = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[k] += sign * step
            shifted.append(bench.optics.measure(x.numpy(), moved).y)
        slope = ((shifted[0] - shifted[1]) * weight.numpy()).sum() / (2 * step)
        assert slope == pytest.approx(float(layer.raw_controls.grad[k]), rel=1e-5, abs=1e-7)


def test_backward_is_evaluated_at_the_realised_drive() -> None:
    """Four grey levels: the realised phase is far from the one asked for, and the gradient belongs to it."""
    torch.manual_seed(0)
    bench = OpticalBench(
        table={"precision": "float64"}, slm={"levels": 4, "settling_s": 1e-4},
        camera={"quantised": False, "noise": 0.0}, system={"precision": "float64"},
    )  # fmt: skip
    twin = plant_twin(bench)
    layer = PhysicalLayer(bench.optics, twin)  # type: ignore[arg-type]
    x, weight = torch.rand(2, 64, dtype=torch.float64), torch.randn(2, 64, dtype=torch.float64)
    (layer(x) * weight).sum().backward()
    assert layer.last_measurement is not None
    realised = torch.tensor(layer.last_measurement.drive[0], requires_grad=True)
    assert set(np.unique(layer.last_measurement.drive[0])) <= {0.0, 0.25, 0.5, 0.75}
    (twin(realised) * weight).sum().backward()
    assert realised.grad is not None
    torch.testing.assert_close(layer.raw_controls.grad, realised.grad.sum(0), rtol=1e-9, atol=1e-12)


def test_a_layer_without_a_twin_measures_but_has_no_gradient() -> None:
    bench = OpticalBench()
    layer = PhysicalLayer(bench.optics)
    with torch.no_grad():
        assert layer(torch.rand(2, 64)).shape == (2, 64)
    with pytest.raises(TwinError, match=r"optics: a gradient .* has no twin; give PhysicalLayer a twin"):
        layer(torch.rand(2, 64))


def test_layers_that_share_a_system_keep_their_own_controls() -> None:
    bench = exact_bench()
    model = deep_network(bench, plant_twin(bench))
    x = torch.rand(2, 64, dtype=torch.float64)
    with torch.no_grad():
        first = model(x)
        model[2].raw_controls.add_(0.3)
        changed = model(x)
        model[2].raw_controls.sub_(0.3)
        again = model(x)
    assert (first - changed).abs().max() > 1e-3
    torch.testing.assert_close(first, again, rtol=1e-9, atol=1e-9)


def test_recorded_shots_are_what_was_realised_and_measured() -> None:
    bench = OpticalBench()
    model = deep_network(bench, None)
    with torch.no_grad(), record_shots(model) as shots:
        model(torch.rand(3, 64))
    first, second = shots["optics"]
    assert first.drive[0].shape == (3, 64) and second.y.shape == (3, 64)
    levels = first.drive[0] * 256
    assert torch.equal(levels, levels.round())
    with torch.no_grad():
        model(torch.rand(3, 64))
    assert len(shots["optics"]) == 2


@pytest.mark.parametrize("module", [Reencode(4), ClassBins(8, 4)])
def test_a_dark_frame_stays_dark_and_has_a_finite_gradient(module: torch.nn.Module) -> None:
    y = torch.zeros(2, 8, requires_grad=True)
    module(y).square().sum().backward()
    assert torch.equal(module(y), torch.zeros(2, 4)) and torch.isfinite(y.grad).all()  # type: ignore[arg-type]
