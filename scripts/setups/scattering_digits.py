"""Digits through random scattering layers with a nonlinearity, which nobody knows or trains.

A layer is y = (B sin(2 A x))² with Gaussian A and B (of variance 1/n) and 2 % noise on each reading; 64 inputs and 64
outputs. Digital maps of 64 outputs stand between the layers: the set-up of local learning without a twin. Digits as in
`scripts.setups.mismatched_digits`, labels overlaid on the first ten pixels, inputs scaled to norm 0.5 √n, Adam at 2e-3,
batches of 128, 60 epochs.
"""

from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import TrainingMethod, make_method
from pnnlab.nn import PhysicalLayer
from pnnlab.training import Recipe, Task, Trainer, deploy
from scripts.setups import FunctionSystem, Lab

__all__ = ["EPOCHS", "ScatteringLayer", "accuracy", "trainer"]

EPOCHS: Final = 60
WIDTH: Final = 64
NOISE: Final = 0.02


class ScatteringLayer(nn.Module):
    """One layer.

    Args:
        generator: Draws A and B.
    """

    a: Tensor
    b: Tensor

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("a", torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5)
        self.register_buffer("b", torch.randn(WIDTH, WIDTH, generator=generator) / WIDTH**0.5)

    def forward(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        """See `scripts.setups.Physics`; the one control does nothing."""
        y = nn.functional.linear((2 * nn.functional.linear(x, self.a)).sin(), self.b).square()
        return y if noise is None else y * (1 + NOISE * torch.randn(y.shape, generator=noise))


def trainer(method: TrainingMethod, task: Task, *, n_layers: int = 2, seed: int = 0, epochs: int = EPOCHS) -> Trainer:
    """Return what trains by a method, as the set-up has it.

    Args:
        method: One that needs no twin.
        task: Digits.
        n_layers: Scattering layers.
        seed: Of the layers, the maps, the noise and the order of samples.
        epochs: Passes over the data.
    """
    drawn, clock = torch.Generator().manual_seed(1000 + seed), SimulatedClock()
    systems = [
        FunctionSystem(
            ScatteringLayer(drawn), (WIDTH, 1, WIDTH), seed=100 * seed + k, name=f"scatterer-{k}", clock=clock
        )
        for k in range(n_layers)
    ]
    recipe = Recipe.model_validate(
        {
            "network": {"layers": [system.name for system in systems]}, "method": method.name, "epochs": epochs,
            "batch": 128, "schedule": "constant", "seed": seed,
        }
    )  # fmt: skip
    model = nn.Sequential(*(PhysicalLayer(system) for system in systems))
    return Trainer(model, method, task, recipe, bench=Lab(systems, clock))


def accuracy(
    name: str, options: dict[str, object], task: Task, *, n_layers: int = 2, seed: int = 0, epochs: int = EPOCHS
) -> float:
    """Train by a method with options, and return the test accuracy."""
    training = trainer(make_method(name, options), task, n_layers=n_layers, seed=seed, epochs=epochs)
    training.run()
    return deploy(training.model, task.test, method=training.method).accuracy
