"""A read-out of untrained physics: the exact solution, however the shots come in."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from pnnlab.methods import Reservoir, ReservoirOptions, TrainingMethod
from pnnlab.nn import PhysicalLayer
from scripts.setups import FunctionSystem
from tests.methods.set_ups import setting


def scatterer(n_in: int, n_out: int) -> nn.Sequential:
    """Return intensities behind a random medium; the only control is a phase that no intensity shows."""
    generator = torch.Generator().manual_seed(0)
    medium = torch.randn(n_in, n_out, dtype=torch.complex128, generator=generator) / n_in**0.5

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return (torch.exp(1j * np.pi * x).to(torch.complex128) @ medium).abs().square()

    return nn.Sequential(PhysicalLayer(FunctionSystem(physics, (n_in, 1, n_out), precision="float64")))


def data(n: int = 90) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 6, dtype=torch.float64, generator=generator), torch.randint(2, (n,), generator=generator)


def learned(method: TrainingMethod, model: nn.Sequential, x: Tensor, y: Tensor, batch: int) -> Tensor:
    method.prepare(model, setting())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for part in zip(x.split(batch), y.split(batch), strict=True):
        method.step(model, *part, nn.functional.cross_entropy, optimiser)
    return method.predict(model, x)


@pytest.mark.parametrize("batch", [1, 7, 90])
def test_the_read_out_is_that_of_ridge_regression_whatever_the_batches(batch: int) -> None:
    model, (x, y) = scatterer(6, 10), data()
    found = learned(Reservoir(ReservoirOptions(ridge=0.05)), model, x, y, batch)
    with torch.no_grad():
        z = model(x).numpy()
    alpha = 0.05 * len(x) * z.var(0).mean()
    reference = Ridge(alpha=alpha).fit(z, np.eye(2)[y.numpy()])
    np.testing.assert_allclose(found.numpy(), reference.predict(z), atol=1e-9)
    assert model[0].system.n_shots == 90 + 90 + 90  # type: ignore[operator, union-attr] # learned, predicted, here


def test_recursive_least_squares_comes_to_the_same_read_out() -> None:
    model, (x, y) = scatterer(6, 10), data()
    exact = learned(Reservoir(ReservoirOptions(ridge=1e-9)), model, x, y, 90)
    online = learned(Reservoir(ReservoirOptions(ridge=1e-9, solve="online")), model, x, y, 10)
    np.testing.assert_allclose(online.numpy(), exact.numpy(), atol=1e-4)


def test_recursive_least_squares_forgets_and_follows() -> None:
    model, (x, _) = scatterer(6, 10), data(400)
    with torch.no_grad():
        z = model(x)
    labels = (z[:, 0] > z[:, 1]).long()
    drifted = torch.cat([1 - labels[:200], labels[200:]])  # the sense of the classes turns over half-way
    rates = {}
    for forgetting in (1.0, 0.95):
        options = ReservoirOptions(solve="online", forgetting=forgetting)
        logits = learned(Reservoir(options), model, x, drifted, 20)
        rates[forgetting] = float((logits.argmax(1) == labels).double()[200:].mean())
    assert rates[0.95] > 0.8 > 0.7 > rates[1.0]


def test_cross_validation_chooses_a_ridge_that_suits_noise() -> None:
    """As many features as samples and labels of chance: without regularisation the read-out learns them by heart."""
    model, (x, y) = scatterer(6, 80), data()
    generator = torch.Generator().manual_seed(2)
    fresh = torch.rand(500, 6, dtype=torch.float64, generator=generator)
    errors = {}
    for ridge in (None, 1e-9):
        method = Reservoir(ReservoirOptions(ridge=ridge))
        learned(method, model, x, y, 30)
        # chance labels are predicted best by their mean
        errors[ridge] = float((method.predict(model, fresh) - 0.5).square().mean())
    assert errors[None] < 0.05 < errors[1e-9]


def test_all_layers_can_be_read_out_and_no_control_changes() -> None:
    first, second = scatterer(6, 10), scatterer(10, 8)
    model = nn.Sequential(*first, *second)
    before = [p.clone() for p in model.parameters()]
    method = Reservoir(ReservoirOptions(features="all"))
    logits = learned(method, model, *data(), 30)
    assert logits.shape == (90, 2) and method._weights.shape == (19, 2)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
