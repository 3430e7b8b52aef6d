"""Leaky integrate-and-fire neurons: when they fire, what recorded spikes change, and what passes backwards."""

import math

import pytest
import torch

from pnnlab.physics import LeakyIntegrateFire


def test_a_constant_current_fires_as_often_as_the_equation_says() -> None:
    """Below (1-β) ϑ never; above, the first spike comes when I (1 - β^k) / (1 - β) reaches ϑ."""
    neurons, steps = LeakyIntegrateFire(3), 50
    current = torch.tensor([0.09, 0.2, 0.5]).expand(1, steps, 3)
    spikes, membrane = neurons(current)
    assert int(spikes[0, :, 0].sum()) == 0 and float(membrane[0, -1, 0]) == pytest.approx(0.9, rel=0.01)
    for k, received in ((1, 0.2), (2, 0.5)):
        first = math.ceil(math.log(1 - 0.1 / received) / math.log(0.9)) - 1
        assert int(spikes[0, :, k].argmax()) == first
    # without a leak as many spikes as there are thresholds in the charge
    spikes, _ = LeakyIntegrateFire(1, decay=1.0)(torch.full((1, steps, 1), 0.3))
    assert int(spikes.sum()) == int(0.3 * steps + 1e-6)


def test_replayed_are_the_recorded_spikes_with_the_slope_at_the_recorded_voltage() -> None:
    neurons = LeakyIntegrateFire(2, steepness=3.0)
    current = torch.rand(1, 2, 2, requires_grad=True)
    spikes, membrane = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.tensor([[[1.3, 0.4], [0.2, 1.1]]])
    replayed, voltages = neurons.replay(current, spikes, membrane)
    assert torch.equal(replayed, spikes) and torch.equal(voltages, membrane)
    (found,) = torch.autograd.grad(replayed.sum(), current)
    slope = 1 / (1 + 3.0 * (membrane - 1).abs()).square()
    # what comes in at the first step is still there, leaked, at the second
    expected = torch.stack([slope[:, 0] + 0.9 * slope[:, 1], slope[:, 1]], 1)
    torch.testing.assert_close(found, expected)


def test_its_own_record_replayed_has_its_own_gradient() -> None:
    neurons = LeakyIntegrateFire(4, decay=torch.tensor([0.5, 0.8, 0.9, 0.99]))
    current = torch.rand(3, 12, 4, requires_grad=True)
    weight = torch.randn(3, 12, 4)
    spikes, membrane = neurons(current)
    assert 0 < float(spikes.detach().mean()) < 1
    (own,) = torch.autograd.grad((spikes * weight).sum(), current)
    replayed, _ = neurons.replay(current, spikes.detach(), membrane.detach())
    (again,) = torch.autograd.grad((replayed * weight).sum(), current)
    torch.testing.assert_close(again, own)
