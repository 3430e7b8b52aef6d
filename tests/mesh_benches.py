"""Small simulated chips with meshes for tests, made in Python."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import Facilities, MeshSystem
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.mesh_chip import MeshChip

DEVIATIONS = {
    "coupler_error": 0.1, "phase_offset_rad": 1.0,
}  # fmt: skip
"""What in situ methods need not know."""


@dataclass
class MeshBench:
    """A chip, a DAC and an ADC; opened, in double precision and without noise or rounding unless told otherwise."""

    chip: dict[str, Any] = field(default_factory=dict)
    wiring: dict[str, Any] = field(default_factory=dict)
    converters: dict[str, Any] = field(default_factory=lambda: {"quantised": False})
    ports: int = 4
    taps: str = "intensity"
    seed: int = 1

    def __post_init__(self) -> None:
        clock = SimulatedClock()
        shared = {"ports": self.ports, "taps": self.taps, "coherent": True, "bidirectional": True}
        options = MeshChip.Options.model_validate({"precision": "float64", **DEVIATIONS, **shared, **self.chip})
        self.plant = MeshChip("chip", options, clock=clock, seed=self.seed)  # type: ignore[arg-type]
        devices = {
            "dac": SimDac("dac", SimDac.Options.model_validate(self.converters), clock=clock, plant=self.plant).open(),
            "adc": SimAdc("adc", SimAdc.Options.model_validate(self.converters), clock=clock, plant=self.plant).open(),
        }
        wiring = {"dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", **shared, **self.wiring}
        config = MeshSystem.Config.model_validate(wiring)
        self.mesh = MeshSystem("mesh", config, devices, Facilities(clock))

    def layers(self, n: int = 1) -> list[PhysicalLayer]:
        """Return layers that share the chip, each with random phases of its own."""
        generator = torch.Generator().manual_seed(self.seed)
        starts = torch.rand(n, self.mesh.n_controls, generator=generator, dtype=torch.float64)
        return [PhysicalLayer(self.mesh, controls=start) for start in starts]

    def truth(self, layers: list[PhysicalLayer], between: nn.Module, x: Tensor) -> Tensor:
        """Return what the chip really makes of inputs, differentiably in the layers' controls."""
        for k, layer in enumerate(layers):
            x = self.mesh.expected(*self.mesh.encode(between(x) if k else x, layer.controls))
        return x
