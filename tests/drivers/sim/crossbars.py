"""A small crossbar, for tests."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pnnlab.devices import SimulatedClock
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions

Array = npt.NDArray[np.floating]

US = 1e-6
HERMES = "pcm-hermes-2023-one-device"
FALCONE = "rram-falcone-2025-2pct"
SILENT = {"programming_noise": 0.0, "drift": 0.0, "read_noise": 0.0}
CONVERTERS: dict[str, Any] = {
    "row_gain_error": 0.02, "column_offset_a": 1e-6, "column_gain_error": 0.02, "column_inl_lsb": 1.0,
}  # fmt: skip


def crossbar(chip: dict[str, Any] | None = None, *, seed: int = 1, **options: Any) -> SimCrossbar:
    """Return an open crossbar, by default of 8 x 6 ideal cells with exact converters, in double precision."""
    clock = SimulatedClock()
    chosen = CrossbarChipOptions.model_validate({"shape": (8, 6), "precision": "float64", **(chip or {})})
    plant = CrossbarChip("chip", chosen, clock=clock, seed=seed)
    device_options = SimCrossbar.Options.model_validate({"quantised": False, **options})
    return SimCrossbar("array", device_options, clock=clock, plant=plant).open()


def chip_of(device: SimCrossbar) -> CrossbarChip:
    assert isinstance(device.plant, CrossbarChip)
    return device.plant


def targets(device: SimCrossbar, seed: int = 0) -> Array:
    low, high = device.limits("conductance").low, device.limits("conductance").high
    return np.random.default_rng(seed).uniform(low, high, device.shape)


def voltages(device: SimCrossbar, n: int = 5, seed: int = 1) -> Array:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, (n, device.shape[0]))
