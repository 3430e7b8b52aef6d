"""The spiking chip: perfect, it is its twin; imperfect, what was recorded is replayed."""

import torch

from pnnlab.methods import MeasuredActivations, PhysicsAware, Setting, backward, physical_layers
from pnnlab.nn import ForwardRule
from scripts.setups.mismatched_digits import digits
from scripts.setups.spiking_chip import network


def test_a_perfect_chip_replayed_has_the_gradient_of_its_twin() -> None:
    x, y = (part[:16] for part in digits().train)
    found = []
    for method in (PhysicsAware(), MeasuredActivations()):
        model, _ = network(0.0, 0)
        method.prepare(model, Setting(64, 10, 1, 1e-3))
        (layer,) = physical_layers(model)
        backward(model, x, y, torch.nn.functional.cross_entropy)
        assert layer.raw_controls.grad is not None
        found.append(layer.raw_controls.grad)
        measured = model(x)
        layer.rule = ForwardRule.TWIN
        torch.testing.assert_close(model(x), measured)
    torch.testing.assert_close(found[1], found[0])


def test_on_an_imperfect_chip_the_readout_learns_from_recorded_spikes() -> None:
    """The gradient of the last synapses is the error times the spikes that the chip recorded, leaked as in the twin."""
    x, y = (part[:16] for part in digits().train)
    model, _ = network(0.5, 0)
    MeasuredActivations().prepare(model, Setting(64, 10, 1, 1e-3))
    (layer,) = physical_layers(model)
    outputs = model(x)
    torch.nn.functional.cross_entropy(outputs, y).backward()
    assert layer.last_measurement is not None and layer.raw_controls.grad is not None
    spikes = torch.from_numpy(layer.last_measurement.states[0][..., 0])
    # a spike at step t counts (1 + β + ... + β^(T-1-t)) / T in the mean voltage
    kernel = torch.tensor([sum(0.9**k for k in range(20 - t)) / 20 for t in range(20)])
    error = (outputs.detach().softmax(-1) - torch.nn.functional.one_hot(y, 10)) / 16
    expected = error.T @ torch.einsum("bth,t->bh", spikes, kernel)
    controls = layer.controls.detach()[64 * 64 :]
    slope = 4 * controls * (1 - controls)
    torch.testing.assert_close(layer.raw_controls.grad[64 * 64 :] / slope, expected.flatten(), rtol=1e-3, atol=1e-5)
