"""What equilibrium propagation needs to be checked on physics alone."""

from collections.abc import Callable

import torch
from torch import Tensor

Phase = Callable[[Tensor | None], tuple[Tensor, Tensor]]
"""From a force on the outputs (the energy gets minus force times outputs) to outputs and dE/dcontrols by sample."""


def gradient_errors(phase: Phase, controls: Tensor, target: Tensor, betas: tuple[float, ...]) -> Tensor:
    """Return relative errors of the one-sided and the centred estimate, shape `(2, n_betas)`, against autograd."""
    y, local = phase(None)
    (exact,) = torch.autograd.grad(((y - target) ** 2).sum() / 2, controls, retain_graph=True)
    error = (y - target).detach()
    found = []
    for beta in betas:
        above, below = (phase(-sign * beta * error)[1].detach() for sign in (1, -1))
        one_sided, centred = (above - local.detach()).sum(0) / beta, (above - below).sum(0) / (2 * beta)
        found.append([float((estimate - exact).norm() / exact.norm()) for estimate in (one_sided, centred)])
    return torch.tensor(found, dtype=torch.float64).T


def slope(errors: Tensor, betas: tuple[float, ...]) -> float:
    """Return the slope of errors over nudges in a plot of logarithms."""
    x = torch.tensor(betas, dtype=torch.float64).log()
    y = errors.log()
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (x * x).sum())


def derivative_of(function: Callable[[Tensor], Tensor], at: Tensor, along: Tensor, step: float = 1e-5) -> float:
    """Return the derivative of a number along a direction by central differences."""
    with torch.no_grad():
        return float((function(at + step * along) - function(at - step * along)) / (2 * step))
