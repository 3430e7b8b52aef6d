"""Units that settle between simulated crossbars, each side read with gains of its own, and their gradient."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import Madem, MademOptions, Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import CrossbarSystem, Facilities
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions

__all__ = ["GAIN", "crossbar_units", "energy_gradient", "half_square", "madem_gradient", "side_difference"]

GAIN: Final = 0.5
"""Output of a crossbar at input 1 and weight 1."""
_RATE: Final = 0.5
_STEPS: Final = 200
"""Of settling: units that go half of their way in each are at rest long before."""
_READ_V, _HIGH = 0.2, 100e-6


def crossbar_units(sizes: Sequence[int], *, gain_error: float = 0.0, seed: int = 0) -> nn.Sequential:
    """Return a chain of crossbars with weights drawn evenly from -0.5 to 0.5, in double precision, without more errors.

    With weights twice as large some draws have units that are about to hold each other up without any input: their
    minimum gives way to the smallest nudge, and no nudge of finite size tells the gradient.

    Args:
        sizes: Units before and behind each crossbar.
        gain_error: Standard deviation of the relative gains of all drivers and readers, which each side has for itself,
            so that rows and columns are told different weights.
        seed: Of the specimens and the weights.
    """
    clock, generator = SimulatedClock(), torch.Generator().manual_seed(seed)
    layers = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        chip = CrossbarChipOptions.model_validate({"shape": (n_in, 2 * n_out), "precision": "float64"})
        plant = CrossbarChip(f"cells-{k}", chip, clock=clock, seed=100 * seed + k)
        options = SimCrossbar.Options.model_validate(
            {"quantised": False, "row_gain_error": gain_error, "column_gain_error": gain_error}
        )
        device = SimCrossbar(f"chip-{k}", options, clock=clock, plant=plant).open()
        config = CrossbarSystem.Config.model_validate({
            "array": device.name, "read_voltage_v": _READ_V, "full_scale_a": _READ_V * _HIGH / GAIN, "low_siemens": 0.0,
            "high_siemens": _HIGH, "precision": "float64",
        })  # fmt: skip
        system = CrossbarSystem(f"crossbar-{k}", config, {"array": device}, Facilities(clock))
        start = 0.25 + 0.5 * torch.rand(system.n_controls, generator=generator, dtype=torch.float64)
        layers.append(PhysicalLayer(system, controls=start))
    return nn.Sequential(*layers)


def side_difference(model: nn.Sequential) -> float:
    """Return |W - W'|/|W| of what a model's crossbars are told by their rows and by their columns, root mean square."""
    difference, size = 0.0, 0.0
    for layer in model:
        assert isinstance(layer, PhysicalLayer) and isinstance(layer.system, CrossbarSystem)  # noqa: S101 (made above)
        system, theta = layer.system, layer.controls.detach().numpy()
        forwards = system.measure(np.eye(system.n_in), theta).y
        backwards = system.read_transposed(np.eye(system.n_out), theta).T
        difference += float(((forwards - backwards) ** 2).sum())
        size += float((forwards**2).sum())
    return float(np.sqrt(difference / size))


def half_square(y: Tensor, target: Tensor) -> Tensor:
    """Return half the squared distance, summed over outputs and averaged over samples."""
    return (y - target).square().sum(1).mean() / 2


def energy_gradient(weights: Sequence[Tensor], x: Tensor, target: Tensor) -> list[Tensor]:
    """Return the gradients of the loss of units that rest at the minimum of `Σ s²/2 - Σ r(a) W r(b)`, by autograd.

    Args:
        weights: W of each crossbar with its gain, shape `(n_in, n_out)`, in leaves of a graph.
        x: Inputs, shape `(batch, n_in)`.
        target: Of r of the last units, shape `(batch, n_out)`.
    """
    states = [x.new_zeros(len(x), w.shape[1]) for w in weights]
    for _ in range(_STEPS):
        seen = [x @ weights[0], *(state.tanh() @ w for state, w in zip(states, weights[1:], strict=False))]
        back = [state.tanh() @ w.mT for state, w in zip(states[1:], weights[1:], strict=True)]
        forces = [a + b for a, b in zip(seen, [*back, torch.zeros_like(states[-1])], strict=True)]
        states = [s + _RATE * ((1 - s.tanh() ** 2) * force - s) for s, force in zip(states, forces, strict=True)]
    return list(torch.autograd.grad(half_square(states[-1].tanh(), target), list(weights)))


def madem_gradient(model: nn.Sequential, x: Tensor, target: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Return the gradient of the controls that `madem` measures, and the exact one of the cells' energy.

    Args:
        model: Of `crossbar_units`.
        x: Inputs, shape `(batch, n_in)`.
        target: Of r of the last units, shape `(batch, n_out)`.
        beta: Of the method.
    """
    layers = [layer for layer in model if isinstance(layer, PhysicalLayer)]
    controls = [layer.raw_controls.detach().sigmoid().requires_grad_() for layer in layers]
    weights = [
        GAIN * (2 * theta - 1).reshape(layer.system.n_in, layer.system.n_out)
        for theta, layer in zip(controls, layers, strict=True)
    ]
    leaves = [weight.detach().requires_grad_() for weight in weights]
    # d W / d theta is one number, and that of the logistic function is known
    exact = torch.cat([
        (2 * GAIN * slope.flatten() * (theta * (1 - theta)).detach())
        for slope, theta in zip(energy_gradient(leaves, x, target), controls, strict=True)
    ])  # fmt: skip
    method = Madem(MademOptions(beta=beta, free_steps=_STEPS, nudged_steps=_STEPS, rate=_RATE))
    method.prepare(model, Setting(x.shape[1], target.shape[1], 1, 0.0, dtype=torch.float64))
    method.step(model, x, target, half_square, torch.optim.SGD(model.parameters(), lr=0.0))
    found = torch.cat([layer.raw_controls.grad for layer in layers if layer.raw_controls.grad is not None])
    return found, exact
