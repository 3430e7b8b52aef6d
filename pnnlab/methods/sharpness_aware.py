"""Sharpness-aware training: the controls are to be good in a whole neighbourhood."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, backward, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["SharpnessAware", "SharpnessAwareOptions"]


class SharpnessAwareOptions(MethodOptions):
    """How large the neighbourhood is.

    Attributes:
        radius: Its radius ρ, Euclidean over all trained parameters, in their units (turns of phase, logits).
        on_bench: Whether both forward passes are measured, which takes two shots a sample and layer, or the twin's.
    """

    radius: float = Field(default=0.05, gt=0)
    on_bench: bool = False


class SharpnessAware(TrainingMethod):
    """Steps down the gradient at the worst place nearby: min over θ of max over |d| < ρ of L(θ + d).

    Foret et al. 2021, ICLR (arXiv 2010.01412), equation 3: d = ρ g / |g| with g = ∂L/∂θ, then a step with
    ∂L/∂θ at θ + d. For physical networks Xu et al. 2026, Nat. Commun. 17, 1766: controls in a flat minimum stand what a
    device does differently.
    """

    name: ClassVar[str] = "sharpness_aware"
    summary: ClassVar[str] = "in silico, or on the bench, into flat minima (Foret et al., arXiv 2010.01412)"
    Options: ClassVar[type[MethodOptions]] = SharpnessAwareOptions
    needs_twin: ClassVar[bool] = True
    options: SharpnessAwareOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED if self.options.on_bench else ForwardRule.TWIN)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        optimiser.zero_grad(set_to_none=True)
        value = backward(model, x, target, loss, micro_batch=self.micro_batch)
        found = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        kept = [p.detach().clone() for p in found]
        norm = torch.stack([p.grad.norm() for p in found]).norm()
        with torch.no_grad():
            for p in found:
                p += self.options.radius * p.grad / (norm + torch.finfo(p.dtype).tiny)
        optimiser.zero_grad(set_to_none=True)
        worst = backward(model, x, target, loss, micro_batch=self.micro_batch)
        with torch.no_grad():
            for p, start in zip(found, kept, strict=True):
                p.copy_(start)
        optimiser.step()
        return {"loss": value, "sharpness": worst - value}
