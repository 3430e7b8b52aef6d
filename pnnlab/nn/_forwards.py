"""Forward-mode differentiation of a measured forward pass: derivatives along directions, and no backward pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from pnnlab.errors import TwinError
from pnnlab.nn._autograd import measured_tangent
from pnnlab.nn._cut import passing

if TYPE_CHECKING:
    from pnnlab.nn._layer import PhysicalLayer
    from pnnlab.systems import Measurement

__all__ = ["forward_derivatives"]


@torch.no_grad()
def forward_derivatives(
    model: nn.Module, x: Tensor, of: Callable[[Tensor], Tensor], directions: Sequence[Mapping[str, Tensor]]
) -> tuple[float, list[float]]:
    """Measure a model once, and differentiate what it gives along directions in its parameters.

    Physics-aware training (Wright et al. 2022) with the Jacobians multiplied from the other side: each layer's twin
    carries tangents on from where the layer was really measured. No direction costs a shot, and each costs about as
    much of the host's time as a forward pass through the twins; no intermediate result need be kept.

    Args:
        model: With physical layers that are measured and have twins.
        x: Inputs, shape `(batch, n_in)`.
        of: From the model's outputs to a number.
        directions: Directions by the parameters' names, each of the parameter's shape; others stay.

    Returns:
        The number, and its derivative along each direction.

    Raises:
        TwinError: A layer has no twin, or one with an operation of which torch knows no forward derivative.
    """
    measured: list[Measurement] = []

    def measure(layer: "PhysicalLayer", inputs: Tensor) -> Tensor:
        y = layer.respond(inputs)
        assert layer.last_measurement is not None  # noqa: S101 (it was just made)
        measured.append(layer.last_measurement)
        return y

    with passing(measure):
        value = float(of(model(x)))
    return value, [_along(model, x, of, direction, measured) for direction in directions]


def _along(
    model: nn.Module, x: Tensor, of: Callable[[Tensor], Tensor], direction: Mapping[str, Tensor],
    measured: Sequence["Measurement"],
) -> float:  # fmt: skip
    shots = iter(measured)

    def carry(layer: "PhysicalLayer", inputs: Tensor) -> Tensor:
        twin = layer.needed_twin()
        try:
            return measured_tangent(layer.system, twin, inputs, layer.controls, next(shots))
        except NotImplementedError as error:
            raise TwinError(
                f"{layer.system.name}: its twin ({type(twin).__name__}) cannot be differentiated forwards: {error}"
            ) from error

    parameters = dict(model.named_parameters())
    with forward_ad.dual_level(), passing(carry):
        moved = {name: forward_ad.make_dual(parameters[name].detach(), d) for name, d in direction.items()}
        value = of(torch.func.functional_call(model, moved, (x,)))
        tangent = forward_ad.unpack_dual(value).tangent
        return 0.0 if tangent is None else float(tangent)
