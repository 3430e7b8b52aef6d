"""Networks of coupled modes between converters, in double precision and without noise unless asked for."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

from pnnlab.devices import SimulatedClock
from pnnlab.systems import Facilities, KerrModes, Resonators
from pnnlab_drivers.sim.resonators import KerrModesBoard, ResonatorsBoard
from scripts.setups._converters import between

__all__ = ["KAPPA_HZ", "kerr_for", "kerr_modes", "largest_shift", "resonators"]

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
    return Resonators("network", config, between(board, clock, converters), Facilities(clock))


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
    return KerrModes("network", config, between(board, clock, converters), Facilities(clock))


_COMMON: Final[Mapping[str, Any]] = {
    "dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", "external_hz": KAPPA_HZ,
    "detuning_hz": KAPPA_HZ, "coupling_hz": KAPPA_HZ, "detuning_reach": 0.5, "coupling_reach": 0.2,
}  # fmt: skip


def kerr_for(shift: float, *, seed: int = 0) -> float:
    """Return the Kerr shift of a mode that leaks 1 V with which the most shifted mode of `kerr_modes` is at `shift`.

    Args:
        shift: Of the most shifted mode, in units of κ, with the first inputs that `gradients` draws for one sample.
        seed: Of the network and of the draw.
    """
    low, high = 0.0, 16.0
    for _ in range(12 if shift else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if largest_shift(kerr_modes(seed=seed, kerr=middle), seed) < shift else (low, middle)
    return (low + high) / 2 if shift else 0.0


def largest_shift(system: KerrModes, seed: int) -> float:
    """Return the largest Kerr shift of a mode, in units of κ, with the first inputs that `gradients` draws."""
    generator = torch.Generator().manual_seed(seed)
    x = (2 * torch.rand(1, system.n_in, generator=generator, dtype=torch.float64) - 1).numpy()
    theta = (0.1 + 0.8 * torch.rand(system.n_controls, generator=generator, dtype=torch.float64)).numpy()
    leaked = np.abs(system.scattered(x, theta)[1] - system.injected(x, theta)) ** 2
    board = system.devices["dac"].plant
    return float(leaked.max()) * board.options.design.kerr_hz / KAPPA_HZ if isinstance(board, KerrModesBoard) else 0.0
