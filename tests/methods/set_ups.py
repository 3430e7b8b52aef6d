"""Small set-ups on which methods can be checked against paper."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.methods import Setting, TrainingMethod
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import ControlRange
from scripts.setups import FunctionSystem

ANY = ControlRange.PERIODIC
"""Controls are any numbers; the functions below are not periodic, which no method can know."""


def of_controls(function: Callable[[Tensor], Tensor], n: int, *, shared: bool = False, seed: int = 0) -> nn.Sequential:
    """Return a model in double precision whose only output is a function of the controls, shape `(..., n)` to `(...)`.

    It begins at standard normal controls.
    """

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return function(theta).reshape(-1, 1).expand(len(x), 1)

    system = FunctionSystem(physics, (1, n, 1), control_range=ANY, shares_controls=shared, precision="float64")
    start = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return nn.Sequential(PhysicalLayer(system, system.twin(), controls=start))


def mean_output(outputs: Tensor, _: Tensor) -> Tensor:
    """Return the outputs' mean as a loss."""
    return outputs.mean()


def quadratic(n: int, seed: int = 1) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return a random convex quadratic of `n` numbers, and its gradient."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, dtype=torch.float64, generator=generator)
    hessian, slope = root @ root.T / n, torch.randn(n, dtype=torch.float64, generator=generator)

    def value(z: Tensor) -> Tensor:
        return ((z @ hessian) * z).sum(-1) / 2 + z @ slope

    return value, lambda z: z @ hessian + slope


def setting(n_steps: int = 100, **changes: Any) -> Setting:
    """Return a setting in double precision."""
    return Setting(1, 2, n_steps, **{"learning_rate": 0.05, "dtype": torch.float64, **changes})


def estimated(method: TrainingMethod, model: nn.Sequential, steps: int = 1) -> Tensor:
    """Return the gradient that a method leaves with the controls after some steps that do not move them."""
    method.prepare(model, setting())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    for _ in range(steps):
        method.step(model, *one_sample(), mean_output, optimiser)
    gradient = model[0].raw_controls.grad
    assert gradient is not None
    return gradient


def one_sample() -> tuple[Tensor, Tensor]:
    """Return a sample that plays no role."""
    return torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)


def descended(method: TrainingMethod, model: nn.Sequential, steps: int, **changes: Any) -> list[float]:
    """Return the losses that a method tells while it takes some steps by the recipe's Adam."""
    told = setting(steps, **changes)
    method.prepare(model, told)
    descent = told.descent(model.parameters())
    losses = []
    for _ in range(steps):
        losses.append(method.step(model, *one_sample(), mean_output, descent.optimiser)["loss"])
        descent.advance()
    return losses
