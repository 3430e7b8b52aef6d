"""A matrix of light and a row of saturable absorbers, between a DAC and an ADC."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import AbsorbingMatrix, SaturableAbsorber
from pnnlab.quantities import Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["AbsorberChip"]


class AbsorberChipOptions(StaticBoardOptions):
    """The options of the plant `sim-absorber-chip`.

    Attributes:
        shape: Inputs and outputs of the matrix.
        optical_depth: Of each cell, without light.
        pump: Amplitude of an input of 1, in units of the amplitude that saturates a cell.
        unit_v: Voltage of a modulator for an input, a weight or an error of 1, and of a receiver at amplitude 1.
        weight_spread: Relative standard deviation of the matrix's elements, times `mismatch`, as all spreads.
        depth_spread: Relative standard deviation of optical depths.
        saturation_spread: Relative standard deviation of saturation powers.
        tap_gain_spread: Relative standard deviation of the taps' gains.
        nonreciprocity: Relative standard deviation of what backward light meets beyond forward light, as where beams
            are not aligned; 0 for a matrix that is reciprocal.
        photons: Photons that make a reading of unit power, which sets the shot noise; `null` for none.
    """

    shape: tuple[int, int] = (8, 8)
    optical_depth: float = Field(default=5.0, ge=0)
    pump: float = Field(default=4.0, gt=0)
    unit_v: Volts = Field(default=1.0, gt=0)
    weight_spread: float = Field(default=0.0, ge=0)
    depth_spread: float = Field(default=0.0, ge=0, lt=0.3)
    saturation_spread: float = Field(default=0.0, ge=0, lt=0.3)
    tap_gain_spread: float = Field(default=0.0, ge=0)
    nonreciprocity: float = Field(default=0.0, ge=0)
    photons: float | None = Field(default=None, gt=0)


class AbsorberChip(StaticBoard):
    """A matrix of light and a row of absorbers, `pnnlab.physics.AbsorbingMatrix`.

    Channels of the DAC are inputs, weights (row by row of inputs) and errors; of the ADC y, d and b.
    """

    Options: ClassVar[type[PlantOptions]] = AbsorberChipOptions
    options: AbsorberChipOptions

    def __init__(self, name: str, options: AbsorberChipOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self.optics = self._make().to(self.torch_device)
        """What was made of the design, with its hidden deviations: the truth."""

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        n_in, n_out = self.options.shape
        return n_in + n_in * n_out + n_out

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        n_in, n_out = self.options.shape
        return n_in + 2 * n_out

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        n_in, n_out = self.options.shape
        x, weights, error = (volts / self.options.unit_v).split([n_in, n_in * n_out, n_out], -1)
        amplitudes: Tensor = torch.cat(self.optics(x, weights.unflatten(-1, (n_in, n_out)), error), -1)
        return amplitudes * self.options.unit_v

    def disturbed(self, volts: Tensor, time_s: float) -> Tensor:
        """See `Board.disturbed`: homodyne receivers have the noise of their reference light."""
        if self.options.photons is None:
            return volts
        noise = torch.randn(volts.shape, generator=self.torch_noise("photons"), dtype=volts.dtype, device=volts.device)
        spread_v = self.options.unit_v / 2 / math.sqrt(self.options.photons)
        return volts + noise * spread_v

    def _make(self) -> AbsorbingMatrix:
        chosen, (n_in, n_out) = self.options, self.options.shape
        cells = SaturableAbsorber(
            chosen.optical_depth * self._spread("depths", chosen.depth_spread, n_out),
            self._spread("saturation", chosen.saturation_spread, n_out),
        )
        return AbsorbingMatrix(
            cells, n_in, n_out, pump=chosen.pump, gain=self._spread("weights", chosen.weight_spread, n_in, n_out),
            back_gain=self._spread("backward", chosen.nonreciprocity, n_in, n_out),
            tap_gain=self._spread("taps", chosen.tap_gain_spread, n_out),
        )  # fmt: skip

    def _spread(self, part: str, spread: float, *shape: int) -> Tensor:
        """Return 1 with hidden deviations of one kind of part; never below a tenth."""
        drawn = torch.randn(shape, generator=self.specimen(part), dtype=torch.float64)
        deviating: Tensor = (1 + self.options.mismatch * spread * drawn).clamp(min=0.1).to(self.dtype)
        return deviating
