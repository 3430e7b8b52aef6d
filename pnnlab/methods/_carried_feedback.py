"""Methods that carry the error from layer to layer, but not by the layers' own Jacobians."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part
from pnnlab.methods._method import MethodOptions
from pnnlab.nn import Segment

__all__ = ["CarriedFeedback", "CarriedFeedbackOptions"]

_DERIVATIVES: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "linear": torch.ones_like,
    "tanh": lambda y: 1 - y.square(),
    "sigmoid": lambda y: y * (1 - y),
}


class CarriedFeedbackOptions(LayerErrorsOptions):
    """Options of methods that carry the error from layer to layer.

    Attributes:
        derivative: The nonlinearity f at the outputs of layers like weights, `y = f(x · W)`: the error that is carried
            through a layer is multiplied by f', which the measured outputs tell. `linear` for all other physics.
    """

    derivative: Literal["linear", "tanh", "sigmoid"] = "linear"


class CarriedFeedback(LayerErrors):
    """The error at a layer's outputs goes on to its inputs by a matrix of the method's, `(δ f') · B_l`."""

    Options: ClassVar[type[MethodOptions]] = CarriedFeedbackOptions
    options: CarriedFeedbackOptions

    @abstractmethod
    def carrier(self, number: int, segment: Segment) -> Tensor:
        """Return the matrix that carries the error through a layer, shape `(n_out, n_in)`.

        Args:
            number: Of the layer, from 0.
            segment: The layer.
        """

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        derivative = _DERIVATIVES[self.options.derivative]
        for number in reversed(range(len(part.segments))):
            segment = part.segments[number]
            delta = segment.outer.grad
            assert delta is not None  # noqa: S101 (the layer after it, or the loss, gave it)
            if segment.x.requires_grad:
                segment.x.backward((delta * derivative(segment.y.detach())) @ self.carrier(number, segment))
            segment.y.backward(delta)
