"""Forward-only training: the loss is measured on both sides along one random direction, and the step goes along it."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure, slopes
from pnnlab.methods._method import MethodOptions

__all__ = ["RandomDirection", "RandomDirectionOptions"]


class RandomDirectionOptions(EstimateOptions):
    """Options of the method `random_direction`; see `EstimateOptions` for the others.

    Attributes:
        directions: Random directions that are averaged; each costs two losses.
    """

    directions: int = Field(default=1, gt=0)


class RandomDirection(EstimatedGradient):
    """Forward-only in-situ training (Bandyopadhyay et al. 2024, Nat. Photonics 18, 1335).

    All controls move together along a random unit vector d, and `g = P · [L(θ + h d) - L(θ - h d)] / (2 h) · d`, with
    h = c √P so that c is the root mean square over the P controls. The factor P makes the mean of g the gradient. It
    differs from `spsa` in the distribution of directions only, which here is even over the sphere. The paper trained
    a single-chip network of six neurons and three layers so.
    """

    name: ClassVar[str] = "random_direction"
    summary: ClassVar[str] = (
        "forward-only: one random direction a step, two losses (Bandyopadhyay et al., Nat. Photonics 18, 1335, 2024)"
    )
    Options: ClassVar[type[MethodOptions]] = RandomDirectionOptions
    options: RandomDirectionOptions

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z = self.controls.read()
        normal = torch.randn(self.options.directions, len(z), generator=self.draws, dtype=z.dtype)
        directions = normal * (len(z) ** 0.5 / normal.norm(dim=1, keepdim=True))
        value, found = slopes(measure, z, directions, self.perturbation)
        return value, found.to(z.dtype) @ directions / len(directions)
