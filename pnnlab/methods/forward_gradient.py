"""Forward gradient: a derivative along a random direction, times that direction."""

import math
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure, slopes
from pnnlab.methods._method import LossFunction, MethodOptions
from pnnlab.nn import forward_derivatives, run_in_flight

__all__ = ["ForwardGradient", "ForwardGradientOptions"]


class ForwardGradientOptions(EstimateOptions):
    """Options of the method `forward_gradient`; see `EstimateOptions` for the others.

    Attributes:
        derivative: `twin` measures a batch once and carries tangents through the twins, forwards: exact where they are,
            at no shot for a direction. `measured` takes a central difference along each direction, which costs two
            losses and needs no twin; `perturbation` and `repeats` belong to it.
        directions: Random directions that are averaged.
    """

    derivative: Literal["twin", "measured"] = "twin"
    directions: int = Field(default=8, gt=0)


class ForwardGradient(EstimatedGradient):
    """`g = (∇L · d) d` with d standard normal (Baydin et al. 2022, arXiv 2202.08587): unbiased, and no backward pass.

    The derivative is taken by forward-mode differentiation, as in the paper: each layer is measured, and its twin
    carries the tangent on from there. So nothing of the pass need be kept, and the error of the twin enters one number
    a direction. Or it is measured, as in `spsa`, with the variance of normal entries.
    """

    name: ClassVar[str] = "forward_gradient"
    summary: ClassVar[str] = "derivative along a random direction, forwards, times it (Baydin et al., arXiv 2202.08587)"
    needs_twin: ClassVar[bool] = True
    Options: ClassVar[type[MethodOptions]] = ForwardGradientOptions
    options: ForwardGradientOptions

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """See `TrainingMethod.wants_twin`."""
        return getattr(options, "derivative", "twin") == "twin"

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self.options.derivative == "measured":
            return super().step(model, x, target, loss, optimiser)
        directions = self._draw()
        size = min(self.micro_batch or len(x), len(x))
        named = self.controls.directions(directions)

        def part(inputs: Tensor, targets: Tensor) -> Sequence[float]:
            value, found = forward_derivatives(model, inputs, lambda y: loss(y, targets), named)
            return [number * len(inputs) / len(x) for number in (value, *found)]

        works = [partial(part, *pair) for pair in zip(x.split(size), target.split(size), strict=True)]
        parts = run_in_flight(works, n_measurements=self.controls.n_layers) if len(works) > 1 else [works[0]()]
        value, *found = (math.fsum(numbers) for numbers in zip(*parts, strict=True))
        self.descend(torch.tensor(found, dtype=directions.dtype) @ directions / len(directions), optimiser)
        return {"loss": value}

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        directions = self._draw()
        value, found = slopes(measure, self.controls.read(), directions, self.perturbation)
        return value, found.to(directions.dtype) @ directions / len(directions)

    def _draw(self) -> Tensor:
        count, controls = self.options.directions, self.controls
        return torch.randn(count, controls.n, generator=self.draws, dtype=controls.dtype)
