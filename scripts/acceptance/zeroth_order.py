"""What can be said on paper of gradients that are estimated from losses, found with the shipped methods."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pnnlab.methods import (
    CmaEs,
    CmaEsOptions,
    Multiplexed,
    MultiplexedOptions,
    Pepg,
    PepgOptions,
    Setting,
    Spsa,
    SpsaOptions,
    TrainingMethod,
)
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import ControlRange
from scripts.acceptance._row import Finding, Row
from scripts.setups import FunctionSystem

__all__ = ["ROWS"]


def _of_controls(function: Callable[[Tensor], Tensor], start: Tensor) -> nn.Sequential:
    """Return a model in double precision whose only output is a function of its controls, which may be any numbers."""

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return function(theta).reshape(-1, 1).expand(len(x), 1)

    system = FunctionSystem(
        physics, (1, len(start), 1), control_range=ControlRange.PERIODIC, precision="float64", shares_controls=True
    )
    return nn.Sequential(PhysicalLayer(system, controls=start))


def _gradient(method: TrainingMethod, model: nn.Sequential, seed: int = 0) -> Tensor:
    """Return what one step of a method leaves as the gradient of the only output."""
    method.prepare(model, Setting(1, 2, 1, 0.0, seed=seed, dtype=torch.float64))
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    method.step(model, nothing, nothing, lambda y, _: y.mean(), torch.optim.SGD(model.parameters(), lr=0.0))
    found = next(model.parameters()).grad
    assert found is not None  # noqa: S101 (the method left it)
    return found


def _quadratic(n: int) -> tuple[nn.Sequential, Tensor]:
    generator = torch.Generator().manual_seed(1)
    root, slope, start = (torch.randn(*s, dtype=torch.float64, generator=generator) for s in ((n, n), (n,), (n,)))
    hessian = root @ root.T / n
    return _of_controls(lambda z: (z @ hessian @ z) / 2 + z @ slope, start), hessian @ start + slope


def _cosine(one: Tensor, other: Tensor) -> float:
    return float(nn.functional.cosine_similarity(one.double(), other.double(), dim=0))


def _spsa(_: Path) -> Finding:
    worst, told = 0.0, []
    for n, directions, repeats in ((10, 10, 20), (100, 10, 20), (100, 100, 20), (1000, 100, 20), (10_000, 100, 4)):
        found = []
        for seed in range(repeats):
            slope = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
            model = _of_controls(partial(torch.matmul, other=slope), torch.zeros(n, dtype=torch.float64))
            found.append(_cosine(_gradient(Spsa(SpsaOptions(directions=directions)), model, seed), slope))
        mean, expected = sum(found) / repeats, math.sqrt(directions / (directions + n - 1))
        worst = max(worst, abs(mean / expected - 1))
        told.append(f"{mean:.3f}/{expected:.3f}")
    return Finding(f"found/expected {', '.join(told)}; off by {100 * worst:.1f} % at most", worst <= 0.1)


def _walsh(_: Path) -> Finding:
    model, true = _quadratic(13)
    options = MultiplexedOptions(code="walsh", window=None, perturbation=0.3)
    found = _gradient(Multiplexed(options), model)
    error = float((found - true).norm() / true.norm())
    return Finding(f"relative error {error:.1e}", error < 1e-9)


def _sequential(_: Path) -> Finding:
    def value(z: Tensor) -> Tensor:
        return (z.sin() * z.roll(1, -1)).sum(-1)

    start, c = torch.linspace(-1, 1, 7, dtype=torch.float64), 0.1
    options = MultiplexedOptions(code="sequential", window=None, perturbation=c)
    found = _gradient(Multiplexed(options), _of_controls(value, start))
    by_hand = (value(start + c * torch.eye(7, dtype=torch.float64)) - value(start)) / c
    error = float((found - by_hand).norm() / by_hand.norm())
    return Finding(f"relative difference {error:.1e}", error < 1e-9)


def _pepg(_: Path) -> Finding:
    model, true = _quadratic(6)
    options = PepgOptions(perturbation=0.3, pairs=2000)
    each = torch.stack([_gradient(Pepg(options), model, seed) for seed in range(20)])
    sigma = float(((each.mean(0) - true) / (each.std(0) / 20**0.5)).abs().max())
    error = float((each.mean(0) - true).norm() / true.norm())
    return Finding(f"relative error {error:.3f}, {sigma:.1f} standard errors at most", sigma < 4 and error < 0.1)


def _ellipsoid(_: Path) -> Finding:
    generator = torch.Generator().manual_seed(0)
    rotation, _r = torch.linalg.qr(torch.randn(20, 20, dtype=torch.float64, generator=generator))
    hessian = rotation @ torch.diag(torch.logspace(0, 6, 20, dtype=torch.float64)) @ rotation.T
    start = torch.randn(20, dtype=torch.float64, generator=generator)
    method, model = CmaEs(CmaEsOptions(spread=0.5)), _of_controls(lambda z: z @ hessian @ z, start)
    method.prepare(model, Setting(1, 2, 1, 0.0, dtype=torch.float64))
    count, first, best = 0, 0.0, math.inf
    while count < 10_000 and best > 1e-6 * first:
        asked = method.ask()
        losses = ((asked @ hessian) * asked).sum(-1)
        method.tell(asked, losses)
        first = first or float(losses[0])
        count, best = count + len(asked), min(best, float(losses.min()))
    return Finding(f"a millionth of the first loss after {count} evaluations", best <= 1e-6 * first)


ROWS = (
    Row("spsa-cosine", "mean cosine √(N/(N+P-1)) for N random directions, P controls", "within 10 %", _spsa, 0.5),
    Row("mgd-sequential", "one control after the other is finite differences exactly", "rounding", _sequential),
    Row("mgd-walsh", "a period of Walsh codes is exact on a quadratic", "relative error < 1e-9", _walsh),
    Row("pepg-unbiased", "the mean estimate on a quadratic is its gradient", "4 standard errors, 10 %", _pepg, 1.0),
    Row("cma-ellipsoid", "rotated ellipsoid of condition 1e6, n = 20", "1e-6 in < 10 000 evaluations", _ellipsoid),
)
