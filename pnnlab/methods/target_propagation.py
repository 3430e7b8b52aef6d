"""Target propagation: each layer is given a target by a learned inverse of the layers after it."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._blocks import Standardise
from pnnlab.methods._digital import DigitalParts, linear_map
from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.methods._method import physical_layers
from pnnlab.methods._setting import Setting

__all__ = ["TargetPropagation", "TargetPropagationOptions"]


class TargetPropagationOptions(LayerErrorsOptions):
    """Options of target propagation.

    Attributes:
        target_rate: η, how far down the true gradient the last layer's target lies.
        hidden: Width of the inverses' hidden layer (tanh); 0 for linear inverses.
        learning_rate: Of the inverses, Adam.
    """

    target_rate: float = Field(default=0.1, gt=0)
    hidden: int = Field(default=0, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)


class TargetPropagation(LayerErrors):
    """Difference target propagation: ŷ_{l-1} = y_{l-1} + G_l(ŷ_l) - G_l(y_l), with a learned inverse G_l of layer l.

    The last target is `y_L - η ∂L/∂y_L`, and each layer descends on `|y_l - ŷ_l|² / 2` through the Jacobian of its own
    twin. The inverses learn from the outputs that were measured anyway, `G_l(y_l) ≈ y_{l-1}`, each relative to its mean
    and spread in the batch (Lee et al. 2015, arXiv 1412.7525, eq. 15; without that paper's extra noisy passes, which
    would cost a shot each).
    """

    name: ClassVar[str] = "target_propagation"
    summary: ClassVar[str] = "targets for each layer by learned inverses (Lee et al., arXiv 1412.7525, 2015)"
    Options = TargetPropagationOptions
    options: TargetPropagationOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        generator, sizes = setting.generator(16), [layer.system.n_out for layer in physical_layers(model)]
        self._standards = [Standardise(n, setting.dtype) for n in sizes]
        self._inverses = [
            _inverse(n_after, n_before, self.options.hidden, generator, setting.dtype)
            for n_before, n_after in pairwise(sizes)
        ]
        modules = {"inverses": nn.ModuleList(self._inverses), "standards": nn.ModuleList(self._standards)}
        self._parts = DigitalParts(modules, setting, learning_rate=self.options.learning_rate, generator=generator)
        self._outputs: list[list[Tensor]] = [[] for _ in sizes]

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        # the loss is a mean over the batch, a target is a place that one sample's outputs should reach
        step = self.options.target_rate * part.batch
        outputs = [segment.y.detach() for segment in part.segments]
        away = [-step * part.last]
        for number in range(len(outputs) - 1, 0, -1):
            away.insert(0, self._carried(number, outputs[number], away[0]))
        teach_each(part.segments, [-distance / step for distance in away])
        for parts, y in zip(self._outputs, outputs, strict=True):
            parts.append(y)

    def after_step(self) -> None:
        """Learn the inverses from what the batch gave; see `LayerErrors.after_step`."""
        outputs = [torch.cat(parts) for parts in self._outputs]
        for standard, y, parts in zip(self._standards, outputs, self._outputs, strict=True):
            if not standard.ready:
                standard.calibrate(y)
            parts.clear()
        if self._inverses:
            scaled = [standard(y) for standard, y in zip(self._standards, outputs, strict=True)]
            losses = [
                nn.functional.mse_loss(inverse(after), before)
                for inverse, (before, after) in zip(self._inverses, pairwise(scaled), strict=True)
            ]
            self._parts.descend(torch.stack(losses).sum())
            self._parts.descent.advance()

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "parts": self._parts.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._parts.load_state(state["parts"])

    @torch.no_grad()
    def _carried(self, number: int, y: Tensor, away: Tensor) -> Tensor:
        """Return how far from the outputs of the layer before a layer's target puts them."""
        inverse, here, before = self._inverses[number - 1], self._standards[number], self._standards[number - 1]
        carried: Tensor = before.spread * (inverse(here(y + away)) - inverse(here(y)))
        return carried


def _inverse(n_in: int, n_out: int, hidden: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Module:
    if not hidden:
        return linear_map(n_in, n_out, generator, dtype)
    return nn.Sequential(
        linear_map(n_in, hidden, generator, dtype), nn.Tanh(), linear_map(hidden, n_out, generator, dtype)
    )
