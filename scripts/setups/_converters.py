"""Boards between converters, and the gradient of a method there beside the exact one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pnnlab.devices import Clock, Device
from pnnlab.methods import PhysicalGradient
from pnnlab.nn import ForwardRule, PhysicalLayer, interface_of
from pnnlab.systems import System
from pnnlab.twins import PlantTwinConfig, make_twin
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.board import Board
from pnnlab_drivers.sim.dac import SimDac

__all__ = ["between", "cosine", "error", "gradients"]


def between(board: Board, clock: Clock, options: Mapping[str, Any] | None = None) -> dict[str, Device]:
    """Return an opened DAC and ADC of a board, without noise and quantisation unless the options say so."""
    exact: dict[str, Any] = {"quantised": False} | dict(options or {})
    kinds: dict[str, type[SimDac] | type[SimAdc]] = {"dac": SimDac, "adc": SimAdc}
    return {
        name: kind(name, kind.Options.model_validate(exact), clock=clock, plant=board).open()
        for name, kind in kinds.items()
    }


def gradients(
    system: System, method: PhysicalGradient, *, batch: int = 3, seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return outputs, and gradients of inputs and controls of a weighted sum of outputs: by the method, and exact.

    Args:
        system: Simulated; inputs, controls and weights are drawn.
        method: Makes the gradient.
        batch: Number of inputs.
        seed: Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = 2 * torch.rand(batch, system.n_in, generator=generator, dtype=torch.float64) - 1
    controls = 0.1 + 0.8 * torch.rand(system.n_controls, generator=generator, dtype=torch.float64)
    weight = torch.randn(batch, system.n_out, generator=generator, dtype=torch.float64)
    layer = PhysicalLayer(system, make_twin(PlantTwinConfig(), interface_of(system)), controls=controls)
    layer.adjoint = method.make_adjoint(system)
    found: list[tuple[Tensor, ...]] = []
    for rule in (ForwardRule.PHYSICAL, ForwardRule.TWIN):
        layer.rule, x = rule, drawn.clone().requires_grad_()
        y = layer(x)
        found.append((y.detach(), *torch.autograd.grad((weight * y).sum(), (x, layer.raw_controls))))
    return dict(zip(("y", "x", "controls"), zip(*found, strict=True), strict=True))


def error(pair: tuple[Tensor, Tensor]) -> float:
    """Return the relative error of the first tensor, the second being exact."""
    found, exact = pair
    return float((found - exact).norm() / exact.norm())


def cosine(pair: tuple[Tensor, Tensor]) -> float:
    """Return the cosine between two tensors."""
    found, exact = (part.flatten() for part in pair)
    return float(torch.nn.functional.cosine_similarity(found, exact, dim=0))
