"""A continuous Hopfield network."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pnnlab.physics._layered_graph import Acting
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._relaxation import Settling, relax

__all__ = ["HopfieldNetwork"]


class HopfieldNetwork(nn.Module):
    """Units that fall down E = sum s^2 / 2 - sum w_ij r(s_i) r(s_j) - sum b_i r(s_i), with r = tanh.

    ds_i/dt = -s_i + r'(s_i) (b_i + sum_j w_ij r(s_j)) in units of the units' time constant (Scellier & Bengio 2017,
    Front. Comput. Neurosci. 11, 24). Couplings that differ in their two directions leave no energy: each unit then
    feels `w_ij (1 + skew_ij)`, and equilibrium propagation is no longer exact.

    Couplings and biases may be physical, too, each drawn to its knob u by a spring, (u - w)^2 / (2 compliance): at rest
    they have given way to w_ij = u_ij + compliance r(s_i) r(s_j), which is inserted here (`softness`).

    Args:
        skew: Antisymmetric relative deviation of the couplings between free units, shape `(n_free, n_free)`; 0 for the
            network that has an energy.
        settling: How long it settles.
        compliance: See above; 0 for couplings that hold.
    """

    skew: Tensor

    def __init__(self, skew: Tensor, settling: Settling | None = None, *, compliance: float = 0.0) -> None:
        super().__init__()
        register_quantity(self, "skew", skew)
        self.settling = Settling() if settling is None else settling
        self.compliance = compliance

    def force(self, state: Tensor, acting: Acting) -> Tensor:
        """Return ds/dt, shape `(batch, n_free)`."""
        return self._velocity(state, self._felt(acting))

    def _felt(self, acting: Acting) -> Acting:
        return replace(acting, coupling=acting.coupling * (1 + self.skew))

    def _velocity(self, state: Tensor, felt: Acting) -> Tensor:
        value = state.tanh()
        field = felt.field + (felt.coupling @ value.unsqueeze(-1)).squeeze(-1)
        if self.compliance and felt.softness is not None:
            field = field + self.compliance * value * felt.softness.met(value)
        return (1 - value**2) * field - state

    def energy(self, state: Tensor, acting: Acting) -> Tensor:
        """Return E up to the inputs' own part, shape `(batch,)`."""
        value = state.tanh()
        pairs = (value * (acting.coupling @ value.unsqueeze(-1)).squeeze(-1)).sum(-1) / 2
        held = (state**2).sum(-1) / 2 - pairs - (acting.field * value).sum(-1)
        if self.compliance and acting.softness is not None:
            squares, softness = value**2, acting.softness
            given = (squares * softness.held).sum(-1) + (squares * (squares @ softness.joined)).sum(-1) / 2
            return held - self.compliance / 2 * given
        return held

    def start(self, acting: Acting) -> Tensor:
        """Return the state of units that are switched off."""
        return torch.zeros_like(acting.field)

    def relax(
        self, acting: Acting, start: Tensor, *, clamp: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:  # fmt: skip
        """Return the units' state once they have settled, shape `(batch, n_free)`.

        Args:
            acting: Fields and couplings.
            start: Where they begin, same shape.
            clamp: Values r(s) at which the last units are held, shape `(batch, n_outputs)`, NaN for free ones.
            generator: Source of the noise.
        """
        felt = self._felt(acting)
        if clamp is None:
            return relax(lambda state: self._velocity(state, felt), start, self.settling, generator)
        held = nn.functional.pad(clamp, (start.shape[-1] - clamp.shape[-1], 0), value=torch.nan).clamp(-0.999, 0.999)
        free, at = held.isnan(), held.nan_to_num().atanh()
        begin = torch.where(free, start, at)
        return relax(
            lambda state: torch.where(free, self._velocity(state, felt), at - state), begin, self.settling, generator
        )

    def values(self, state: Tensor) -> Tensor:
        """Return r(s), what the units show, shape `(batch, n_free)`."""
        return state.tanh()
