"""Forward: the measurement. Backward: the twin. The one place where tensors become arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from pnnlab.nn._in_flight import ask
from pnnlab.systems import FloatArray, Measurement, System
from pnnlab.twins import DigitalTwin

__all__ = ["measure", "measured_tangent", "twin_vjp"]


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
        ctx: Any, x: Tensor, theta: Tensor, y: Tensor, system: System, twin: DigitalTwin, n_drives: int,
        *measured: Tensor,
    ) -> Tensor:  # fmt: skip
        ctx.system, ctx.twin, ctx.n_drives = system, twin, n_drives
        ctx.save_for_backward(x, theta, *measured)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, theta, *measured = ctx.saved_tensors
        grad_x, grad_theta = twin_vjp(
            ctx.system, ctx.twin, x, theta, tuple(measured[: ctx.n_drives]), grads[0],
            readings=measured[ctx.n_drives :], wanted=ctx.needs_input_grad[:2],
        )  # fmt: skip
        return (grad_x, grad_theta, *(None for _ in range(4 + len(measured))))


def twin_vjp(
    system: System, twin: DigitalTwin, x: Tensor, theta: Tensor, realised: tuple[Tensor, ...], grad_y: Tensor, *,
    readings: Sequence[Tensor] = (), wanted: tuple[bool, bool] = (True, True),
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Return the twin's vector-Jacobian product at a measured point.

    Args:
        system: Whose encoder leads from (x, θ) to the drive.
        twin: What stands in for the rest.
        x: Inputs, shape `(batch, n_in)`.
        theta: Controls, shape `(n_controls,)` or `(batch, n_controls)`.
        realised: Drive that the hardware realised, one tensor an actuator.
        grad_y: Gradient of the loss at the measured outputs, shape `(batch, n_out)`.
        readings: What the twin's states are to be held at, see `DigitalTwin.replay`; its own where there are none.
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
        y = twin.replay(there, readings) if readings else twin(*there)
    inputs = [t for t, want in zip((x, theta), wanted, strict=True) if want]
    found = iter(torch.autograd.grad(y, inputs, grad_y.to(y.dtype), allow_unused=True))
    grad_x, grad_theta = (next(found) if want else None for want in wanted)
    return grad_x, grad_theta


def measured_forward(
    system: System, twin: DigitalTwin, x: Tensor, theta: Tensor, *, replayed: bool = False
) -> tuple[Tensor, Measurement]:
    """Return the measured outputs as a tensor whose backward pass is the twin's, and the measurement.

    Args:
        system: As in `twin_vjp`.
        twin: As in `twin_vjp`.
        x: As in `twin_vjp`.
        theta: As in `twin_vjp`.
        replayed: Whether the twin's states are held at the readings in the backward pass.
    """
    shots = measure(system, x, theta)
    y = _tensor(shots.y, x)
    drive = [_tensor(d, x) for d in shots.drive]
    readings = [*(_tensor(state, x) for state in shots.states), y] if replayed else []
    result: Tensor = _MeasuredForward.apply(  # type: ignore[no-untyped-call]
        x, theta, y, system, twin, len(drive), *drive, *readings
    )
    return result, shots


def measured_tangent(system: System, twin: DigitalTwin, x: Tensor, theta: Tensor, shots: Measurement) -> Tensor:
    """Return measured outputs with the tangent that the twin has at the measured point: forward-mode differentiation.

    Args:
        system: As in `twin_vjp`.
        twin: As in `twin_vjp`.
        x: As in `twin_vjp`, with or without a tangent (`torch.autograd.forward_ad`).
        theta: As in `twin_vjp`, with or without a tangent.
        shots: What was measured of the same inputs and controls.
    """
    drive = system.encode(x, theta)
    # the value of the realised drive with the tangent of the encoder
    there = (
        _tensor(real, x) + (u - forward_ad.unpack_dual(u).primal) for u, real in zip(drive, shots.drive, strict=True)
    )
    tangent = forward_ad.unpack_dual(twin(*there)).tangent
    y = _tensor(shots.y, x)
    return y if tangent is None else forward_ad.make_dual(y, tangent.to(y.dtype))


def _tensor(values: FloatArray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)
