"""Coupled modes, each with a port: a scattering network of linear resonators, and driven Kerr modes."""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["CoupledModes"]

_RING_UP: Final = 20.0
"""How long the modes ring up, in amplitude decay times of the slowest one, before the steady state is solved for."""
_STEP: Final = 0.2
"""Step of the ring-up over the fastest amplitude decay time."""
_NEWTON: Final = 8


class CoupledModes(nn.Module):
    """n modes with amplitudes a, coupled to each other and each to a port of its own, in their steady state.

    Input-output theory in the frame of the carrier (Wanjura & Marquardt 2024, Nat. Phys. 20, 1434; with the Kerr term
    Dal Cin, Marquardt & Wanjura 2025, arXiv 2508.11750). With all frequencies as cycles per second, a prime being
    1/2π d/dt, and κ = κ_ext:

        a' = -i (H + g |a|²) a - √κ s_in = 0,   s_out = s_in + √κ a,
        H_jj = Δ_j - i (κ_j + κ_int,j) / 2,   H_jl = J_jl.

    Without g the fields that leave are `S s_in` with `S = 1 - i √κ (-H)⁻¹ √κ`. s is in V, so that |√κ a|², the power
    that leaks from a mode into its port, is in V². The Kerr shift of a mode is `kerr |√κ a|²`, that is g = kerr κ.
    S is symmetric, and the system reciprocal, where J is.

    With g the modes ring up from the dark, which decides between states where there are several, and what they reach is
    polished by Newton's method. A sample that does not come to rest is returned as it is at the end of the ring-up.

    Args:
        external_hz: κ_ext over 2π, shape `(n,)`, above 0.
        internal_hz: κ_int over 2π, a number or shape `(n,)`.
        detuning_hz: Δ over 2π where nothing is set, a number or shape `(n,)`.
        coupling_hz: J over 2π where nothing is set, shape `(n, n)`, real; its diagonal counts as detuning.
        kerr_hz_per_v2: Shift over 2π, a number or shape `(n,)`; 0 makes the modes linear.
        pairs: The couplings that can be set, each the numbers of two modes.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    external_hz: Tensor
    internal_hz: Tensor
    detuning_hz: Tensor
    coupling_hz: Tensor
    kerr_hz_per_v2: Tensor

    def __init__(
        self, external_hz: Tensor, *, internal_hz: QuantityLike = 0.0, detuning_hz: QuantityLike = 0.0,
        coupling_hz: Tensor, kerr_hz_per_v2: QuantityLike = 0.0, pairs: Sequence[tuple[int, int]] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        n, dtype = len(external_hz), external_hz.dtype
        if external_hz.ndim != 1 or not bool((external_hz > 0).all()):
            raise ValueError(f"CoupledModes: external_hz is {external_hz}, expected one number above 0 for each mode")
        if any(not (0 <= j < n and 0 <= k < n and j != k) for j, k in pairs):
            raise ValueError(f"CoupledModes: pairs {tuple(pairs)} are to be different modes, from 0 to {n - 1}")
        register_quantity(self, "external_hz", external_hz)
        register_quantity(self, "coupling_hz", coupling_hz, shape=(n, n))
        quantities = {"internal_hz": internal_hz, "detuning_hz": detuning_hz, "kerr_hz_per_v2": kerr_hz_per_v2}
        for name, value in quantities.items():
            register_quantity(self, name, value, shape=(n,), dtype=dtype)
        self.n_modes, self.pairs = n, tuple((int(j), int(k)) for j, k in pairs)
        self._places = torch.tensor([j * n + k for j, k in self.pairs], dtype=torch.int64)

    @property
    def n_pairs(self) -> int:
        """Return how many couplings can be set."""
        return len(self.pairs)

    @property
    def is_linear(self) -> bool:
        """Whether no mode has a Kerr shift."""
        return not bool(self.kerr_hz_per_v2.detach().any())

    def hamiltonian_hz(self, detuning_hz: Tensor, coupling_hz: Tensor) -> Tensor:
        """Return H over 2π, complex, shape `(..., n, n)`.

        Args:
            detuning_hz: What is added to the modes' own detunings, shape `(..., n)`.
            coupling_hz: What is added to the couplings of `pairs`, both ways, shape `(..., n_pairs)`.
        """
        loss = (self.external_hz + self.internal_hz) / 2
        diagonal = torch.complex(self.detuning_hz + detuning_hz, -loss.expand_as(detuning_hz))
        found = torch.diag_embed(diagonal) + self.coupling_hz
        if self.pairs:
            n = self.n_modes
            added = coupling_hz.new_zeros(*coupling_hz.shape[:-1], n * n)
            added = added.index_add(-1, self._places.to(coupling_hz.device), coupling_hz).unflatten(-1, (n, n))
            found = found + added + added.mT
        return found

    def scattering(self, detuning_hz: Tensor, coupling_hz: Tensor) -> Tensor:
        """Return the scattering matrix S of the linear modes, shape `(..., n, n)`; arguments as `hamiltonian_hz`."""
        root = self.external_hz.sqrt()
        h = self.hamiltonian_hz(detuning_hz, coupling_hz)
        eye = torch.eye(self.n_modes, dtype=h.dtype, device=h.device)
        found: Tensor = eye + 1j * root[:, None] * torch.linalg.inv(h) * root
        return found

    def forward(self, field: Tensor, detuning_hz: Tensor, coupling_hz: Tensor) -> Tensor:
        """Return the fields that leave the ports in V, complex, shape `(batch, n)`.

        Args:
            field: s_in in V, complex, shape `(batch, n)`.
            detuning_hz: As in `hamiltonian_hz`, shape `(batch, n)` or `(n,)`.
            coupling_hz: As in `hamiltonian_hz`, shape `(batch, n_pairs)` or `(n_pairs,)`.
        """
        h, root = self.hamiltonian_hz(detuning_hz, coupling_hz), self.external_hz.sqrt()
        # -i H a = √κ s_in
        drive = 1j * root * field
        if self.is_linear:
            amplitude = torch.linalg.solve(h.expand(len(field), -1, -1), drive)
        else:
            amplitude = self._kerr(h.expand(len(field), -1, -1), drive)
        out: Tensor = field + root * amplitude
        return out

    def kerr_shift_hz(self, field: Tensor, out: Tensor) -> Tensor:
        """Return by how much each mode is shifted, shape `(batch, n)`, from the fields that enter and leave in V."""
        return self.kerr_hz_per_v2 * (out - field).abs().square()

    def _kerr(self, h: Tensor, drive: Tensor) -> Tensor:
        """Return amplitudes of the steady state, with their derivative."""
        kerr = self.kerr_hz_per_v2 * self.external_hz
        with torch.no_grad():
            start = self._rung_up(h, drive, kerr)
            found, settled = start.clone(), torch.ones(len(start), dtype=torch.bool, device=start.device)
            for _ in range(_NEWTON):
                found = found - _solved(h, kerr, found, _residual(h, kerr, found, drive))
            moved = (found - start).abs().amax(-1)
            # one that is far from where the ring-up ended is another state, or none
            settled = torch.isfinite(moved) & (moved <= 0.1 * start.abs().amax(-1) + 1e-30)
            found = torch.where(settled[:, None], found, start)
        if not torch.is_grad_enabled():
            return found
        # a last step of Newton's, whose derivative is that of the solution
        step = _Solve.apply(_residual(h, kerr, found, drive), h.detach(), kerr.detach(), found)  # type: ignore[no-untyped-call]
        return torch.where(settled[:, None], found - step, found)

    def _rung_up(self, h: Tensor, drive: Tensor, kerr: Tensor) -> Tensor:
        """Return what the modes reach from the dark: exact steps of the linear part between turns by the Kerr shift."""
        loss = (self.external_hz + self.internal_hz) / 2
        step = _STEP / float(loss.max())
        n_steps = math.ceil(_RING_UP / float(loss.min()) / step)
        propagator = torch.linalg.matrix_exp(-1j * step * h)
        # where the linear part alone would come to rest
        rest = torch.linalg.solve(h, drive)
        same = bool((h[:1] == h).all())
        a = torch.zeros_like(drive)
        for _ in range(n_steps):
            a = a * torch.exp(-0.5j * step * kerr * a.abs().square())
            away = a - rest
            a = rest + (away @ propagator[0].mT if same else (propagator @ away[..., None])[..., 0])
            a = a * torch.exp(-0.5j * step * kerr * a.abs().square())
        return a


def _residual(h: Tensor, kerr: Tensor, a: Tensor, drive: Tensor) -> Tensor:
    """Return `H a + g |a|² a - drive`, 0 in the steady state."""
    return (h @ a[..., None])[..., 0] + kerr * a.abs().square() * a - drive


def _tangent(h: Tensor, kerr: Tensor, a: Tensor) -> Tensor:
    """Return the real Jacobian of the residual in (Re a, Im a), shape `(batch, 2 n, 2 n)`."""
    direct = h + torch.diag_embed((2 * kerr * a.abs().square()).to(h.dtype))
    conjugate = torch.diag_embed(kerr * a.square())
    both, less = direct + conjugate, direct - conjugate
    return torch.cat([torch.cat([both.real, -less.imag], -1), torch.cat([both.imag, less.real], -1)], -2)


def _solved(h: Tensor, kerr: Tensor, a: Tensor, residual: Tensor) -> Tensor:
    """Return the change of a that the linearised residual asks for."""
    stacked = torch.cat([residual.real, residual.imag], -1)
    step = torch.linalg.solve(_tangent(h, kerr, a), stacked)
    return torch.complex(*step.chunk(2, -1))


class _Solve(torch.autograd.Function):
    """`_solved` with the Jacobian as a constant."""

    @staticmethod
    def forward(ctx, residual, h, kerr, a):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(h, kerr, a)
        return _solved(h, kerr, a, residual)

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        h, kerr, a = ctx.saved_tensors
        stacked = torch.cat([grads[0].real, grads[0].imag], -1)
        found = torch.linalg.solve(_tangent(h, kerr, a).mT, stacked)
        return torch.complex(*found.chunk(2, -1)), None, None, None
