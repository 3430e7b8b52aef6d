"""What a training method is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.nn import ForwardRule, PhysicalLayer

__all__ = ["LossFunction", "TrainingMethod", "physical_layers", "set_rule"]

LossFunction = Callable[[Tensor, Tensor], Tensor]


class TrainingMethod(ABC):
    """One answer to "how does one train a physical network?".

    A method is told the model once (`prepare`), and then asked for one step a batch. What it measures is counted by the
    systems themselves.
    """

    name: ClassVar[str]
    """As written in recipes and on the command line."""
    summary: ClassVar[str]
    """One line for `pnnlab train --help`, with the source."""
    needs_twin: ClassVar[bool]
    """Whether each layer must have a digital twin."""

    @abstractmethod
    def prepare(self, model: nn.Module) -> None:
        """Set the model's layers up for this method."""

    @abstractmethod
    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """Make one step on one batch.

        Args:
            model: What `prepare` was given.
            x: Inputs, shape `(batch, n_in)`.
            target: What the loss compares with, batch first.
            loss: Loss of outputs and targets, a mean over the batch.
            optimiser: Of the model's parameters.

        Returns:
            Metrics of the step, `loss` among them.
        """


def physical_layers(model: nn.Module) -> list[PhysicalLayer]:
    """Return a model's physical layers in the order of its modules."""
    return [module for module in model.modules() if isinstance(module, PhysicalLayer)]


def set_rule(model: nn.Module, rule: ForwardRule) -> None:
    """Let every physical layer of a model take its outputs from the bench, or from its twin."""
    for layer in physical_layers(model):
        layer.rule = rule


def gradient_step(
    model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
) -> dict[str, float]:
    """Step down the gradient that the layers' rules give."""
    optimiser.zero_grad(set_to_none=True)
    value = loss(model(x), target)
    value.backward()
    optimiser.step()
    return {"loss": float(value.detach())}
