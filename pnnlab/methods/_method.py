"""What a training method is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer, run_in_flight
from pnnlab.quantities import FrozenModel
from pnnlab.systems import Capability, Lane, System, Trace

__all__ = [
    "LossFunction",
    "MethodOptions",
    "TrainingMethod",
    "backward",
    "gradient_step",
    "physical_layers",
    "set_rule",
]

LossFunction = Callable[[Tensor, Tensor], Tensor]


class MethodOptions(FrozenModel):
    """The keys below `method_options:` and a method's name in a recipe; each method declares its own."""


class TrainingMethod(ABC):
    """One answer to "how does one train a physical network?".

    A method is told the model and the setting once (`prepare`), and then asked for one step a batch. What it measures
    is counted by the systems themselves. A method may train digital parts of its own beside the model (read-outs, error
    networks), which it keeps in `state`; then it predicts with them, too.

    Args:
        options: An instance of the class's `Options`.

    Attributes:
        options: See above.
        micro_batch: Samples in a part of a batch that is measured while the host works on another; `None` takes a batch
            as a whole. Gradients of the parts add up to that of the batch, so modules that mix samples of a batch
            (batch normalisation) see the parts.
    """

    name: ClassVar[str]
    """As written in recipes and on the command line."""
    summary: ClassVar[str]
    """One line for `pnnlab methods`, with the source."""
    Options: ClassVar[type[MethodOptions]] = MethodOptions
    needs_twin: ClassVar[bool]
    """Whether each layer must have a digital twin."""
    twin_as_designed: ClassVar[bool] = False
    """Whether its twin must be the design, not fitted to the device, because the method itself finds the difference."""
    needs: ClassVar[frozenset[Capability]] = frozenset()
    """What the physics of every system must allow."""

    systems: tuple[System, ...] = ()
    """What it measures beside the model's layers; `prepare` tells. Their shots count as the layers' do."""

    def __init__(self, options: MethodOptions | None = None) -> None:
        self.options = self.Options() if options is None else options
        self.micro_batch: int | None = None

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """Whether each layer must have a digital twin with these options; `needs_twin` speaks of the defaults."""
        return cls.needs_twin

    @abstractmethod
    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """Set the model's layers up for this method; called once, before the first step and before `load_state`."""

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
            optimiser: Of the model's parameters; its learning rate follows the recipe. A method need not use it.

        Returns:
            Metrics of the step, `loss` among them.
        """

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return logits, shape `(batch, n_classes)`, of inputs, shape `(batch, n_in)`, as the method classifies."""
        outputs: Tensor = model(x)
        return outputs

    def deploy(self, model: nn.Module) -> None:
        """Let the bench make the outputs from now on; called before the final test."""
        set_rule(model, ForwardRule.MEASURED)

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on besides the model and the optimiser: plain containers and tensors."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (most methods have nothing to go back to)
        """Go back to what `state` returned; `prepare` was called before."""


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
    total = backward(model, x, target, loss, micro_batch=micro_batch)
    with _trace(model).span(Lane.HOST, "optimiser"):
        optimiser.step()
    return {"loss": total}


def backward(
    model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, *, micro_batch: int | None = None
) -> float:
    """Return the loss of a batch, its gradient added to that of the parameters; arguments as in `gradient_step`."""
    size = min(micro_batch or len(x), len(x))
    trace = _trace(model)

    def part(inputs: Tensor, targets: Tensor) -> float:
        outputs = model(inputs)
        with trace.span(Lane.HOST, "backward", len(inputs)):
            value = loss(outputs, targets)
            if len(inputs) < len(x):
                value = value * (len(inputs) / len(x))
            value.backward()
        return float(value.detach())

    works = [partial(part, *pair) for pair in zip(x.split(size), target.split(size), strict=True)]
    depth = sum(layer.rule is not ForwardRule.TWIN for layer in physical_layers(model))
    return math.fsum(run_in_flight(works, n_measurements=depth) if len(works) > 1 else [works[0]()])


def _trace(model: nn.Module) -> Trace:
    layers = physical_layers(model)
    return layers[0].system.trace if layers else Trace()
