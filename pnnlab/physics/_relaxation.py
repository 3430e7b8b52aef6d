"""A state that moves down its force until it is at rest."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

__all__ = ["Force", "Settling", "relax"]

Force = Callable[[Tensor], Tensor]
"""Force on each coordinate of a state, both of shape `(batch, n)`; no sample acts on another."""
_LEAST: Final = 25
"""Steps that a state follows its force at least: it may begin close to a place where it does not stay."""
_COARSE: Final = 0.05
"""Force below which Newton's method takes over, in units in which couplings are about 1."""
_NEAR: Final = 0.3
"""Longest step in any coordinate that Newton's method may take."""


@dataclass(frozen=True, slots=True)
class Settling:
    """How long and how quietly a state settles.

    Attributes:
        duration: Time that it is given, in units in which the force is a velocity; `None` waits for equilibrium.
        step: Length of a step of the simulation in that unit.
        noise: Diffusion constant D of each coordinate (variance 2 D per unit of time); needs a duration.
        max_steps: Steps after which a state that does not come to rest is taken as it is.
    """

    duration: float | None = None
    step: float = 0.2
    noise: float = 0.0
    max_steps: int = 5000

    def __post_init__(self) -> None:
        if self.noise and self.duration is None:
            raise ValueError("settling: a noisy state never comes to rest; give it a duration")
        if not 0 < self.step < math.inf or self.noise < 0 or (self.duration is not None and self.duration <= 0):
            raise ValueError(f"settling: {self}: step and duration must be above 0, the noise 0 or more")


def relax(force: Force, start: Tensor, settling: Settling, generator: torch.Generator | None = None) -> Tensor:
    """Return where a state comes to.

    Waiting for equilibrium, it first follows the force, so that it ends in the basin that the dynamics choose, and is
    then made exact by Newton's method. The result is differentiable in whatever the force depends on: at equilibrium by
    the implicit function theorem, after a finite duration through all the steps.

    Args:
        force: Velocity of a state.
        start: Where it begins, shape `(batch, n)`.
        settling: See `Settling`.
        generator: Source of the noise; without one there is none.

    Returns:
        The state, shape `(batch, n)`.
    """
    if settling.duration is None:
        state = _equilibrium(force, start, settling)
        return _with_gradient(force, state) if torch.is_grad_enabled() else state
    state, n_steps = start, math.ceil(settling.duration / settling.step - 1e-9)
    step = settling.duration / n_steps
    for _ in range(n_steps):
        state = state + step * force(state)
        if settling.noise and generator is not None:
            kicks = torch.empty_like(state).normal_(0.0, math.sqrt(2 * settling.noise * step), generator=generator)
            state = state + kicks
    return state


@torch.no_grad()
def _equilibrium(force: Force, start: Tensor, settling: Settling) -> Tensor:
    state, left, patience = start, settling.max_steps, _LEAST
    fine = 300 * torch.finfo(start.dtype).eps
    while left > 0:
        state, used = _descended(force, state, settling.step, patience, left)
        left, patience = left - used, 2 * patience
        before = math.inf
        while left > 0:
            pull = force(state)
            most = float(pull.abs().amax())
            if most < fine:
                return state
            if most > before / 2:
                break  # some are still on their way, and linear steps do not help them: let the dynamics go on
            move = -_solve(_slopes(force, state), pull)
            # a long step may leave the basin, and one that raises the force was misled
            near = move.abs().amax(-1, keepdim=True) < _NEAR
            better = force(state + move).norm(dim=-1, keepdim=True) < pull.norm(dim=-1, keepdim=True)
            state = torch.where(near & better, state + move, state + settling.step * pull)
            before, left = most, left - 1
    return state


def _descended(force: Force, state: Tensor, step: float, least: int, most: int) -> tuple[Tensor, int]:
    """Follow a force for some steps at least, and until it is small; return the state and the steps."""
    for used in range(most):
        pull = force(state)
        if used >= least and not used % 5 and float(pull.abs().amax()) < _COARSE:
            return state, used
        state = state + step * pull
    return state, most


def _with_gradient(force: Force, state: Tensor) -> Tensor:
    """Return the state with the gradient of an equilibrium: ds = -(df/ds)^-1 df."""
    pull = force(state.detach())
    if not pull.requires_grad:
        return state
    return state.detach() - _solve(_slopes(force, state), pull)


@torch.enable_grad()
def _slopes(force: Force, state: Tensor) -> Tensor:
    """Return the derivatives of all forces in all coordinates of their sample, shape `(batch, n, n)`."""
    at = state.detach().requires_grad_()
    pull = force(at)
    n = at.shape[-1]
    each = torch.eye(n, dtype=at.dtype, device=at.device).unsqueeze(1).expand(n, len(at), n)
    (rows,) = torch.autograd.grad(pull, at, each, is_grads_batched=True)
    return rows.transpose(0, 1).detach()


def _solve(slopes: Tensor, pull: Tensor) -> Tensor:
    solution, _ = torch.linalg.solve_ex(slopes, pull.unsqueeze(-1))
    found: Tensor = solution.squeeze(-1)
    return found
