"""Contrastive Hebbian learning: a free state against one whose outputs are held at their targets."""

from typing import ClassVar

from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods.coupled_learning import ClampedAdjoint
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, System

__all__ = ["ContrastiveHebbian"]


class ContrastiveHebbianOptions(MethodOptions):
    """Options of `contrastive_hebbian`.

    Attributes:
        reach: How far a sample's target lies from its outputs: the largest distance, in their units, or, not
            normalised, the distance per derivative of the sample's loss; 1 is then t itself with the squared error
            `|y - t|²/2`.
        normalise: See there. Normalised targets stay within what the clamps can reach.
    """

    reach: float = Field(default=1.0, gt=0)
    normalise: bool = True


class ContrastiveHebbian(PhysicalGradient):
    """Outputs are held at their targets; each control goes down the difference of `∂E/∂θ` to the free state.

    Coupled learning with η = 1, and equilibrium propagation with an infinite nudge. The difference is the gradient of
    a contrastive function of its own, `E(clamped) - E(free)`, not of the loss: it is 0 only where the targets are met,
    but it does not go to zero along the loss's steepest path.
    """

    name: ClassVar[str] = "contrastive_hebbian"
    summary: ClassVar[str] = "free against fully clamped equilibria (Xie & Seung, Neural Comput. 15, 441, 2003)"
    Options: ClassVar[type[MethodOptions]] = ContrastiveHebbianOptions
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.RELAXES, Capability.CLAMP, Capability.LOCAL_STATE})
    options: ContrastiveHebbianOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return ClampedAdjoint(system, self.options.reach, normalise=self.options.normalise)
