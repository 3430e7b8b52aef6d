"""Quantum spins in a transverse field."""

from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.physics._layered_graph import Acting
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._spin_states import SpinStates

__all__ = ["SpinNetwork"]


class SpinNetwork(nn.Module):
    """Spins of H = -sum J_ij Z_i Z_j - sum h_i Z_i - g sum X_i in the ground state, or in thermal equilibrium.

    The Hamiltonian is diagonalised, so that 8 spins are many. Mean values of Z_i and Z_i Z_j answer small changes of
    fields and couplings symmetrically (Onsager), which is what quantum equilibrium propagation needs (Wanjura &
    Marquardt, Nat. Commun. 16, 2025). Spins that are hurried do not: with a ramp, they start along the transverse
    field, the rest is switched on smoothly (quantum annealing), and they lag.

    Args:
        flip: Probability that each spin is read as the other, shape `(n,)`.
        transverse: g.
        temperature: In units in which couplings are; 0 for the state of lowest energy.
        ramp: Time over which couplings and fields are switched on; `None` for the equilibrium.
        steps: Steps of the ramp; `None` takes 5 in a unit of time, 100 at least.
    """

    flip: Tensor

    def __init__(
        self, flip: Tensor, *, transverse: float = 1.0, temperature: float = 0.0, ramp: float | None = None,
        steps: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if ramp is not None and temperature:
            raise ValueError(f"spin network: a ramp of {ramp:g} starts from one state; set the temperature to 0")
        register_quantity(self, "flip", flip)
        self.states = SpinStates(len(flip), flip.dtype)
        self.transverse, self.temperature, self.ramp = transverse, temperature, ramp
        self.steps = steps or max(100, round(5 * (ramp or 0.0)))
        self.register_buffer("_flips", _transverse(len(flip), flip.dtype))

    def hamiltonian(self, acting: Acting) -> Tensor:
        """Return H, shape `(batch, 2^n, 2^n)`."""
        flips = self.get_buffer("_flips")
        return torch.diag_embed(self.states.energy(acting.field, acting.coupling)) - self.transverse * flips

    def probability(self, acting: Acting) -> Tensor:
        """Return the probability of every state of the Z_i as it is read, shape `(batch, 2^n)`, differentiably."""
        if self.ramp is None:
            density: Tensor = _Equilibrium.apply(self.hamiltonian(acting), self.temperature)  # type: ignore[no-untyped-call]
            found = density.diagonal(dim1=-2, dim2=-1)
        else:
            found = self._ramped(self.states.energy(acting.field, acting.coupling), self.ramp)
        return self.states.read_out(found, self.flip) if bool(self.flip.any()) else found

    def _ramped(self, energy: Tensor, ramp: float) -> Tensor:
        """Return |psi|^2 after the ramp, by a Strang splitting between the diagonal and the transverse part."""
        n, step = self.states.n_spins, ramp / self.steps
        state = torch.full_like(energy, 2.0 ** (-n / 2)) + 0j
        turn = torch.tensor(self.transverse * step, dtype=energy.dtype)
        for k in range(self.steps):
            half = torch.exp(-0.5j * step * _smooth((k + 0.5) / self.steps) * energy)
            state = half * state
            for spin in range(n):
                parts = state.unflatten(-1, (2**spin, 2, -1))
                state = (turn.cos() * parts + 1j * turn.sin() * parts.flip(-2)).flatten(-3)
            state = half * state
        found: Tensor = state.abs() ** 2
        return found


class _Equilibrium(torch.autograd.Function):
    """The density matrix of a Hamiltonian's ground state, or exp(-H/T) over its trace.

    Backward: the divided differences of Daleckii & Krein (1965), for which degenerate levels are no trouble; for the
    ground state this is perturbation theory of first order.
    """

    @staticmethod
    def forward(ctx: Any, hamiltonian: Tensor, temperature: float) -> Tensor:
        level, vector = torch.linalg.eigh(hamiltonian)
        if temperature:
            weight = torch.softmax(-level / temperature, dim=-1)
        else:
            weight = torch.zeros_like(level)
            weight[..., 0] = 1.0
        density: Tensor = (vector * weight.unsqueeze(-2)) @ vector.mT
        ctx.save_for_backward(level, vector, weight, density)
        ctx.temperature = temperature
        return density

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        level, vector, weight, density = ctx.saved_tensors
        mean = (grads[0] * density).sum((-2, -1), keepdim=True)
        away = grads[0] - mean * torch.eye(level.shape[-1], dtype=level.dtype, device=level.device)
        apart = level.unsqueeze(-1) - level.unsqueeze(-2)
        same = apart.abs() < 1e3 * torch.finfo(level.dtype).eps
        slope = -weight / ctx.temperature if ctx.temperature else torch.zeros_like(weight)
        divided = (weight.unsqueeze(-1) - weight.unsqueeze(-2)) / torch.where(same, 1.0, apart)
        divided = torch.where(same, slope.unsqueeze(-1), divided)
        return vector @ (divided * (vector.mT @ away @ vector)) @ vector.mT, None


def _smooth(part: float) -> float:
    """Return a course from 0 to 1 that begins and ends without a jerk; a linear one would leave spins ringing."""
    return part**3 * (10 - 15 * part + 6 * part**2)


def _transverse(n: int, dtype: torch.dtype) -> Tensor:
    """Return the sum of the X_i, shape `(2^n, 2^n)`."""
    x, total = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=dtype), torch.zeros(2**n, 2**n, dtype=dtype)
    for spin in range(n):
        left, right = (torch.eye(2**size, dtype=dtype) for size in (spin, n - 1 - spin))
        total = total + torch.kron(torch.kron(left, x), right)
    return total
