"""A small matrix of light with absorbers between converters, on which gradients can be held against the truth."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import SaturableAbsorption, Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import AbsorberSystem, Facilities
from pnnlab_drivers.sim.absorber_chip import AbsorberChip
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac

__all__ = ["AbsorberBench"]


@dataclass
class AbsorberBench:
    """A chip, a DAC and an ADC; opened, in double precision, without noise, rounding or deviations unless told."""

    chip: dict[str, Any] = field(default_factory=dict)
    wiring: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, int] = (8, 8)
    seed: int = 1

    def __post_init__(self) -> None:
        clock = SimulatedClock()
        options = AbsorberChip.Options.model_validate({"precision": "float64", "shape": self.shape, **self.chip})
        self.plant = AbsorberChip("cells", options, clock=clock, seed=self.seed)  # type: ignore[arg-type]
        exact = {"quantised": False}
        devices = {
            "dac": SimDac("dac", SimDac.Options.model_validate(exact), clock=clock, plant=self.plant).open(),
            "adc": SimAdc("adc", SimAdc.Options.model_validate(exact), clock=clock, plant=self.plant).open(),
        }
        wiring = {
            "dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64", "shape": self.shape,
            "pump": self.plant.options.pump, **self.wiring,
        }  # fmt: skip
        config = AbsorberSystem.Config.model_validate(wiring)
        self.system = AbsorberSystem("cells", config, devices, Facilities(clock))

    def gradients(self, *, batch: int = 4) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return gradients of `Σ (y - t)² / 2` by weights and inputs: what the bench says, and what autograd says."""
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.rand(self.system.n_controls, generator=generator, dtype=torch.float64)
        layer = PhysicalLayer(self.system, controls=start)
        x = (2 * torch.rand(batch, self.shape[0], generator=generator, dtype=torch.float64) - 1).requires_grad_()
        target = torch.randn(batch, self.shape[1], generator=generator, dtype=torch.float64)
        method = SaturableAbsorption()
        method.prepare(nn.Sequential(layer), Setting(1, 2, 1, learning_rate=0.01, dtype=torch.float64))
        truth = self.system.expected(*self.system.encode(x, layer.controls))
        losses = [((y - target) ** 2).sum() / 2 for y in (layer(x), truth)]
        found, exact = (torch.autograd.grad(loss, (layer.raw_controls, x)) for loss in losses)
        return (found[0], found[1]), (exact[0], exact[1])
