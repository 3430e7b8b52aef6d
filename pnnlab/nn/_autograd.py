"""Forward: the measurement. Backward: the twin. The one place where tensors become arrays."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pnnlab.nn._in_flight import ask
from pnnlab.systems import Measurement, System
from pnnlab.twins import DigitalTwin

__all__ = ["measure", "twin_vjp"]


def measure(system: System, x: Tensor, theta: Tensor) -> Measurement:
    """Measure a batch of tensors; see `System.measure`."""
    return ask(system, x.detach().cpu().numpy(), theta.detach().cpu().numpy())


class _MeasuredForward(torch.autograd.Function):
    """y of the bench in the forward pass, vector-Jacobian product of the twin in the backward pass.

    Physics-aware training (Wright et al. 2022, Nature 601, 549, methods, "Physics-aware training"): the Jacobian is
    that of the twin at the point that was really measured. The drive is replaced by the one that the hardware
    realised, so quantisation is passed straight through while the physics after it is linearised where it was.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, theta: Tensor, y: Tensor, system: System, twin: DigitalTwin, *drive: Tensor
    ) -> Tensor:
        ctx.system, ctx.twin = system, twin
        ctx.save_for_backward(x, theta, *drive)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, theta, *drive = ctx.saved_tensors
        grad_x, grad_theta = twin_vjp(
            ctx.system, ctx.twin, x, theta, tuple(drive), grads[0], wanted=ctx.needs_input_grad[:2]
        )
        return (grad_x, grad_theta, *(None for _ in range(3 + len(drive))))


def twin_vjp(
    system: System, twin: DigitalTwin, x: Tensor, theta: Tensor, realised: tuple[Tensor, ...], grad_y: Tensor, *,
    wanted: tuple[bool, bool] = (True, True),
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Return the twin's vector-Jacobian product at a measured point.

    Args:
        system: Whose encoder leads from (x, θ) to the drive.
        twin: What stands in for the rest.
        x: Inputs, shape `(batch, n_in)`.
        theta: Controls, shape `(n_controls,)` or `(batch, n_controls)`.
        realised: Drive that the hardware realised, one tensor an actuator.
        grad_y: Gradient of the loss at the measured outputs, shape `(batch, n_out)`.
        wanted: Whether the gradients of x and of θ are needed.

    Returns:
        Gradients of x and θ, `None` where not wanted.
    """
    if not any(wanted):
        return None, None
    with torch.enable_grad():
        x, theta = (t.detach().requires_grad_(want) for t, want in zip((x, theta), wanted, strict=True))
        drive = system.encode(x, theta)
        # the value of the realised drive with the gradient of the encoder
        there = tuple(real + (u - u.detach()) for u, real in zip(drive, realised, strict=True))
        y = twin(*there)
    inputs = [t for t, want in zip((x, theta), wanted, strict=True) if want]
    found = iter(torch.autograd.grad(y, inputs, grad_y.to(y.dtype), allow_unused=True))
    grad_x, grad_theta = (next(found) if want else None for want in wanted)
    return grad_x, grad_theta


def measured_forward(system: System, twin: DigitalTwin, x: Tensor, theta: Tensor) -> tuple[Tensor, Measurement]:
    """Return the measured outputs as a tensor whose backward pass is the twin's, and the measurement."""
    shots = measure(system, x, theta)
    y = torch.from_numpy(np.ascontiguousarray(shots.y)).to(x.device)
    drive = [torch.from_numpy(np.ascontiguousarray(d)).to(x.device) for d in shots.drive]
    result: Tensor = _MeasuredForward.apply(  # type: ignore[no-untyped-call]
        x, theta, y, system, twin, *drive
    )
    return result, shots
