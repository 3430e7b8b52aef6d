"""Training methods whose gradient the bench itself makes."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, TrainingMethod, gradient_step, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import Adjoint, ForwardRule
from pnnlab.systems import System

__all__ = ["PhysicalGradient"]


class PhysicalGradient(TrainingMethod):
    """Gradient descent where every layer's backward pass is an experiment on its own system.

    No twin is needed. Everything between the layers is digital and differentiated as usual.
    """

    needs_twin: ClassVar[bool] = False
    by_design: ClassVar[str] = ""
    """Why its step is not the exact gradient of the recipe's loss, however exact the physics; empty where it is."""

    @abstractmethod
    def make_adjoint(self, system: System) -> Adjoint:
        """Return the experiments by which a system carries errors back."""

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        adjoints: dict[str, Adjoint] = {}
        for layer in physical_layers(model):
            name = layer.system.name
            if name not in adjoints:
                adjoints[name] = self.make_adjoint(layer.system)
            layer.rule, layer.adjoint = ForwardRule.PHYSICAL, adjoints[name]

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        return gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
