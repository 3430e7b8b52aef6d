"""The set-up with hidden mismatch: a device that is its twin at mismatch 0, and its own gradient where asked."""

import pytest
import torch

from pnnlab.methods import InSilico, PhysicsAware
from pnnlab.nn import ForwardRule, interface_of
from pnnlab.training import deploy
from scripts.setups.mismatched_digits import Bench, MismatchedLayer, NominalLayer, accuracy, digits


def test_without_mismatch_the_device_is_its_twin() -> None:
    bench = Bench(0.0)
    x = torch.rand(5, 64)
    outputs = []
    for rule in (ForwardRule.TWIN, ForwardRule.MEASURED):
        for layer in bench.model:
            layer.rule = rule
        outputs.append(bench.model(x))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_the_mismatched_layer_is_the_equation_of_the_set_up() -> None:
    layer = MismatchedLayer(3, 2, 0.4, torch.Generator().manual_seed(0))
    x, weights = torch.rand(4, 3), torch.randn(2, 3)
    z = torch.stack([layer.crosstalk @ ((weights * layer.gain) @ row) for row in x])
    expected = torch.tanh(z * layer.row_gain + layer.row_offset)
    torch.testing.assert_close(layer(x, weights, None), expected)
    assert float(layer.gain.std()) == pytest.approx(0.4, rel=0.6)


def test_physics_aware_training_holds_where_in_silico_training_falls() -> None:
    """Two tenths of the epochs and one device: the whole table is printed by scripts/show_acceptance.py."""
    task = digits()
    found = {
        name: accuracy(Bench(0.4, seed=1, exact=exact), method, task, epochs=8)
        for name, method, exact in (
            ("in silico", InSilico(), False), ("aware", PhysicsAware(), False), ("ceiling", PhysicsAware(), True),
        )
    }  # fmt: skip
    assert found["in silico"] + 0.15 < found["aware"] and found["aware"] > found["ceiling"] - 0.03


def test_a_drifting_device_goes_on_from_its_checkpoint() -> None:
    task = digits()
    benches = [Bench(0.2, read_noise=0.1, drift=1e-3) for _ in range(2)]
    first, second = (bench.trainer(PhysicsAware(), task, epochs=1) for bench in benches)
    first.run()
    second.load_state(first.state())  # type: ignore[arg-type]
    kept = benches[0].lab.systems["layer-0"].state()["physics"]["wander"]
    assert float(kept.abs().max()) > 0
    assert deploy(benches[0].model, task.test) == deploy(benches[1].model, task.test)


def test_replayed_activations_set_where_the_slope_of_tanh_is_taken() -> None:
    """By hand: the gradient of sum(y) in W is (1 - y²) x with the measured y, not the twin's tanh(W x)."""
    bench = Bench(0.4)
    system = bench.lab.systems["layer-0"]
    twin = NominalLayer(interface_of(system))
    x, weights = torch.rand(6, 64), torch.randn(64, 64) / 8
    weights.requires_grad_()
    y = torch.rand(6, 64)
    twin.replay((x, weights), (y,)).sum().backward()
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, (1 - y**2).T @ x, rtol=1e-4, atol=1e-4)
