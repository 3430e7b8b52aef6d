"""Finite differences: one control after the other is moved, and the loss tells its derivative."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure, slopes
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._setting import Setting

__all__ = ["FiniteDifferences", "FiniteDifferencesOptions"]


class FiniteDifferencesOptions(EstimateOptions):
    """Options of the method `finite_differences`; see `EstimateOptions` for the others.

    Attributes:
        coordinates: Controls that are looked at in a step; the others have no gradient in it. Every control gets its
            turn before any gets a second one, in an order drawn anew each time. `null` looks at all.
    """

    coordinates: int | None = Field(default=16, gt=0)


class FiniteDifferences(EstimatedGradient):
    """Central differences `g_i = [L(θ + c u_i) - L(θ - c u_i)] / (2 c)` along each control.

    The exact gradient but for noise / c and an error of the order of c²; the price is two losses for each control: the
    whole gradient of P = 3072 phases costs 6144 batches. So a step looks at some `coordinates` only, unless it is told
    otherwise; `groups` buys cheaper steps in a random subspace. The older half of the literature on adaptive optics
    and photonic chips trains like this (Momeni et al. 2025, Nature 645, 53, "zeroth-order gradient"). Where controls
    are phases and outputs intensities, `parameter_shift` needs no small c.
    """

    name: ClassVar[str] = "finite_differences"
    summary: ClassVar[str] = "each control moved by ±c in turn, two losses a control (Momeni et al., Nature 645, 2025)"
    Options: ClassVar[type[MethodOptions]] = FiniteDifferencesOptions
    options: FiniteDifferencesOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._waiting = torch.empty(0, dtype=torch.int64)

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        return self.differences(measure, self.chosen())

    def differences(self, measure: Measure, chosen: Tensor) -> tuple[float, Tensor]:
        """Return the mean loss, and the gradient as far as it is that of the chosen controls."""
        z = self.controls.read()
        directions = torch.zeros(len(chosen), self.controls.n, dtype=z.dtype)
        directions[torch.arange(len(chosen)), chosen] = 1.0
        value, found = slopes(measure, z, directions, self.perturbation)
        gradient = torch.zeros_like(z)
        gradient[chosen] = found.to(z.dtype)
        return value, gradient

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "waiting": self._waiting}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._waiting = state["waiting"]

    def chosen(self) -> Tensor:
        """Return the controls whose turn it is."""
        count = min(self.options.coordinates or self.controls.n, self.controls.n)
        chosen = self._waiting[:count]
        if len(chosen) < count:
            order = torch.randperm(self.controls.n, generator=self.draws)
            # who had its turn just now, at the end of the old order, comes late in the new one
            order = torch.cat([order[~torch.isin(order, chosen)], order[torch.isin(order, chosen)]])
            chosen, self._waiting = torch.cat([chosen, order[: count - len(chosen)]]), order[count - len(chosen) :]
        else:
            self._waiting = self._waiting[count:]
        return chosen
