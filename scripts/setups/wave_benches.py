"""Simulated benches of waves in double precision, without noise unless told, and exact gradients beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.devices import Device, SimulatedClock
from pnnlab.methods import Setting, TrainingMethod
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import DiffractiveSystem, EchoSystem, Facilities, FreeSpaceSystem, System
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.board import Board
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.diffractive_table import DiffractiveTable, DiffractiveTableOptions
from pnnlab_drivers.sim.free_space_table import FreeSpaceTable, FreeSpaceTableOptions
from pnnlab_drivers.sim.lattice_chip import LatticeChip, LatticeChipOptions
from pnnlab_drivers.sim.slm import SimSlm

__all__ = ["Gradients", "diffractive", "echo_lattice", "free_space", "gradients"]

_CONVERTER: Mapping[str, Any] = {"quantised": False, "range_v": (-100.0, 100.0)}


def diffractive(
    pixels: tuple[int, int] = (8, 8), masks: int = 4, *, seed: int = 0, noise_rms_v: float = 0.0,
    wiring: Mapping[str, Any] | None = None, **options: Any,
) -> DiffractiveSystem:  # fmt: skip
    """Return phase masks on a simulated bench.

    Args:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        seed: Of the specimen.
        noise_rms_v: Noise of the cameras.
        wiring: Of the system's configuration.
        options: Of `DiffractiveTable`; `backward` and `taps` are those of the wiring, too.
    """
    clock = SimulatedClock()
    chosen: dict[str, Any] = {"precision": "float64", "pixels": pixels, "masks": masks, **options}
    board = DiffractiveTable("table", DiffractiveTableOptions.model_validate(chosen), clock=clock, seed=seed)
    shared: dict[str, Any] = {key: chosen[key] for key in ("pixels", "masks", "backward", "taps") if key in chosen}
    wired = {"dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", **shared, **(wiring or {})}
    devices = _converters(board, clock, noise_rms_v)
    return DiffractiveSystem("masks", DiffractiveSystem.Config.model_validate(wired), devices, Facilities(clock))


def _layout(
    pixels: tuple[int, int], masks: int, block: int, *, sides: int, taps: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return where tiles are on a panel, and planes on a sensor that sees a pixel of theirs with one of its own."""
    height, width = pixels

    def row(n: int, top: int, block: int, first: int = 0) -> list[tuple[int, int]]:
        return [(top * height * block, (first + k) * width * block) for k in range(n)]

    panel = {
        "block": block, "sources": row(sides, 0, block), "masks": row(masks, 1, block),
        "reference": row(1, 0, block, sides)[0],
    }  # fmt: skip
    sensor: dict[str, Any] = {"block": 1, "leaving": row(sides, 0, 1)}
    if taps:
        sensor |= {"before": row(masks, 1, 1), "behind": row(masks, 2, 1)}
    return panel, sensor


def free_space(
    pixels: tuple[int, int] = (8, 8), masks: int = 4, *, seed: int = 0, block: int = 2,
    slm: Mapping[str, Any] | None = None, camera: Mapping[str, Any] | None = None,
    wiring: Mapping[str, Any] | None = None, **options: Any,
) -> FreeSpaceSystem:  # fmt: skip
    """Return phase masks on a panel before a camera, on a simulated bench; exact unless told otherwise.

    Args:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        seed: Of the specimen.
        block: Panel pixels along each side of a pixel, 40 um wide.
        slm: Options of `SimSlm`.
        camera: Options of `SimCamera`.
        wiring: Of the system's configuration.
        options: Of `FreeSpaceTable`; `backward` and `taps` are those of the wiring, too.
    """
    clock, taps, sides = SimulatedClock(), options.get("taps", True), 1 + options.get("backward", True)
    panel, sensor = _layout(pixels, masks, block, sides=sides, taps=taps)
    places: dict[str, Any] = {"pixels": pixels, "masks": masks, "panel": panel, "sensor": sensor}
    chosen: dict[str, Any] = {"precision": "float64", "photons_per_pixel_s": 1e5, **places, **options}
    table = FreeSpaceTable("table", FreeSpaceTableOptions.model_validate(chosen), clock=clock, seed=seed)
    wide, high = max(masks, sides + 1) * pixels[1], pixels[0]
    shown = {
        "shape": (2 * high * block, wide * block), "pitch_m": 40e-6 / block, "settling_s": 0.0, "quantised": False,
    }  # fmt: skip
    seen = {
        "sensor": (high * (3 if taps else 1), wide), "bit_depth": 16, "quantised": False, "noise": 0.0,
        "gain_counts_per_electron": 1.0, "quantum_efficiency": 1.0,
    }  # fmt: skip
    devices: dict[str, Device] = {
        "slm": SimSlm("slm", SimSlm.Options.model_validate({**shown, **(slm or {})}), clock=clock, plant=table).open(),
        "camera": SimCamera(
            "camera", SimCamera.Options.model_validate({**seen, **(camera or {})}), clock=clock, plant=table
        ).open(),
    }  # fmt: skip
    # 1e5 photons per s for 1 ms, each a count
    wired: dict[str, Any] = {
        "slm": "slm", "camera": "camera", "exposure_s": 1e-3, "unit_counts": 100, "precision": "float64", **places,
        **{key: options[key] for key in ("backward", "taps") if key in options}, **(wiring or {}),
    }  # fmt: skip
    return FreeSpaceSystem("masks", FreeSpaceSystem.Config.model_validate(wired), devices, Facilities(clock))


