"""Networks of coupled modes between converters, in double precision and without noise unless asked for."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from pnnlab.devices import Device, SimulatedClock
from pnnlab.methods import PhysicalGradient
from pnnlab.nn import ForwardRule, PhysicalLayer, interface_of
from pnnlab.systems import Facilities, KerrModes, ModeNetwork, Resonators
from pnnlab.twins import PlantTwinConfig, make_twin
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.resonators import KerrModesBoard, ResonatorsBoard

__all__ = ["gradients", "kerr_modes", "resonators"]

KAPPA_HZ: Final = 1e6
"""All frequencies are told in units of this."""


def resonators(
    *, modes: int = 12, seed: int = 0, plant: Mapping[str, Any] | None = None, design: Mapping[str, Any] | None = None,
    system: Mapping[str, Any] | None = None, converters: Mapping[str, Any] | None = None,
) -> Resonators:  # fmt: skip
    """Return linear resonators, all coupled with random strengths of 0.5 κ, with losses inside of 0.2 κ.

    Args:
        modes: How many.
        seed: Of design and specimen.
        plant: Options of the plant besides its design.
        design: Options of the design.
        system: Keys of the system.
        converters: Options of DAC and ADC.
    """
    made: dict[str, Any] = {
        "modes": modes, "seed": seed, "static_coupling_hz": 0.5 * KAPPA_HZ, "static_detuning_hz": KAPPA_HZ,
    }  # fmt: skip
    clock = SimulatedClock()
    options = ResonatorsBoard.Options.model_validate(
        {"precision": "float64", "design": made | dict(design or {}), **(plant or {})}
    )
    board = ResonatorsBoard("board", options, clock=clock, seed=seed)
    keys = {"inputs": 4, "input_modes": (0, 1, 2, 3, 4, 5, 6, 7), "probes": (2,), "outputs": (7, 9)} | dict(
        system or {}
    )
    config = Resonators.Config.model_validate({**_COMMON, "kind": "resonators", "modes": modes, **keys})
    return Resonators("network", config, _converters(board, clock, converters), Facilities(clock))


def kerr_modes(
    *, modes: int = 10, seed: int = 0, kerr: float, plant: Mapping[str, Any] | None = None,
    system: Mapping[str, Any] | None = None, converters: Mapping[str, Any] | None = None,
) -> KerrModes:  # fmt: skip
    """Return lossless Kerr modes, all coupled with random strengths of 0.4 κ / √2, driven at four ports.

    Args:
        modes: How many.
        seed: Of design and specimen.
        kerr: Kerr shift of a mode that leaks the unit of fields, in units of κ.
        plant: As in `resonators`.
        system: As in `resonators`.
        converters: As in `resonators`.
    """
    design = {
        "modes": modes, "seed": seed, "internal_hz": 0.0, "static_coupling_hz": 0.4 / 2**0.5 * KAPPA_HZ,
        "kerr_hz": kerr * KAPPA_HZ,
    }  # fmt: skip
    clock = SimulatedClock()
    options = KerrModesBoard.Options.model_validate({"precision": "float64", "design": design, **(plant or {})})
    board = KerrModesBoard("board", options, clock=clock, seed=seed)
    keys = {"inputs": 4, "outputs": (8, 9), "quadratures": "i"} | dict(system or {})
    config = KerrModes.Config.model_validate({**_COMMON, "kind": "kerr-modes", "modes": modes, **keys})
    return KerrModes("network", config, _converters(board, clock, converters), Facilities(clock))


def gradients(
    system: ModeNetwork, method: PhysicalGradient, *, batch: int = 3, seed: int = 0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return outputs, and gradients of inputs and controls of a weighted sum of outputs: by the method, and exact.

    Args:
        system: A network; inputs, controls and weights are drawn.
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


_COMMON: Final[Mapping[str, Any]] = {
    "dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", "external_hz": KAPPA_HZ,
    "detuning_hz": KAPPA_HZ, "coupling_hz": KAPPA_HZ, "detuning_reach": 0.5, "coupling_reach": 0.2,
}  # fmt: skip


def _converters(board: Any, clock: SimulatedClock, options: Mapping[str, Any] | None) -> dict[str, Device]:
    exact: dict[str, Any] = {"quantised": False} | dict(options or {})
    kinds: dict[str, type[SimDac] | type[SimAdc]] = {"dac": SimDac, "adc": SimAdc}
    return {
        name: kind(name, kind.Options.model_validate(exact), clock=clock, plant=board).open()
        for name, kind in kinds.items()
    }
