"""Physics-aware training: forward on the bench, backward through the twin."""

from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["PhysicsAware"]


class PhysicsAware(TrainingMethod):
    """Every layer's output is measured; the gradient is the twin's, linearised at what was measured.

    Wright, Onodera et al. 2022, Nature 601, 549, methods: the loss is taken at the measured output, and each layer's
    error is carried back by the twin's Jacobian at the measured input of that layer.
    """

    name: ClassVar[str] = "physics_aware"
    summary: ClassVar[str] = "forward on the bench, backward through the twin (Wright et al., Nature 601, 549, 2022)"
    needs_twin: ClassVar[bool] = True

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        return gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
