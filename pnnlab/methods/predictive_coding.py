"""Predictive coding: activities relax towards what explains input and target, then each layer learns by itself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.nn import PhysicalLayer, Segment, cut_at_layers

__all__ = ["PredictiveCoding", "PredictiveCodingOptions"]


class PredictiveCodingOptions(LayerErrorsOptions):
    """Options of predictive coding.

    Attributes:
        iterations: Steps of the relaxation.
        rate: Of the relaxation.
        nudge: β, the weight of the loss beside the prediction errors.
        measured: Whether predictions are measured anew at the activities of each step, which costs a shot for each
            layer but the first, and takes the readings' fresh noise for prediction errors: choose `nudge` so large that
            the loss pulls harder. Else those of the forward pass stay, and what is found tends to backpropagation
            through the twins (Millidge et al. 2022, arXiv 2006.04182).
    """

    iterations: int = Field(default=4, gt=0)
    rate: float = Field(default=0.3, gt=0, le=1)
    nudge: float = Field(default=1.0, gt=0)
    measured: bool = False


class PredictiveCoding(LayerErrors):
    """Activities a_l descend on `E = ½ Σ |a_l - μ_l|² + β L(a_L)`, μ_l being the layer's measured answer to a_{l-1}.

    Then each layer learns by itself: its controls descend on its own prediction error `|a_l - μ_l|² / 2β`, through the
    Jacobian of its own twin, as the relaxation does from a layer to its inputs (Whittington, Bogacz 2017, Neural
    Comput. 29, 1229, eqs. 2.8 and 2.19). With small β, or predictions that stay, that is the gradient of the loss.
    """

    name: ClassVar[str] = "predictive_coding"
    summary: ClassVar[str] = "activities relax towards the target, layers learn locally (Whittington & Bogacz, 2017)"
    Options = PredictiveCodingOptions
    options: PredictiveCodingOptions

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """See `LayerErrors.n_measurements`."""
        return len(layers) + (len(layers) - 1) * self.options.iterations * self.options.measured

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        options = self.options
        segments, slope = part.segments, options.nudge * part.batch * part.last
        activities = [segment.y.detach() for segment in segments]
        for _ in range(options.iterations):
            errors = [a - segment.y.detach() for a, segment in zip(activities, segments, strict=True)]
            pulls = [*_pulled(segments, errors), -slope]
            activities = [
                a - options.rate * (error - pull) for a, error, pull in zip(activities, errors, pulls, strict=True)
            ]
            segments, slope = self._predict(part, activities)
        errors = [a - segment.y.detach() for a, segment in zip(activities, segments, strict=True)]
        teach_each(segments, [-error / (options.nudge * part.batch) for error in errors])

    def _predict(self, part: Part, activities: Sequence[Tensor]) -> tuple[Sequence[Segment], Tensor]:
        """Return what the layers answer to activities, and β times the slope of each sample's loss at the last ones."""
        fresh = 1 if self.options.measured else len(activities)
        known = {k: replace(part.segments[k], outer=activities[k].clone().requires_grad_()) for k in range(fresh)}
        with cut_at_layers(known=known, held=dict(enumerate(activities))) as segments:
            logits = part.model(part.x)
        value = part.loss(logits, part.target) * len(part.x)
        (slope,) = torch.autograd.grad(value, segments[-1].outer)
        # where predictions stay, so does the point at which layers are linearised
        return segments if self.options.measured else part.segments, self.options.nudge * slope


def _pulled(segments: Sequence[Segment], errors: Sequence[Tensor]) -> list[Tensor]:
    """Return, for the activities of each layer but the last, what the next layer's prediction error asks of them."""
    pulls = []
    for before, segment, error in zip(segments[:-1], segments[1:], errors[1:], strict=True):
        (at_input,) = torch.autograd.grad(segment.y, segment.inner, error, retain_graph=True)
        (at_before,) = torch.autograd.grad(segment.x, before.outer, at_input, retain_graph=True)
        pulls.append(at_before)
    return pulls
