"""Phase masks with free space between, lit from both sides, with interferometric cameras at every plane."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import DiffractiveStack, intensity
from pnnlab.quantities import Metres, Radians, Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["DiffractiveTable", "DiffractiveTableOptions"]


class DiffractiveTableOptions(StaticBoardOptions):
    """The options of the plant `sim-diffractive`.

    Attributes:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        medium: What is between them: `free-space`, equal lengths of it, which is the mirror of itself; or `scattering`,
            independent random media.
        pitch_m: Pixel pitch.
        wavelength_m: Wavelength.
        distance_m: Length of each free space.
        backward: Whether the output side has a source too, and the input side a camera.
        taps: Whether cameras see both sides of every mask.
        amplitude_v: Voltage of a source's pixel at unit amplitude.
        turn_v: Voltage at which a mask's pixel, or the reference, shifts by a turn.
        reference_v: Voltage at which the reference wave has its full amplitude.
        reference_amplitude: That amplitude, on each camera.
        camera_v: Reading at unit intensity.
        photons: Photons of a pixel at unit intensity, for shot noise; `null` for none.
        mask_loss_db: Loss of power in each mask.
        shift_px: By how much the plane behind each space lies beside the one before, in a direction of its own, times
            `mismatch`: breaks the mirror symmetry, not reciprocity.
        asymmetry: Norm of what is random and not symmetric in each space, over that of the space, times `mismatch`.
        nonreciprocity: The same for what light from the output side alone meets, times `mismatch`.
        mask_error_rad: Standard deviation of each mask pixel's phase, times `mismatch`.
        mask_gain_error: Standard deviation of its relative gain, times `mismatch`.
        reference_error: By how much of itself each step of the reference's phase is too long, times `mismatch`.
    """

    pixels: tuple[int, int] = (8, 8)
    masks: int = Field(default=4, gt=0)
    medium: Literal["free-space", "scattering"] = "free-space"
    pitch_m: Metres = Field(default=40e-6, gt=0)
    wavelength_m: Metres = Field(default=532e-9, gt=0)
    distance_m: Metres = Field(default=12.5e-3, gt=0)
    backward: bool = True
    taps: bool = True
    amplitude_v: Volts = Field(default=1.0, gt=0)
    turn_v: Volts = Field(default=2.0, gt=0)
    reference_v: Volts = Field(default=1.0, gt=0)
    reference_amplitude: float = Field(default=1.0, gt=0)
    camera_v: Volts = Field(default=0.5, gt=0)
    photons: float | None = Field(default=None, gt=0)
    mask_loss_db: float = Field(default=0.0, ge=0)
    shift_px: float = Field(default=0.0, ge=0)
    asymmetry: float = Field(default=0.0, ge=0)
    nonreciprocity: float = Field(default=0.0, ge=0)
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
        self.stack = self._make_stack().to(self.torch_device)
        """The truth, which no device tells."""
        shape, generator = (chosen.masks, self.n_pixels), self.specimen("masks")
        error, gain = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        self._mask_error_rad = self._sized(error, chosen.mask_error_rad)
        self._mask_gain = 1 + self._sized(gain, chosen.mask_gain_error)

    def _make_stack(self) -> DiffractiveStack:
        chosen, dtype = self.options, self.dtype.to_complex()
        if chosen.medium == "scattering":
            perfect = DiffractiveStack.scattering(self.n_pixels, chosen.masks, self.specimen("media"), dtype)
        else:
            draw = torch.rand(chosen.masks + 1, generator=self.specimen("shifts"), dtype=torch.float64)
            turned = torch.stack([(2 * math.pi * draw).sin(), (2 * math.pi * draw).cos()], -1)
            perfect = DiffractiveStack.free_space(
                chosen.pixels, chosen.masks, pitch_m=chosen.pitch_m, wavelength_m=chosen.wavelength_m,
                distance_m=chosen.distance_m, shift_px=chosen.mismatch * chosen.shift_px * turned, dtype=dtype,
            )  # fmt: skip
        scale = chosen.mismatch
        return perfect.broken(scale * chosen.asymmetry, scale * chosen.nonreciprocity, self.specimen("asymmetry"))

    def _sized(self, draw: Tensor, std: float) -> Tensor:
        return (self.options.mismatch * std * draw).to(self.torch_device, self.dtype)

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of a plane."""
        return math.prod(self.options.pixels)

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return self.n_pixels * (2 + 2 * self.options.backward + self.options.masks) + 2

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return self.n_pixels * (1 + self.options.backward + 2 * self.options.taps * self.options.masks)

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        chosen, n = self.options, self.n_pixels
        sides = volts[:, : -2 - n * chosen.masks].unflatten(1, (-1, 2, n)) / chosen.amplitude_v
        sources = torch.complex(sides[:, :, 0], sides[:, :, 1])
        masks = self.transmission(volts[:, -2 - n * chosen.masks : -2].unflatten(1, (chosen.masks, n)))
        ahead = self.stack(sources[:, 0], masks)
        planes = [ahead.leaving]
        before, behind = ahead.before, ahead.behind
        if chosen.backward:
            back = self.stack.backward(sources[:, 1], masks)
            planes.append(back.leaving)
            before, behind = before + back.before, behind + back.behind
        if chosen.taps:
            planes += [before.flatten(1), behind.flatten(1)]
        seen = torch.cat(planes, 1) + self._reference(volts[:, -2:])
        return chosen.camera_v * intensity(seen)

    def transmission(self, volts: Tensor) -> Tensor:
        """Return what masks do to light, complex, for voltages of shape `(..., n_masks, n_pixels)`."""
        angle = 2 * math.pi / self.options.turn_v * self._mask_gain * volts + self._mask_error_rad
        passed = 10 ** (-self.options.mask_loss_db / 20)
        return torch.polar(torch.full_like(angle, passed), angle)

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
