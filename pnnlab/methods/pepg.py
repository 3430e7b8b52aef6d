"""Parameter-exploring policy gradients: a Gaussian cloud of controls moves and adapts its widths."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._setting import Setting

__all__ = ["Pepg", "PepgOptions"]


class PepgOptions(EstimateOptions):
    """Options of the method `pepg`; see `EstimateOptions` for the others: `perturbation` is the first width s.

    Attributes:
        pairs: Pairs μ ± ε that are measured in a step.
        width_rate: How fast widths adapt; 0 keeps them.
        least_width: No width falls below this part of the first one.
        baseline_memory: Part of the baseline, a running mean of the loss, that is kept from step to step.
    """

    perturbation: float = Field(default=0.04, gt=0)
    pairs: int = Field(default=10, gt=0)
    width_rate: float = Field(default=0.05, ge=0)
    least_width: float = Field(default=0.1, gt=0, le=1)
    baseline_memory: float = Field(default=0.9, ge=0, lt=1)


class Pepg(EstimatedGradient):
    """Symmetric parameter-exploring policy gradients (Sehnke et al. 2010, Neural Netw. 23, 551).

    Controls are drawn in pairs μ ± ε, ε_i ~ N(0, s_i²). The gradient of the mean loss is
    `mean of (L+ - L-)/2 · ε / s²` for μ, which goes to the recipe's optimiser, and
    `mean of ((L+ + L-)/2 - b) · (ε² - s²) / s³` for s, with b a running mean of the loss. Widths follow it as
    `s ← s · exp(-rate · s · gradient / spread)`, with the spread of the losses about b as their unit, so that they stay
    positive and the rate does not depend on the loss. On a laser network trained on hardware this method needed the
    fewest measurements of five (Skalli et al., arXiv 2503.16943).
    """

    name: ClassVar[str] = "pepg"
    summary: ClassVar[str] = "a Gaussian cloud of controls, in pairs, adapts its widths (Sehnke et al. 2010)"
    Options: ClassVar[type[MethodOptions]] = PepgOptions
    options: PepgOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._width = torch.full_like(self.controls.read(), self.options.perturbation)
        self._baseline: float | None = None

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z, width = self.controls.read(), self._width
        shape = (self.options.pairs, len(z))
        drawn = width * torch.randn(shape, generator=self.draws, dtype=z.dtype)
        above, below = measure(torch.cat([z + drawn, z - drawn])).chunk(2)
        gradient = ((above - below) / 2).to(z.dtype) @ drawn / (len(drawn) * width.square())
        self._adapt((above + below) / 2, drawn)
        return float((above + below).mean() / 2), gradient

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "width": self._width, "baseline": self._baseline}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._width, self._baseline = state["width"], state["baseline"]

    def _adapt(self, losses: Tensor, drawn: Tensor) -> None:
        """Let widths follow the mean losses of the pairs."""
        mean = float(losses.mean())
        baseline = mean if self._baseline is None else self._baseline
        excess = losses - baseline
        spread = float(excess.square().mean().sqrt())
        if spread > 0:
            uphill = (excess / spread).to(drawn.dtype) @ (drawn.square() / self._width.square() - 1) / len(drawn)
            floor = self.options.least_width * self.options.perturbation
            self._width = (self._width * torch.exp(-self.options.width_rate * uphill)).clamp_min(floor)
        keep = self.options.baseline_memory
        self._baseline = keep * baseline + (1 - keep) * mean
