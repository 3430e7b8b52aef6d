"""Forward gradient: a derivative along a random direction, times that direction."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure, slopes
from pnnlab.methods._method import MethodOptions

__all__ = ["ForwardGradient", "ForwardGradientOptions"]


class ForwardGradientOptions(EstimateOptions):
    """Options of the method `forward_gradient`; see `EstimateOptions` for the others.

    Attributes:
        directions: Random directions that are averaged; each costs two losses.
    """

    directions: int = Field(default=1, gt=0)


class ForwardGradient(EstimatedGradient):
    """`g = (∇L · d) d` with d standard normal, the derivative measured (Baydin et al. 2022, arXiv 2202.08587).

    Unbiased, and no backward pass. The paper takes the derivative by forward-mode differentiation of a program; on a
    bench it is measured by a central difference along d. Of `spsa`'s family, with the variance of normal entries.
    """

    name: ClassVar[str] = "forward_gradient"
    summary: ClassVar[str] = "measured derivative along a random direction, times it (Baydin et al., arXiv 2202.08587)"
    Options: ClassVar[type[MethodOptions]] = ForwardGradientOptions
    options: ForwardGradientOptions

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z = self.controls.read()
        directions = torch.randn(self.options.directions, len(z), generator=self.draws, dtype=z.dtype)
        value, found = slopes(measure, z, directions, self.perturbation)
        return value, found.to(z.dtype) @ directions / len(directions)
