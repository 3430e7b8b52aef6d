"""The spaces before, between and behind phase masks, and what light is at every plane that is looked at."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.physics import DiffractiveStack
from pnnlab.quantities import Metres
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant

__all__ = ["MaskSpacesOptions", "make_stack", "plane_fields"]


class MaskSpacesOptions(PlantOptions):
    """The keys that all plants with phase masks share.

    Attributes:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        medium: What is between them: `free-space`, equal lengths of it, which is the mirror of itself; or `scattering`,
            independent random media.
        wavelength_m: Wavelength.
        distance_m: Length of each free space.
        backward: Whether the output side has a source too, and the input side is looked at.
        taps: Whether both sides of every mask are looked at.
        reference_amplitude: Amplitude of the reference wave at every plane that is looked at.
        mask_loss_db: Loss of power in each mask.
        shift_px: By how much the plane behind each space lies beside the one before, in a direction of its own, times
            `mismatch`: breaks the mirror symmetry, not reciprocity.
        asymmetry: Norm of what is random and not symmetric in each space, over that of the space, times `mismatch`.
        nonreciprocity: The same for what light from the output side alone meets, times `mismatch`.
    """

    pixels: tuple[int, int] = (8, 8)
    masks: int = Field(default=4, gt=0)
    medium: Literal["free-space", "scattering"] = "free-space"
    wavelength_m: Metres = Field(default=532e-9, gt=0)
    distance_m: Metres = Field(default=12.5e-3, gt=0)
    backward: bool = True
    taps: bool = True
    reference_amplitude: float = Field(default=1.0, gt=0)
    mask_loss_db: float = Field(default=0.0, ge=0)
    shift_px: float = Field(default=0.0, ge=0)
    asymmetry: float = Field(default=0.0, ge=0)
    nonreciprocity: float = Field(default=0.0, ge=0)

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of a plane."""
        return math.prod(self.pixels)

    @property
    def n_sides(self) -> int:
        """Return the number of sides that have a source and are looked at."""
        return 1 + self.backward

    @property
    def n_planes(self) -> int:
        """Return the number of planes that are looked at."""
        return self.n_sides + 2 * self.taps * self.masks

    @property
    def kept(self) -> float:
        """Return the part of the amplitude that a mask lets through."""
        return float(10 ** (-self.mask_loss_db / 20))


def make_stack(plant: SimPlant, options: MaskSpacesOptions, *, pitch_m: float) -> DiffractiveStack:
    """Return the true spaces of a plant's specimen.

    Args:
        plant: Whose they are.
        options: Its options.
        pitch_m: Pitch of the pixels of a plane.
    """
    dtype, scale = plant.dtype.to_complex(), options.mismatch
    if options.medium == "scattering":
        perfect = DiffractiveStack.scattering(options.n_pixels, options.masks, plant.specimen("media"), dtype)
    else:
        draw = torch.rand(options.masks + 1, generator=plant.specimen("shifts"), dtype=torch.float64)
        turned = torch.stack([(2 * math.pi * draw).sin(), (2 * math.pi * draw).cos()], -1)
        perfect = DiffractiveStack.free_space(
            options.pixels, options.masks, pitch_m=pitch_m, wavelength_m=options.wavelength_m,
            distance_m=options.distance_m, shift_px=scale * options.shift_px * turned, dtype=dtype,
        )  # fmt: skip
    broken = perfect.broken(scale * options.asymmetry, scale * options.nonreciprocity, plant.specimen("asymmetry"))
    return broken.to(plant.torch_device)


def plane_fields(stack: DiffractiveStack, options: MaskSpacesOptions, sources: Tensor, masks: Tensor) -> Tensor:
    """Return the fields at all planes that are looked at, complex, shape `(batch, n_planes, n_pixels)`.

    They are the output; where light from the output side leaves (`backward`); the input sides of the masks, and then
    their output sides, mask by mask (`taps`).

    Args:
        stack: The spaces.
        options: What has a source and is looked at.
        sources: Field of each side's source, complex, shape `(batch, n_sides, n_pixels)`.
        masks: What masks do to light, complex, shape `(batch, n_masks, n_pixels)`.
    """
    ahead = stack(sources[:, 0], masks)
    planes, before, behind = [ahead.leaving[:, None]], ahead.before, ahead.behind
    if options.backward:
        back = stack.backward(sources[:, 1], masks)
        planes.append(back.leaving[:, None])
        before, behind = before + back.before, behind + back.behind
    return torch.cat([*planes, before, behind] if options.taps else planes, 1)
