"""How far a gradient can be trusted, a twin's or one of physical experiments: compared with the bench's differences.

The error of a twin's outputs does not tell how well training through it goes; the angle between its gradient and the
bench's does. That angle needs no gradient of the bench: along random directions d_k the bench gives derivatives
m_k = g·d_k + noise, the twin predicts t_k = g_twin·d_k, and for directions of independent entries ±1 the mean of
t_k m_k is g_twin·g. So a few dozen directions tell the cosine in spaces of thousands of controls. Every derivative is
measured twice: products of the two are free of noise, their difference is the noise floor.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.nn._autograd import measure, twin_vjp
from pnnlab.nn._layer import ForwardRule, PhysicalLayer
from pnnlab.quantities import FrozenModel
from pnnlab.systems import ControlRange
from pnnlab.twins import DigitalTwin

__all__ = [
    "Agreement",
    "Derivatives",
    "FidelityConfig",
    "agreement",
    "compare_derivatives",
    "gradient_fidelity",
    "measure_derivatives",
]

_ROWS: Final = 4096
"""Shots that are handed in at once where every shot may have controls of its own."""


class FidelityConfig(FrozenModel):
    """How the gradients of twin and bench are compared.

    Attributes:
        directions: Random directions; the cosine's standard error is about one over the root of their number.
        samples: Training samples whose common loss is differentiated.
        step: Change of every raw control; `None` takes 0.01 turns of phase, or 0.1 logits of a bounded control.
        input_step: Change of every input, as a part of the legal range, or of what the samples span where any number is
            legal.
        inputs: Whether the gradient that is carried back to the layer before is looked at, too.
    """

    directions: int = Field(default=32, ge=4)
    samples: int = Field(default=16, gt=0)
    step: float | None = Field(default=None, gt=0)
    input_step: float = Field(default=0.02, gt=0, lt=0.5)
    inputs: bool = True


@dataclass(frozen=True)
class Agreement:
    """How well a twin's gradient agrees with the bench's.

    Attributes:
        layer: Which physical layer, counted from 0.
        system: Its system.
        of: `controls` or `inputs`.
        cosine: Of the angle between the two gradients; NaN where the bench's is lost in noise.
        cosine_error: Its standard error (jackknife over directions).
        ratio: Norm of the twin's gradient over that of the bench's.
        ratio_error: Its standard error.
        noise: Noise of a measured derivative over the bench's gradient's own spread: 1 means as much noise as signal.
        shots: Shots that it cost.
    """

    layer: int
    system: str
    of: str
    cosine: float
    cosine_error: float
    ratio: float
    ratio_error: float
    noise: float
    shots: int


def gradient_fidelity(
    model: nn.Module, x: Tensor, target: Tensor, loss: Callable[[Tensor, Tensor], Tensor], config: FidelityConfig, *,
    generator: torch.Generator,
) -> list[Agreement]:  # fmt: skip
    """Compare the gradient of every physical layer with the bench's, at the point where training stands.

    That gradient is the twin's or, where the layer's rule is `ForwardRule.PHYSICAL`, that of its adjoint experiments.
    The loss of the samples is measured once and carried back, as in training; what arrives at a layer's outputs weighs
    them, and that weighted sum is differentiated, by the bench's finite differences and in the way that is looked at.

    Args:
        model: With physical layers, all with twins or adjoints.
        x: Inputs, shape `(batch, n_in)`.
        target: What the loss compares with.
        loss: As in training.
        config: How.
        generator: Source of the directions.

    Returns:
        For every layer the agreement in its controls and, if asked for, in its inputs.

    Raises:
        TwinError: A layer has no twin.
        DeviceError: The bench did not do what was asked.
    """
    layers = [module for module in model.modules() if isinstance(module, PhysicalLayer)]
    points = _visit(model, layers, x, target, loss)
    found = []
    for number, (layer, (inputs, errors)) in enumerate(zip(layers, points, strict=True)):
        physical = layer.rule is ForwardRule.PHYSICAL
        gradients = adjoint_gradients(layer, inputs, errors) if physical else None
        for of in ("controls", "inputs") if config.inputs else ("controls",):
            if gradients is not None and of not in gradients:
                continue
            measured = measure_derivatives(layer, inputs, errors, of, config, generator=generator)
            if gradients is None:
                found.append(compare_derivatives(layer, layer.needed_twin(), measured, number=number))
            else:
                found.append(_agree(layer, gradients[of], measured, number))
    return found


@torch.no_grad()
def adjoint_gradients(layer: PhysicalLayer, x: Tensor, errors: Tensor) -> Mapping[str, Tensor]:
    """Return what a layer's adjoint experiments say of a weighted sum of its outputs, at its present controls.

    Args:
        layer: With an adjoint.
        x: Inputs, shape `(batch, n_in)`.
        errors: Weights of the outputs, shape `(batch, n_out)`.

    Returns:
        Gradients in the raw `controls`, shape `(n_controls,)`, and in the `inputs`, shape `(batch, n_in)`, where this
        physics gives them.
    """
    adjoint = layer.needed_adjoint()
    with torch.enable_grad():
        raw = layer.raw_controls.detach().requires_grad_()
        theta = layer.to_controls(raw)
    _, memory = adjoint.forward(x.cpu().numpy(), theta.detach().cpu().numpy())
    grad_x, grad_theta = adjoint.backward(memory, errors.cpu().numpy())
    (in_raw,) = torch.autograd.grad(theta, raw, torch.as_tensor(grad_theta).to(theta).reshape(theta.shape))
    found = {"controls": in_raw}
    return found if grad_x is None else found | {"inputs": torch.as_tensor(grad_x).to(x)}


@dataclass(frozen=True)
class Derivatives:
    """Derivatives of a weighted sum of a layer's outputs along random directions, measured on the bench.

    Attributes:
        of: `controls` or `inputs`: what was moved.
        x: Inputs, shape `(batch, n_in)`.
        raw: Raw controls, shape `(n_controls,)`.
        errors: Weights of the outputs, shape `(batch, n_out)`.
        directions: Shape `(n_directions, n_controls)` or `(n_directions, batch, n_in)`.
        measured: Twice each, shape `(2, n_directions)`.
        shots: What they cost.
    """

    of: str
    x: Tensor
    raw: Tensor
    errors: Tensor
    directions: Tensor
    measured: Tensor
    shots: int


def measure_derivatives(
    layer: PhysicalLayer, x: Tensor, errors: Tensor, of: str, config: FidelityConfig, *, generator: torch.Generator
) -> Derivatives:
    """Measure derivatives along random directions, by central differences, each twice.

    Args:
        layer: Whose system measures, at its present controls.
        x: Inputs, shape `(batch, n_in)`.
        errors: Weights of the outputs, shape `(batch, n_out)`.
        of: `controls` or `inputs`.
        config: How.
        generator: Source of the directions.
    """
    raw, before = layer.raw_controls.detach().clone(), layer.system.n_shots
    if of == "controls":
        step = config.step or (0.1 if layer.system.control_range is ControlRange.BOUNDED else 0.01)
        directions = _signs((config.directions, len(raw)), generator, raw)
        settings = layer.to_controls(torch.cat([raw + step * directions, raw - step * directions]))
        inputs = x.expand(len(settings), *x.shape)
    else:
        low, high = layer.system.input_range
        step = config.input_step * (high - low if math.isfinite(high - low) else float(x.max() - x.min()))
        # an input at the end of its range cannot move both ways: directions leave it where it is
        free = ((x - step >= low) & (x + step <= high)).to(x.dtype)
        directions = _signs((config.directions, *x.shape), generator, x) * free
        inputs = torch.cat([x + step * directions, x - step * directions])
        settings = layer.to_controls(raw).expand(len(inputs), -1)
    measured = []
    for _ in range(2):
        sums = _weighted_sums(layer, inputs, settings, errors)
        measured.append((sums[: len(directions)] - sums[len(directions) :]) / (2 * step))
    return Derivatives(of, x, raw, errors, directions, torch.stack(measured), layer.system.n_shots - before)


def compare_derivatives(
    layer: PhysicalLayer, twin: DigitalTwin, derivatives: Derivatives, *, number: int = 0
) -> Agreement:
    """Compare a twin with measured derivatives; takes no shot, so many twins can be compared with the same ones.

    Args:
        layer: Where they were measured.
        twin: Any twin of its system.
        derivatives: What `measure_derivatives` returned.
        number: The layer's number, for the report.
    """
    x = derivatives.x
    raw = derivatives.raw.clone().requires_grad_()
    theta = layer.to_controls(raw)
    wanted = (derivatives.of == "inputs", derivatives.of == "controls")
    drive = tuple(layer.system.encode(x, theta.detach()))
    grad_x, grad_theta = twin_vjp(
        layer.system, twin, x, theta.detach(), drive, derivatives.errors, wanted=wanted
    )  # fmt: skip
    if derivatives.of == "inputs":
        gradient = torch.zeros_like(x) if grad_x is None else grad_x
    elif grad_theta is None:
        gradient = torch.zeros_like(raw)
    else:
        (gradient,) = torch.autograd.grad(theta, raw, grad_theta)
    return _agree(layer, gradient.detach(), derivatives, number)


def _agree(layer: PhysicalLayer, gradient: Tensor, derivatives: Derivatives, number: int) -> Agreement:
    predicted = (derivatives.directions * gradient).flatten(1).sum(1)
    found = agreement(predicted, derivatives.measured)
    return Agreement(number, layer.system.name, derivatives.of, **found, shots=derivatives.shots)


def agreement(predicted: Tensor, measured: Tensor) -> Mapping[str, float]:
    """Return cosine, norm ratio and noise of gradients from derivatives along random directions.

    Args:
        predicted: The twin's, shape `(n_directions,)`.
        measured: The bench's, twice each, shape `(2, n_directions)`.
    """
    predicted, measured = predicted.double(), measured.double()
    cross, own, power = predicted * measured.mean(0), predicted.square(), measured[0] * measured[1]
    n = len(predicted)
    cosine, ratio = _cosine_and_ratio(cross.sum(), own.sum(), power.sum())
    each = [
        _cosine_and_ratio(cross.sum() - cross[k], own.sum() - own[k], power.sum() - power[k]) for k in range(n)
    ]  # fmt: skip
    noise = float((measured[0] - measured[1]).square().mean() / 2) ** 0.5
    signal = float(power.mean())
    return {
        "cosine": cosine,
        "cosine_error": _jackknife([pair[0] for pair in each]),
        "ratio": ratio,
        "ratio_error": _jackknife([pair[1] for pair in each]),
        "noise": noise / math.sqrt(signal) if signal > 0 else math.inf,
    }


def _cosine_and_ratio(cross: Tensor, own: Tensor, power: Tensor) -> tuple[float, float]:
    if float(power) <= 0 or float(own) <= 0:
        return math.nan, math.nan
    return float(cross / (own * power).sqrt()), float((own / power).sqrt())


def _jackknife(values: list[float]) -> float:
    """Return the standard error of a statistic from its values with one datum left out each time (Tukey 1958)."""
    n, mean = len(values), sum(values) / len(values)
    return math.sqrt((n - 1) / n * sum((value - mean) ** 2 for value in values))


def _visit(
    model: nn.Module, layers: list[PhysicalLayer], x: Tensor, target: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> list[tuple[Tensor, Tensor]]:  # fmt: skip
    """Return the inputs of each layer and the gradient of the loss at its measured outputs."""
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        y.retain_grad()
        seen.append((inputs[0].detach(), y))

    with _measuring(layers):
        hooks = [layer.register_forward_hook(keep) for layer in layers]
        try:
            value = loss(model(x), target)
        finally:
            for hook in hooks:
                hook.remove()
        kept = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        value.backward()
        for parameter, gradient in zip(model.parameters(), kept, strict=True):
            parameter.grad = gradient
    return [(inputs, torch.zeros_like(y) if y.grad is None else y.grad) for inputs, y in seen]


@contextmanager
def _measuring(layers: list[PhysicalLayer]) -> Iterator[None]:
    rules = [layer.rule for layer in layers]
    for layer in layers:
        if layer.rule is not ForwardRule.PHYSICAL:
            layer.rule = ForwardRule.MEASURED
    try:
        yield
    finally:
        for layer, rule in zip(layers, rules, strict=True):
            layer.rule = rule


def _weighted_sums(layer: PhysicalLayer, inputs: Tensor, settings: Tensor, errors: Tensor) -> Tensor:
    """Measure a batch at every setting; return the sum of all outputs, weighted by the errors, for each.

    Args:
        layer: Whose system is measured.
        inputs: Shape `(n_settings, batch, n_in)`.
        settings: Controls, shape `(n_settings, n_controls)`.
        errors: Shape `(batch, n_out)`.
    """
    system, batch = layer.system, inputs.shape[1]
    if system.shares_controls:
        readings = [measure(system, x, theta).y for x, theta in zip(inputs, settings, strict=True)]
    else:
        size = max(1, _ROWS // batch)
        readings = []
        for x, theta in zip(inputs.split(size), settings.split(size), strict=True):
            y = measure(system, x.flatten(0, 1), theta.repeat_interleave(batch, 0)).y
            readings.extend(y.reshape(len(x), batch, -1))
    return torch.stack([(torch.from_numpy(y).double() * errors).sum() for y in readings])


def _signs(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    return (torch.randint(2, shape, generator=generator) * 2 - 1).to(like.dtype)
