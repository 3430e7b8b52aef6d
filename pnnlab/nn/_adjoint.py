"""Backward passes that the bench itself makes."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pnnlab.errors import CapabilityError
from pnnlab.systems import FloatArray, System

__all__ = ["Adjoint", "physical_forward"]


class Adjoint(ABC):
    """How a system carries an error back through itself: the experiments of one training method.

    Numpy arrays go in and out. What is measured counts as shots of the system, as in a forward pass.

    Args:
        system: The system that is driven.
    """

    def __init__(self, system: System) -> None:
        self.system = system

    @abstractmethod
    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """Measure a forward pass.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.

        Returns:
            Outputs, shape `(batch, n_out)`, and what the way back needs to know of this pass.
        """

    @abstractmethod
    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """Let an error run back.

        Args:
            memory: What `forward` returned beside the outputs.
            grad_y: Derivative of the loss with respect to each output, shape `(batch, n_out)`.

        Returns:
            Derivatives of the loss with respect to the inputs, shape `(batch, n_in)`, `None` where this physics does
            not give them, and with respect to the controls, shape `(n_controls,)`, summed over the batch.
        """


class _PhysicalForward(torch.autograd.Function):
    """y of the bench in the forward pass, and what the bench says of gradients in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, theta: Tensor, adjoint: Adjoint) -> Tensor:
        y, ctx.memory = adjoint.forward(x.detach().cpu().numpy(), theta.detach().cpu().numpy())
        ctx.adjoint, ctx.like = adjoint, (x, theta)
        return torch.from_numpy(np.ascontiguousarray(y)).to(x.device)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, theta = ctx.like
        grad_x, grad_theta = ctx.adjoint.backward(ctx.memory, grads[0].detach().cpu().numpy())
        if ctx.needs_input_grad[0] and grad_x is None:
            system = ctx.adjoint.system
            raise CapabilityError(
                f"{system.name}: the gradient of its inputs is asked for, as something trained lies before it, but "
                f"{type(ctx.adjoint).__name__} gives that of its controls only; let this system be the first layer"
            )
        return None if grad_x is None else _like(grad_x, x), _like(grad_theta, theta), None


def physical_forward(adjoint: Adjoint, x: Tensor, theta: Tensor) -> Tensor:
    """Return the measured outputs, shape `(batch, n_out)`, as a tensor whose backward pass is the bench's.

    Args:
        adjoint: The experiments.
        x: Inputs, shape `(batch, n_in)`.
        theta: Controls, shape `(n_controls,)`.

    Raises:
        CapabilityError: In the backward pass: a gradient is needed that this physics does not give.
    """
    result: Tensor = _PhysicalForward.apply(x, theta, adjoint)  # type: ignore[no-untyped-call]
    return result


def _like(values: FloatArray, tensor: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(tensor.device, tensor.dtype).reshape(tensor.shape)
