"""Weight perturbation: all controls change at random, and the loss is compared with that of the unchanged ones."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure
from pnnlab.methods._method import MethodOptions

__all__ = ["WeightPerturbation", "WeightPerturbationOptions"]


class WeightPerturbationOptions(EstimateOptions):
    """Options of the method `weight_perturbation`; see `EstimateOptions` for the others.

    Attributes:
        perturbations: Random perturbations N that are averaged; N + 1 losses a step.
    """

    perturbations: int = Field(default=8, gt=0)


class WeightPerturbation(EstimatedGradient):
    """One-sided random perturbations: `g = mean of [L(θ + c D) - L(θ)] / c · D`, D_i = ±1 at random.

    Stochastic error descent (Cauwenberghs 1993, NIPS 5, 244; in analog networks first one weight at a time: Jabri &
    Flower 1992, IEEE Trans. Neural Netw. 3, 154). N perturbations share one reference, so a step costs N + 1 losses
    against the 2 N of `spsa`; in exchange the curvature along each D and the noise of the reference, which is common to
    all N, add to the scatter of the estimate.
    """

    name: ClassVar[str] = "weight_perturbation"
    summary: ClassVar[str] = "all controls perturbed, against one unperturbed loss (Cauwenberghs, NIPS 5, 244, 1993)"
    Options: ClassVar[type[MethodOptions]] = WeightPerturbationOptions
    options: WeightPerturbationOptions

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z, c = self.controls.read(), self.perturbation
        signs = self.signs(self.options.perturbations).to(z.dtype)
        losses = measure(torch.cat([z[None], z + c * signs]))
        risen = (losses[1:] - losses[0]).to(z.dtype)
        return float(losses.mean()), risen @ signs / (c * len(signs))
