"""Coupled phase oscillators: an XY network, or an oscillator Ising machine."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pnnlab.physics._layered_graph import Acting
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._relaxation import Settling, relax

__all__ = ["PhaseOscillators"]


class PhaseOscillators(nn.Module):
    """Oscillators of one frequency whose phases fall down an energy of their differences.

    E = -sum K_ij cos(p_i - p_j) - sum h_i sin p_i - lock sum cos p_i + (k_s / 2) sum cos 2 p_i, so that
    dp_i/dt = -sum K_ij sin(p_i - p_j) + h_i cos p_i - lock sin p_i + k_s sin 2 p_i (Wang & Roychowdhury 2019, "OIM:
    oscillator-based Ising machines"). Phases are told against a common reference, at which `lock` draws them; inputs
    are injected a quarter turn ahead of it, so an oscillator alone answers h / sqrt(h^2 + lock^2). Injection at the
    second harmonic, k_s, draws phases to a quarter turn before or after the reference: Ising spins. Couplings that
    differ in their two directions leave no energy: each oscillator then feels `K_ij (1 + skew_ij)`.

    Args:
        skew: Antisymmetric relative deviation of the couplings between free oscillators, shape `(n_free, n_free)`.
        detuning: Frequency of each free oscillator beside the common one, in units in which couplings are, shape
            `(n_free,)`. It adds a slope to the energy, which is then none of a closed circle: equilibria keep their
            symmetry, as long as there are any.
        lock: Strength of the reference.
        injection: k_s.
        settling: How long they settle, and their phase noise.
    """

    skew: Tensor
    detuning: Tensor

    def __init__(
        self, skew: Tensor, detuning: Tensor, *, lock: float = 1.0, injection: float = 0.0,
        settling: Settling | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        register_quantity(self, "skew", skew)
        register_quantity(self, "detuning", detuning)
        self.lock, self.injection = lock, injection
        self.settling = Settling() if settling is None else settling

    def force(self, state: Tensor, acting: Acting) -> Tensor:
        """Return dp/dt, shape `(batch, n_free)`."""
        return self._velocity(state, self._felt(acting))

    def _felt(self, acting: Acting) -> Acting:
        return replace(acting, coupling=acting.coupling * (1 + self.skew))

    def _velocity(self, state: Tensor, felt: Acting) -> Tensor:
        sine, cosine = state.sin(), state.cos()
        both = torch.stack([cosine, sine], dim=-1)
        pull_cos, pull_sin = (felt.coupling @ both).unbind(-1)
        ahead, back = pull_sin + felt.field, pull_cos + self.lock - 2 * self.injection * cosine
        return cosine * ahead - sine * back + self.detuning

    def energy(self, state: Tensor, acting: Acting) -> Tensor:
        """Return E, shape `(batch,)`."""
        both = torch.stack([state.cos(), state.sin()], dim=-1)
        pairs = (both * (acting.coupling @ both)).sum((-2, -1)) / 2
        held = acting.field * state.sin() + self.lock * state.cos() - self.injection / 2 * (2 * state).cos()
        return -pairs - (held + self.detuning * state).sum(-1)

    def start(self, acting: Acting) -> Tensor:
        """Return the phases of the reference, at which nothing is decided yet."""
        return torch.zeros_like(acting.field)

    def relax(
        self, acting: Acting, start: Tensor, *, clamp: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:  # fmt: skip
        """Return the phases in rad once they have settled, shape `(batch, n_free)`.

        Args:
            acting: Fields and couplings.
            start: Where they begin in rad, same shape.
            clamp: Sines at which the phases of the last oscillators are held, shape `(batch, n_outputs)`, NaN for
                free ones.
            generator: Source of the noise.
        """
        felt = self._felt(acting)
        if clamp is None:
            return relax(lambda state: self._velocity(state, felt), start, self.settling, generator)
        held = nn.functional.pad(clamp, (start.shape[-1] - clamp.shape[-1], 0), value=torch.nan).clamp(-1, 1)
        free, at = held.isnan(), held.nan_to_num().asin()
        begin = torch.where(free, start, at)
        return relax(
            lambda state: torch.where(free, self._velocity(state, felt), at - state), begin, self.settling, generator
        )

    def values(self, state: Tensor) -> Tensor:
        """Return the sines of the phases, shape `(batch, n_free)`."""
        return state.sin()