def echo_lattice(
    modes: tuple[int, int] = (1, 8), slabs: int = 1, *, seed: int = 0, noise_rms_v: float = 0.0,
    wiring: Mapping[str, Any] | None = None, **options: Any,
) -> EchoSystem:  # fmt: skip
    """Return a nonlinear wave before a mirror on a simulated bench.

    Args:
        modes: Rows and columns of the modes.
        slabs: Stretches of medium.
        seed: Of the specimen.
        noise_rms_v: Noise of every reading.
        wiring: Of the system's configuration.
        options: Of `LatticeChip`.
    """
    clock = SimulatedClock()
    chosen = {"precision": "float64", "modes": modes, "slabs": slabs, **options}
    board = LatticeChip("chip", LatticeChipOptions.model_validate(chosen), clock=clock, seed=seed)
    wired = {"dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", "slabs": slabs, **(wiring or {})}
    config = EchoSystem.Config.model_validate({"modes": modes[0] * modes[1], **wired})
    return EchoSystem("wave", config, _converters(board, clock, noise_rms_v), Facilities(clock))


def _converters(board: Board, clock: SimulatedClock, noise_rms_v: float) -> dict[str, Device]:
    reading = {**_CONVERTER, "noise_rms_v": noise_rms_v}
    return {
        "dac": SimDac("dac", SimDac.Options.model_validate(_CONVERTER), clock=clock, plant=board).open(),
        "adc": SimAdc("adc", SimAdc.Options.model_validate(reading), clock=clock, plant=board).open(),
    }


@dataclass(frozen=True)
class Gradients:
    """What a method measured, and what autograd says of the same bench.

    Attributes:
        found: By the raw controls, shape `(n_controls,)`.
        exact: The same, exactly.
        found_x: By the inputs, shape `(batch, n_in)`.
        exact_x: The same, exactly.
    """

    found: Tensor
    exact: Tensor
    found_x: Tensor
    exact_x: Tensor

    @property
    def error(self) -> float:
        """Return the relative error of the gradient by controls."""
        return float((self.found - self.exact).norm() / self.exact.norm())

    @property
    def error_x(self) -> float:
        """Return the relative error of the gradient by inputs."""
        return float((self.found_x - self.exact_x).norm() / self.exact_x.norm())

    @property
    def cosine(self) -> float:
        """Return the cosine between both gradients by controls."""
        return float(nn.functional.cosine_similarity(self.found, self.exact, dim=0))


def gradients(system: System, method: TrainingMethod, *, batch: int = 3, seed: int = 1) -> Gradients:
    """Return the gradient of half the squared distance of outputs from random targets, at random controls.

    Args:
        system: A simulated one.
        method: One whose layers carry errors back by experiments.
        batch: Samples, random too, over the whole range of inputs.
        seed: Of samples, targets and controls.
    """
    draw = torch.Generator().manual_seed(seed)
    low, high = system.input_range
    x, target, controls = (
        torch.rand(shape, generator=draw, dtype=torch.float64)
        for shape in ((batch, system.n_in), (batch, system.n_out), (system.n_controls,))
    )
    x = low + (high - low) * x
    layer = PhysicalLayer(system, controls=controls)
    method.prepare(nn.Sequential(layer), Setting(system.n_in, system.n_out, 1, 0.1, dtype=torch.float64))
    results = []

    def truth(x: Tensor) -> Tensor:
        return system.expected(*system.encode(x, layer.controls))

    for forward in (layer, truth):
        inputs = x.clone().requires_grad_()
        layer.raw_controls.grad = None
        (forward(inputs) - target).square().sum().div(2).backward()
        results.append((layer.raw_controls.grad, inputs.grad))
    (found, found_x), (exact, exact_x) = results
    assert found is not None and found_x is not None and exact is not None and exact_x is not None  # noqa: S101
    return Gradients(found, exact, found_x, exact_x)
