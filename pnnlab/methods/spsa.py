"""Simultaneous perturbation: all controls change at once at random, and the loss tells how well that went."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure, slopes
from pnnlab.methods._method import MethodOptions

__all__ = ["Spsa", "SpsaOptions"]


class SpsaOptions(EstimateOptions):
    """Options of the method `spsa`; see `EstimateOptions` for the others.

    Attributes:
        directions: Random directions N that are averaged; each costs two losses.
    """

    directions: int = Field(default=1, gt=0)


class Spsa(EstimatedGradient):
    """Simultaneous-perturbation stochastic approximation (Spall 1992, IEEE Trans. Autom. Control 37, 332).

    D_i = ±1 at random, `g = [L(θ + c D) - L(θ - c D)] / (2 c) · D`, the mean of N draws. Two losses a draw, however
    many controls P there are; the price is the direction: the cosine between estimate and gradient is
    √(N / (N + P - 1)) in the mean. It is a good descent and never a good gradient. With steps of one size it gets worse
    in the end, so let the learning rate fall (`schedule: cosine`), or take Spall's own `gains`.

    As stochastic parallel gradient descent (SPGD) it is what trains most photonic chips.
    """

    name: ClassVar[str] = "spsa"
    summary: ClassVar[str] = "all controls perturbed at once by ±c, two losses a step (Spall, IEEE TAC 37, 332, 1992)"
    Options: ClassVar[type[MethodOptions]] = SpsaOptions
    options: SpsaOptions

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        signs = self.signs(self.options.directions)
        value, found = slopes(measure, self.controls.read(), signs, self.perturbation)
        return value, found.to(signs.dtype) @ signs / len(signs)
