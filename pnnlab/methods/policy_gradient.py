"""Policy gradient: every part of a batch is measured under controls of its own, and no shot is spent on trying."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure
from pnnlab.methods._method import LossFunction, MethodOptions

__all__ = ["PolicyGradient", "PolicyGradientOptions"]


class PolicyGradientOptions(EstimateOptions):
    """Options of the method `policy_gradient`; see `EstimateOptions` for the others: `perturbation` is the policy's σ.

    Attributes:
        draws: Settings of the controls that are drawn for a batch, each for a part of it; at most one a sample.
    """

    perturbation: float = Field(default=0.04, gt=0)
    draws: int = Field(default=16, ge=2)


class PolicyGradient(EstimatedGradient):
    """REINFORCE over controls (Williams 1992, Mach. Learn. 8, 229).

    The policy draws controls θ ~ N(μ, σ²) and is rewarded by -L: `g = mean of (L_k - b_k) · (θ_k - μ) / σ²`, with b_k
    the mean loss of the other draws. A batch is cut into as many parts as there are draws, and each is measured under
    one of them: a step costs one pass of the batch, whatever P is, where every other black-box method spends several.
    The price is that parts differ in difficulty, which scatters the estimate. Where a batch must share its controls,
    each part is a run of its own.
    """

    name: ClassVar[str] = "policy_gradient"
    summary: ClassVar[str] = "controls drawn anew for every part of a batch (REINFORCE; Williams, Mach. Learn. 8, 1992)"
    Options: ClassVar[type[MethodOptions]] = PolicyGradientOptions
    options: PolicyGradientOptions

    def measure_on(self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction) -> Measure:
        """See `EstimatedGradient.measure_on`: each setting on a part of the batch of its own."""
        count = self._count = min(self.options.draws, len(x))
        parts = list(zip(x.tensor_split(count), target.tensor_split(count), strict=True))
        repeats = self.options.repeats

        def measure(candidates: Tensor) -> Tensor:
            found = self.controls.measured(
                candidates,
                [(k, *part) for k, part in enumerate(parts) for _ in range(repeats)],
                lambda inputs, targets: float(loss(model(inputs), targets)),
                at_once=self.micro_batch is None,
            )
            return torch.tensor(found, dtype=torch.float64).reshape(count, repeats).mean(1)

        return measure

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z, width = self.controls.read(), self.perturbation
        drawn = width * torch.randn(self._count, len(z), generator=self.draws, dtype=z.dtype)
        losses = measure(z + drawn)
        others = (losses.sum() - losses) / max(len(losses) - 1, 1)
        return float(losses.mean()), (losses - others).to(z.dtype) @ drawn / (len(drawn) * width**2)
