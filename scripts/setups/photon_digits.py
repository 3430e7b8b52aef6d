"""Digits in few photons: a conventional network whose detectors count, and one that is trained with single photons.

Conventional: 64-64-10 with rectifiers, trained digitally; each layer then is two products of non-negative numbers whose
difference counts, with Poisson counts at every detector. "Detected photons per MAC" is the mean count of a pair of
detectors over the fan-in.

Stochastic (Ma et al., arXiv 2307.15712): the hidden layer is 64 detectors of single photons behind a coherent product,
which click with 1 - exp(-z²); the read-out has Poisson counts as above.
"""

import itertools

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import PhotonCounting, physical_layers
from pnnlab.nn import interface_of
from pnnlab.physics import click_probability
from pnnlab.systems import Capability
from pnnlab.training import Recipe, Task, Trainer, deploy
from pnnlab.twins import DigitalTwin
from scripts.setups._function import FunctionSystem
from scripts.setups._lab import Lab, layer_from

__all__ = ["Conventional", "counted", "stochastic_accuracies"]

WIDTHS = (64, 64, 10)


def counted(x: Tensor, weights: Tensor, photons_per_mac: float, noise: torch.Generator) -> Tensor:
    """Return x Wᵀ of non-negative x, each sign of W on a detector that counts photons."""
    means = [nn.functional.linear(x, weights.clamp(min=0)), nn.functional.linear(x, (-weights).clamp(min=0))]
    level = photons_per_mac * x.shape[-1] / torch.stack(means).sum(0).mean().clamp(min=1e-12)
    plus, minus = (torch.poisson(level * mean, generator=noise) for mean in means)
    return (plus - minus) / level


class Conventional:
    """A network with rectifiers, trained digitally without any noise.

    Args:
        task: The digits.
        seed: Of everything random.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._task = task
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._layers = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(WIDTHS)]
            optimiser = torch.optim.Adam([p for layer in self._layers for p in layer.parameters()], lr=2e-3)
            x, y = task.train
            for _ in range(60):
                for rows in torch.randperm(len(x)).split(128):
                    optimiser.zero_grad()
                    hidden = self._layers[0](x[rows]).relu()
                    nn.functional.cross_entropy(self._layers[1](hidden), y[rows]).backward()
                    optimiser.step()

    @torch.no_grad()
    def accuracy(self, photons_per_mac: float, noise: torch.Generator) -> float:
        """Return the test accuracy in so much light."""
        x, y = self._task.test
        first, last = self._layers
        hidden = (counted(x, first.weight, photons_per_mac, noise) + first.bias).relu()
        logits = counted(hidden, last.weight, photons_per_mac, noise) + last.bias
        return float((logits.argmax(-1) == y).double().mean())


class Product(DigitalTwin):
    """x Wᵀ, which is what counts give on average."""

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        return nn.functional.linear(*drive)


def _clicks(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
    p = click_probability(nn.functional.linear(x, theta).square())
    return p if noise is None else torch.bernoulli(p, generator=noise)


def stochastic_accuracies(
    task: Task, seed: int, photons_per_mac: float, repeats: tuple[int, ...], *, epochs: int = 60
) -> tuple[list[float], float]:
    """Train with single photons, then classify with so many detections each.

    Args:
        task: The digits.
        seed: Of everything random.
        photons_per_mac: Of the read-out, in training and test.
        repeats: How many clicks of each hidden detector are averaged in the test, one accuracy each.
        epochs: Passes over the digits.

    Returns:
        Test accuracies, and the mean clicks of a hidden detector in one detection over its fan-in.
    """

    def counts(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return nn.functional.linear(x, theta) if noise is None else counted(x, theta, photons_per_mac, noise)

    clock, weights = SimulatedClock(), torch.Generator().manual_seed(seed)
    hidden, last = (
        FunctionSystem(
            physics, (n_in, n_in * n_out, n_out), reach=2.0, setting=(n_out, n_in), shares_controls=True, seed=seed,
            capabilities=frozenset(able), name=name, clock=clock,
        )
        for physics, n_in, n_out, able, name in (
            (_clicks, 64, 64, {Capability.SINGLE_PHOTON}, "hidden"), (counts, 64, 10, (), "last"),
        )
    )  # fmt: skip
    starts = [torch.randn(n_out, 64, generator=weights) / 8 for n_out in (64, 10)]
    model = nn.Sequential(layer_from(hidden, None, starts[0]), layer_from(last, Product(interface_of(last)), starts[1]))
    method = PhotonCounting()
    recipe = Recipe.model_validate(
        {
            "network": {"layers": ["hidden", "last"]}, "method": "photon_counting", "epochs": epochs, "batch": 128,
            "learning_rate": 5e-3, "schedule": "cosine", "seed": seed,
        }
    )  # fmt: skip
    Trainer(model, method, task, recipe, bench=Lab([hidden, last], clock)).run()
    controls = physical_layers(model)[0].controls.detach()
    p = click_probability(nn.functional.linear(task.test[0], (4 * controls - 2).reshape(64, 64)).square())
    found = []
    for n in repeats:
        method.repeats = n
        found.append(deploy(model, task.test, method=method).accuracy)
    return found, float(p.mean()) / 64
