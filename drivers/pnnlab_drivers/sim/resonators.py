"""Coupled resonators between a DAC that tunes and drives them and an ADC that reads the fields they scatter."""

from typing import ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import CoupledModes, ModesDesign, TunedModes
from pnnlab.quantities import Hertz
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["KerrModesBoard", "ModesOptions", "ResonatorsBoard", "ResonatorsOptions"]


class ModesOptions(StaticBoardOptions):
    """The options of the plants `sim-resonators` and `sim-kerr-modes`.

    Attributes:
        design: What their maker knows.
        detuning_spread_hz: Standard deviation of each mode's frequency from the design, times `mismatch`.
        coupling_spread_hz: The same of each coupling, both ways alike.
        external_spread: Relative standard deviation of κ_ext.
        gain_spread: Relative standard deviation of what a volt does to a detuning or a coupling.
        crosstalk: See `pnnlab.physics.TunedModes`, times `mismatch`.
        nonreciprocity: How much a coupling differs in its two directions: each gets a part of opposite sign, whose
            standard deviation is this times κ_ext / √2. 0 for a reciprocal network; not scaled by `mismatch`.
        frequency_noise_hz: Standard deviation of each mode's frequency from reading to reading.
    """

    design: ModesDesign = ModesDesign()
    detuning_spread_hz: Hertz = Field(default=0.0, ge=0)
    coupling_spread_hz: Hertz = Field(default=0.0, ge=0)
    external_spread: float = Field(default=0.0, ge=0, lt=0.3)
    gain_spread: float = Field(default=0.0, ge=0)
    crosstalk: float = Field(default=0.0, ge=0, lt=0.5)
    nonreciprocity: float = Field(default=0.0, ge=0)
    frequency_noise_hz: Hertz = Field(default=0.0, ge=0)


class ResonatorsOptions(ModesOptions):
    """The options of the plant `sim-resonators`, whose modes are linear."""

    @field_validator("design")
    @classmethod
    def _check_design(cls, design: ModesDesign) -> ModesDesign:
        if design.kerr_hz:
            raise ValueError("these modes are linear; leave `kerr` out, or use the plant sim-kerr-modes")
        return design


class ResonatorsBoard(StaticBoard):
    """Coupled modes, each with a port where a field is injected and the field that leaves is demodulated.

    Channels are those of `pnnlab.physics.TunedModes`. All rates of the modes are far above the sample rate.

    Attributes:
        physics: The modes as they were made, with their hidden deviations: the truth.
    """

    Options: ClassVar[type[PlantOptions]] = ResonatorsOptions
    options: ModesOptions

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self.physics = self._made().to(self.torch_device)

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return 3 * self.options.design.modes + len(self.options.design.pairs)

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return 2 * self.options.design.modes

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        found: Tensor = self.physics(volts)
        return found

    def respond_live(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond_live`: with the jitter of the modes' frequencies."""
        if not self.options.frequency_noise_hz:
            return self.respond(volts)
        shape = (len(volts), self.options.design.modes)
        draw = torch.randn(shape, generator=self.torch_noise("frequency"), dtype=volts.dtype, device=volts.device)
        found: Tensor = self.physics(volts, self.options.frequency_noise_hz * draw)
        return found

    def _made(self) -> TunedModes:
        """Return the specimen of the design."""
        options, ideal = self.options, self.options.design.build(torch.float64)
        generator, n, modes = self.specimen("modes"), options.design.modes, ideal.modes

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        off, m = options.mismatch, modes.n_pairs
        external, own = draw(n), draw(n)
        coupled = ((one := draw(n, n)) + one.T) / 2**0.5
        gains, one_way = draw(n + m), draw(n, n)
        there = self._coupled(modes)
        coupling = modes.coupling_hz + off * options.coupling_spread_hz * coupled.fill_diagonal_(0) * there
        uneven = options.nonreciprocity * options.design.external_hz * (one_way - one_way.T) / 2 * there
        specimen = CoupledModes(
            modes.external_hz * (1 + off * options.external_spread * external).clamp_min(0.1),
            internal_hz=modes.internal_hz, detuning_hz=modes.detuning_hz + off * options.detuning_spread_hz * own,
            coupling_hz=coupling + uneven, kerr_hz_per_v2=modes.kerr_hz_per_v2, pairs=modes.pairs,
        )  # fmt: skip
        factor = 1 + off * options.gain_spread * gains
        return TunedModes(
            specimen, ideal.detuning_hz_per_v * factor[:n], ideal.coupling_hz_per_v * factor[n:],
            crosstalk=off * options.crosstalk,
        ).to(self.dtype)  # fmt: skip

    def _coupled(self, modes: CoupledModes) -> Tensor:
        """Return 1 for each two modes between which the design has a coupling, shape `(n, n)`."""
        there = (modes.coupling_hz != 0).to(torch.float64)
        for j, k in modes.pairs:
            there[j, k] = there[k, j] = 1
        return there


class KerrModesBoard(ResonatorsBoard):
    """The same with a Kerr shift of each mode; readings are of the steady state that they ring up to from the dark."""

    Options: ClassVar[type[PlantOptions]] = ModesOptions
