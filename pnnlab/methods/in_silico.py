"""In-silico training: forward and backward in the twin; the bench is met at deployment."""

from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["InSilico"]


class InSilico(TrainingMethod):
    """The twin alone is trained; not one shot is taken until the controls are deployed.

    The baseline of the field (Momeni et al. 2025, Nature 645, 53, "in-silico training"): as good as its twin is.
    """

    name: ClassVar[str] = "in_silico"
    summary: ClassVar[str] = "forward and backward in the twin, then deployed (Momeni et al., Nature 645, 53, 2025)"
    needs_twin: ClassVar[bool] = True

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.TWIN)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        return gradient_step(model, x, target, loss, optimiser)
