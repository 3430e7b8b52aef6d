"""A small chip with an interferometer mesh between converters, on which gradients can be held against the truth."""

from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import Setting, TrainingMethod
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import Facilities, MeshSystem
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.mesh_chip import MeshChip

DEVIATIONS: Final = {"coupler_error": 0.1, "phase_offset_rad": 1.0}
"""What in situ methods need not know."""


@dataclass(frozen=True)
class Gradients:
    """Gradients of one loss by the phases of a layer.

    Attributes:
        found: What the bench says.
        exact: What autograd says of the same chip.
    """

    found: Tensor
    exact: Tensor

    @property
    def error(self) -> float:
        """Return the relative error."""
        return float((self.found - self.exact).norm() / self.exact.norm())

    @property
    def cosine(self) -> float:
        """Return the cosine of the angle between both."""
        return float(nn.functional.cosine_similarity(self.found, self.exact, dim=0))


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
        """Return what the chip really makes of inputs, differentiably in the layers' controls.

        Args:
            layers: Of a network, first to last.
            between: What stands between them.
            x: Inputs, shape `(batch, n_in)`.
        """
        for k, layer in enumerate(layers):
            x = self.mesh.expected(*self.mesh.encode(between(x) if k else x, layer.controls))
        return x

    def gradients(self, method: TrainingMethod, *, batch: int = 1) -> Gradients:
        """Return the gradients of `Σ (y - t)² / 2` at random phases, for random inputs and targets.

        Args:
            method: What measures.
            batch: Number of samples.
        """
        (layer,) = self.layers()
        generator = torch.Generator().manual_seed(self.seed + 7)
        x, target = torch.rand(2, batch, self.mesh.n_in, generator=generator, dtype=torch.float64)
        method.prepare(nn.Sequential(layer), Setting(1, 2, 1, learning_rate=0.01, dtype=torch.float64))
        half = [((y - target) ** 2).sum() / 2 for y in (layer(x), self.truth([layer], nn.Identity(), x))]
        found, exact = (torch.autograd.grad(loss, layer.raw_controls)[0] for loss in half)
        return Gradients(found, exact)
