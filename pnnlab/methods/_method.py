"""What a training method is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.nn import ForwardRule, PhysicalLayer, run_in_flight
from pnnlab.systems import Lane, Trace

__all__ = ["LossFunction", "TrainingMethod", "physical_layers", "set_rule"]

LossFunction = Callable[[Tensor, Tensor], Tensor]


class TrainingMethod(ABC):
    """One answer to "how does one train a physical network?".

    A method is told the model once (`prepare`), and then asked for one step a batch. What it measures is counted by the
    systems themselves.

    Attributes:
        micro_batch: Samples in a part of a batch that is measured while the host works on another; `None` takes a batch
            as a whole. Gradients of the parts add up to that of the batch, so modules that mix samples of a batch
            (batch normalisation) see the parts.
    """

    micro_batch: int | None = None

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
    model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer, *,
    micro_batch: int | None = None,
) -> dict[str, float]:  # fmt: skip
    """Step down the gradient that the layers' rules give.

    Args:
        model: As in `TrainingMethod.step`.
        x: As in `TrainingMethod.step`.
        target: As in `TrainingMethod.step`.
        loss: As in `TrainingMethod.step`; a mean over the batch.
        optimiser: As in `TrainingMethod.step`.
        micro_batch: Samples that are worked on at a time, while the bench measures others; all at once if `None`.
    """
    optimiser.zero_grad(set_to_none=True)
    size = min(micro_batch or len(x), len(x))
    layers = physical_layers(model)
    trace = layers[0].system.trace if layers else Trace()

    def part(inputs: Tensor, targets: Tensor) -> float:
        outputs = model(inputs)
        with trace.span(Lane.HOST, "backward", len(inputs)):
            value = loss(outputs, targets)
            if len(inputs) < len(x):
                value = value * (len(inputs) / len(x))
            value.backward()
        return float(value.detach())

    works = [partial(part, *pair) for pair in zip(x.split(size), target.split(size), strict=True)]
    depth = sum(layer.rule is ForwardRule.MEASURED for layer in layers)
    total = math.fsum(run_in_flight(works, n_measurements=depth) if len(works) > 1 else [works[0]()])
    with trace.span(Lane.HOST, "optimiser"):
        optimiser.step()
    return {"loss": total}
