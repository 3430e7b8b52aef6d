"""Phase masks with free space between, lit from both sides, with interferometric cameras at every plane."""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import intensity
from pnnlab.quantities import Metres, Radians, Volts
from pnnlab_drivers.sim._mask_spaces import MaskSpacesOptions, make_stack, plane_fields
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["DiffractiveTable", "DiffractiveTableOptions"]


class DiffractiveTableOptions(MaskSpacesOptions, StaticBoardOptions):
    """The options of the plant `sim-diffractive`.

    Attributes:
        pitch_m: Pixel pitch.
        amplitude_v: Voltage of a source's pixel at unit amplitude.
        turn_v: Voltage at which a mask's pixel, or the reference, shifts by a turn.
        reference_v: Voltage at which the reference wave has its full amplitude.
        camera_v: Reading at unit intensity.
        photons: Photons of a pixel at unit intensity, for shot noise; `null` for none.
        mask_error_rad: Standard deviation of each mask pixel's phase, times `mismatch`.
        mask_gain_error: Standard deviation of its relative gain, times `mismatch`.
        reference_error: By how much of itself each step of the reference's phase is too long, times `mismatch`.
    """

    pitch_m: Metres = Field(default=40e-6, gt=0)
    amplitude_v: Volts = Field(default=1.0, gt=0)
    turn_v: Volts = Field(default=2.0, gt=0)
    reference_v: Volts = Field(default=1.0, gt=0)
    camera_v: Volts = Field(default=0.5, gt=0)
    photons: float | None = Field(default=None, gt=0)
    mask_error_rad: Radians = Field(default=0.0, ge=0)
    mask_gain_error: float = Field(default=0.0, ge=0)
    reference_error: float = 0.0


class DiffractiveTable(StaticBoard):
    """Light from the input side, and from the output side, on its way through the masks.

    Channels of the DAC, one run after the other: real and imaginary parts of the source's field; the same of the output
    side's source (`backward`); phases, mask by mask; amplitude and phase of the reference wave. Channels of the ADC:
    the camera behind the last space; that at the input side, where light from the output side leaves (`backward`); the
    input sides of the masks, and then their output sides, mask by mask (`taps`). A camera sees `|u + r|²`: the field of
    both sources at its plane, and the reference.
    """

    Options: ClassVar[type[PlantOptions]] = DiffractiveTableOptions
    options: DiffractiveTableOptions

    def __init__(
        self, name: str, options: DiffractiveTableOptions | None = None, *, clock: Clock, seed: int = 0
    ) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        chosen = self.options
        self.stack = make_stack(self, chosen, pitch_m=chosen.pitch_m)
        """The truth, which no device tells."""
        shape, generator = (chosen.masks, self.n_pixels), self.specimen("masks")
        error, gain = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        self._mask_error_rad = self._sized(error, chosen.mask_error_rad)
        self._mask_gain = 1 + self._sized(gain, chosen.mask_gain_error)

    def _sized(self, draw: Tensor, std: float) -> Tensor:
        return (self.options.mismatch * std * draw).to(self.torch_device, self.dtype)

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of a plane."""
        return self.options.n_pixels

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return self.n_pixels * (2 * self.options.n_sides + self.options.masks) + 2

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return self.n_pixels * self.options.n_planes

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        chosen, n = self.options, self.n_pixels
        sides = volts[:, : -2 - n * chosen.masks].unflatten(1, (-1, 2, n)) / chosen.amplitude_v
        sources = torch.complex(sides[:, :, 0], sides[:, :, 1])
        masks = self.transmission(volts[:, -2 - n * chosen.masks : -2].unflatten(1, (chosen.masks, n)))
        planes = plane_fields(self.stack, chosen, sources, masks)
        seen = planes.flatten(1) + self._reference(volts[:, -2:])
        return chosen.camera_v * intensity(seen)

    def transmission(self, volts: Tensor) -> Tensor:
        """Return what masks do to light, complex, for voltages of shape `(..., n_masks, n_pixels)`."""
        angle = 2 * math.pi / self.options.turn_v * self._mask_gain * volts + self._mask_error_rad
        return torch.polar(torch.full_like(angle, self.options.kept), angle)

    def _reference(self, volts: Tensor) -> Tensor:
        """Return the reference wave, shape `(batch, 1)`."""
        chosen = self.options
        amplitude = chosen.reference_amplitude / chosen.reference_v * volts[:, :1]
        error = 1 + chosen.mismatch * chosen.reference_error
        angle = 2 * math.pi / chosen.turn_v * error * volts[:, 1:]
        return amplitude * torch.polar(torch.ones_like(angle), angle)

    def disturbed(self, volts: Tensor, time_s: float) -> Tensor:
        """See `Board.disturbed`: with shot noise."""
        photons = self.options.photons
        if photons is None:
            return volts
        noise = torch.randn(
            volts.shape, generator=self.torch_noise("photons"), dtype=volts.dtype, device=volts.device
        )  # fmt: skip
        # the counts of a bright pixel are normally distributed
        return volts + noise * (volts.clamp(min=0) * self.options.camera_v / photons).sqrt()
