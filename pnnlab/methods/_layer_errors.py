"""Methods that hand each layer an error of its own; the layer's twin leads it on to the layer's controls alone."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer, Segment, cut_at_layers, run_in_flight
from pnnlab.systems import Lane, Trace

__all__ = ["LayerErrors", "LayerErrorsOptions", "Part", "backpropagated", "measured_part", "teach_each"]


class LayerErrorsOptions(MethodOptions):
    """Options of all methods that hand each layer an error of its own.

    Attributes:
        angles_every: Every so many steps the angle between each layer's gradient and that of backpropagation through
            the twins is logged, at no extra shot (`angle_1_deg` and so on); never if 0. The last layer's is 0 where a
            method gives it the true gradient.
    """

    angles_every: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Part:
    """A micro-batch after its forward pass.

    Attributes:
        model: The model.
        x: Inputs, shape `(n, n_in)`.
        target: Classes, shape `(n,)`.
        loss: The loss, a mean over samples.
        batch: Samples of the whole batch.
        segments: The layers, in order; the last one's `outer.grad` is the gradient of the loss at its outputs.
        error: Gradient of the loss at the logits, shape `(n, n_classes)`.
        value: The loss, as a part of the batch's.
    """

    model: nn.Module
    x: Tensor
    target: Tensor
    loss: LossFunction
    batch: int
    segments: Sequence[Segment]
    error: Tensor
    value: float

    @property
    def last(self) -> Tensor:
        """Return the gradient of the loss at the last layer's outputs."""
        gradient = self.segments[-1].outer.grad
        assert gradient is not None  # noqa: S101 (the loss was carried back to it)
        return gradient


def measured_part(model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, batch: int) -> Part:
    """Measure a micro-batch, and carry its part of the batch's loss back to the last layer's outputs."""
    with cut_at_layers() as segments:
        logits = model(x)
    logits.retain_grad()
    value = loss(logits, target) * (len(x) / batch)
    value.backward()
    return Part(model, x, target, loss, batch, segments, logits.grad, float(value.detach()))


class LayerErrors(TrainingMethod):
    """The forward pass is measured, and cut at every physical layer; `teach` says what error each layer's output has.

    Each layer's error becomes a gradient of its controls through the Jacobian of its own twin, at the inputs that were
    measured. Where a layer is like weights, `y = f(x · W)`, and its twin is the design, that Jacobian is f' and the
    input: nothing that would have to be learned. Digital modules between two layers are taught by the layer after them.
    """

    needs_twin: ClassVar[bool] = True
    Options: ClassVar[type[MethodOptions]] = LayerErrorsOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self._n_steps = 0

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        optimiser.zero_grad(set_to_none=True)
        layers = physical_layers(model)
        every = self._every
        exact = (
            [torch.zeros_like(layer.raw_controls) for layer in layers] if every and not self._n_steps % every else []
        )
        size = min(self.micro_batch or len(x), len(x))
        works = [
            partial(self._work, model, *pair, loss, len(x), exact)
            for pair in zip(x.split(size), target.split(size), strict=True)
        ]
        count = self.n_measurements(layers)
        total = math.fsum(run_in_flight(works, n_measurements=count) if len(works) > 1 else [works[0]()])
        compared = zip(layers, exact, strict=True) if exact else ()
        angles = {f"angle_{k}_deg": _angle(layer, true) for k, (layer, true) in enumerate(compared, 1)}
        with self._trace(layers).span(Lane.HOST, "optimiser"):
            optimiser.step()
            self.after_step()
        self._n_steps += 1
        return {"loss": total, **angles}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"n_steps": self._n_steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._n_steps = int(state["n_steps"])

    # For the methods

    @property
    def _every(self) -> int:
        assert isinstance(self.options, LayerErrorsOptions)  # noqa: S101 (every such method's options are)
        return self.options.angles_every

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """Return how many measurements a micro-batch makes before its longest work on the host."""
        return len(layers)

    @abstractmethod
    def teach(self, part: Part) -> None:
        """Add to the gradients of all that is trained before the last layer's outputs."""

    def after_step(self) -> None:
        """Learn what the method learns beside the controls, once all micro-batches are in."""

    def _work(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, batch: int, exact: list[Tensor]
    ) -> float:
        part = measured_part(model, x, target, loss, batch)
        with self._trace(physical_layers(model)).span(Lane.HOST, "backward", len(x)):
            if exact:
                for whole, found in zip(exact, backpropagated(part.segments), strict=True):
                    whole += found
            self.teach(part)
        return part.value

    @staticmethod
    def _trace(layers: Sequence[PhysicalLayer]) -> Trace:
        return layers[0].system.trace if layers else Trace()


def backpropagated(segments: Sequence[Segment]) -> list[Tensor]:
    """Return the gradient of each layer's raw controls as backpropagation through all twins has it.

    Args:
        segments: Of a chain; the last one's `outer.grad` is set.
    """
    found: list[Tensor] = []
    delta = segments[-1].outer.grad
    for k in reversed(range(len(segments))):
        segment = segments[k]
        wanted = [segment.layer.raw_controls, *([segment.inner] if k else [])]
        gradients = torch.autograd.grad(segment.y, wanted, delta, retain_graph=True)
        found.insert(0, gradients[0])
        if k:
            (delta,) = torch.autograd.grad(segment.x, segments[k - 1].outer, gradients[1], retain_graph=True)
    return found


def teach_each(segments: Sequence[Segment], deltas: Sequence[Tensor]) -> None:
    """Give each layer an error of its own at its outputs; nothing passes from layer to layer.

    Args:
        segments: The layers, in order.
        deltas: An error for each, shape `(batch, n_out)`.
    """
    for segment, delta in zip(segments, deltas, strict=True):
        segment.y.backward(delta)
        if segment.x.requires_grad:
            segment.x.backward(segment.inner.grad)


def _angle(layer: PhysicalLayer, true: Tensor) -> float:
    """Return the angle between a layer's gradient and another in degrees."""
    assert layer.raw_controls.grad is not None  # noqa: S101 (every layer was taught)
    cosine = nn.functional.cosine_similarity(layer.raw_controls.grad.flatten().double(), true.flatten().double(), dim=0)
    return math.degrees(math.acos(min(1.0, max(-1.0, float(cosine)))))
