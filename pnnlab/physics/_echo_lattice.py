"""A lossless nonlinear wave on a lattice, and its echo from a phase-conjugating mirror."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.physics._detection import intensity
from pnnlab.physics._quantity import Derived, QuantityLike, register_quantity

__all__ = ["EchoLattice", "Echoed", "grid_coupling"]


@dataclass(frozen=True, slots=True)
class Echoed:
    """What a wave did on its way out, and back if there was a mirror.

    Attributes:
        exits: Field at the end of each slab on the way out, shape `(..., n_slabs, n_modes)`, complex.
        returned: Field at the beginning of each slab on the way back, behind all that the slab did and before the
            slab's pulse, conjugated, so that a perfect echo equals the field that went out there, pulse included; same
            shape; zeros without a mirror.
        momentum: What the medium of each mode has gathered in each slab, same shape, real.
    """

    exits: Tensor
    returned: Tensor
    momentum: Tensor


class EchoLattice(nn.Module):
    """Coupled modes with a Kerr nonlinearity, in a medium whose detunings have momenta.

    A wave passes `n_slabs` stretches of medium one after the other, each for the time `duration`. At the beginning of a
    slab a pulse is added, `psi -> psi - i f` with real f; in the slab

        i psi_j' = sum_k J_jk psi_k + (theta_j + g |psi_j|^2) psi_j - (i/2) loss psi_j,      p_j' = -|psi_j|^2.

    theta is what a user sets: a heavy part of the medium, which stays where it is during a run and gathers the momentum
    p, because the energy holds `theta_j |psi_j|^2`. Time is reversed by a mirror that conjugates the field and turns
    the momenta round; the wave then passes all slabs backwards, meeting the same pulses. Without loss, and with J real,
    it retraces its way, and p returns to 0. If before the mirror its phase is moved by `-eps dC/d|psi|^2`, p returns to
    `eps dC/dtheta + O(eps^2)` (Lopez-Pastor and Marquardt 2023, Phys. Rev. X 13, 031020, section III; such moves at
    the end of every slab: Pourcel and Ernoult 2025, arXiv 2506.05259).

    The symmetric splitting (half of what is local, coupling, half of what is local) is itself reversible and
    symplectic: what is said of p holds for any step, to rounding.

    Times are in some unit of time, and rates over it.

    Args:
        coupling: J, real and symmetric, shape `(n_modes, n_modes)`; if complex and Hermitian, a magnetic flux passes
            through the lattice, nothing is lost, and time is not reversed by conjugation.
        kerr: g, a rate over intensity.
        duration: See above.
        n_steps: Steps of the splitting in a slab.
        n_slabs: See above.
        loss: Rate at which the wave loses energy.
        conjugation_error: Part of the field that the mirror reflects as it is, beside the conjugated one; complex,
            shape `(n_modes,)`.

    Each of coupling, kerr, loss and conjugation_error is a buffer, or learned if it is an `nn.Parameter`.
    """

    coupling: Tensor
    kerr: Tensor
    loss: Tensor
    conjugation_error: Tensor

    def __init__(
        self, coupling: Tensor, *, kerr: QuantityLike, duration: float, n_steps: int, n_slabs: int = 1,
        loss: QuantityLike = 0.0, conjugation_error: QuantityLike = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        n_modes = len(coupling)
        for name, setting in {"duration": duration, "n_steps": n_steps, "n_slabs": n_slabs}.items():
            if not 0.0 < setting < math.inf:
                raise ValueError(f"echo lattice: {name} is {setting:g}, expected a finite number above 0")
        if coupling.shape != (n_modes, n_modes) or not torch.allclose(coupling, coupling.mH):
            raise ValueError(f"echo lattice: coupling has shape {tuple(coupling.shape)}, expected a Hermitian matrix")
        self.n_modes, self.n_slabs, self.n_steps, self.duration = n_modes, n_slabs, n_steps, duration
        register_quantity(self, "coupling", coupling)
        real = coupling.real.dtype
        register_quantity(self, "kerr", kerr, shape=(n_modes,), dtype=real)
        register_quantity(self, "loss", loss, shape=(n_modes,), dtype=real)
        register_quantity(self, "conjugation_error", conjugation_error, shape=(n_modes,), dtype=coupling.dtype)
        self._hop = Derived[Tensor]()

    def forward(self, pulses: Tensor, detuning: Tensor, nudge: Tensor | None = None, *, echo: bool = True) -> Echoed:
        """Return what a wave does that begins with nothing but the first slab's pulse.

        Args:
            pulses: f of each slab, real, shape `(..., n_slabs, n_modes)`.
            detuning: theta of each slab, same shape, or one that broadcasts to it.
            nudge: Phase in rad by which the wave is moved on its way back as it enters each slab from its end, seen
                from the wave on its way out; same shape. None if `None`.
            echo: Whether there is a mirror behind the last slab.
        """
        psi = torch.zeros_like(pulses[..., 0, :] * detuning[..., 0, :]).to(self._complex)
        momentum = list(torch.zeros_like(pulses * detuning).unbind(-2))
        exits: list[Tensor] = []
        for s in range(self.n_slabs):
            psi, passed = self._pass(psi - 1j * pulses[..., s, :], detuning[..., s, :])
            momentum[s] = momentum[s] - passed
            exits.append(psi)
        out = torch.stack(exits, -2)
        if not echo:
            return Echoed(out, torch.zeros_like(out), torch.stack(momentum, -2))
        psi = psi.conj() + self.conjugation_error.to(psi.dtype) * psi
        returned: list[Tensor] = []
        for s in reversed(range(self.n_slabs)):
            if nudge is not None:
                psi = psi * torch.polar(torch.ones_like(nudge[..., s, :]), -nudge[..., s, :])
            psi, passed = self._pass(psi, detuning[..., s, :])
            momentum[s] = -momentum[s] - passed
            returned.insert(0, psi.conj())
            psi = psi - 1j * pulses[..., s, :]
        return Echoed(out, torch.stack(returned, -2), torch.stack(momentum, -2))

    def _pass(self, psi: Tensor, detuning: Tensor) -> tuple[Tensor, Tensor]:
        """Return the field behind a slab, and the integral of its intensity there."""
        step = self.duration / self.n_steps
        hop = self._hop.of((self.coupling,), (), lambda: self._hopping(step))
        passed = torch.zeros_like(detuning * intensity(psi))
        for k in range(self.n_steps):
            psi, now = self._local(psi, detuning, step / 2 if k == 0 else step)
            passed = passed + now
            psi = nn.functional.linear(psi, hop)
        psi, now = self._local(psi, detuning, step / 2)
        return psi, passed + now

    def _local(self, psi: Tensor, detuning: Tensor, time: float) -> tuple[Tensor, Tensor]:
        # the intensity falls while it acts
        lost = time * self.loss
        acts = torch.where(lost > 0, -torch.expm1(-lost) / self.loss.clamp(min=1e-30), time)
        passed = acts * intensity(psi)
        angle = -time * detuning - self.kerr * passed
        return psi * torch.polar((-0.5 * lost).exp().expand_as(angle), angle), passed

    def _hopping(self, step: float) -> Tensor:
        hop: Tensor = torch.linalg.matrix_exp(-1j * step * self.coupling.to(self._complex))
        return hop

    @property
    def _complex(self) -> torch.dtype:
        return self.coupling.dtype.to_complex()

    def extra_repr(self) -> str:
        """Return the lattice's size for `repr`."""
        return f"{self.n_modes} modes, {self.n_slabs} slabs of {self.duration:g} in {self.n_steps} steps"


def grid_coupling(modes: tuple[int, int], coupling: float) -> Tensor:
    """Return J of modes on a grid whose next neighbours are coupled, shape `(n_modes, n_modes)`, in double precision.

    Args:
        modes: Rows and columns.
        coupling: Rate between neighbours.
    """
    number = torch.arange(math.prod(modes))
    row, column = number // modes[1], number % modes[1]
    apart = (row[:, None] - row).abs() + (column[:, None] - column).abs()
    return coupling * (apart == 1).double()
