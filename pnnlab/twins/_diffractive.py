"""The twin of phase masks with free space between."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.physics import DiffractiveStack, intensity
from pnnlab.quantities import FrozenModel, Metres
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["DiffractiveTwin", "DiffractiveTwinConfig"]


class DiffractiveTwinConfig(FrozenModel):
    """A twin of the kind `diffractive` in a recipe: aligned planes as designed, with the masks' deviations to learn.

    Attributes:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        pitch_m: Pixel pitch.
        wavelength_m: Wavelength.
        distance_m: Length of each space.
    """

    kind: Literal["diffractive"] = "diffractive"
    pixels: tuple[int, int]
    masks: int = Field(gt=0)
    pitch_m: Metres = Field(gt=0)
    wavelength_m: Metres = Field(gt=0)
    distance_m: Metres = Field(gt=0)


class DiffractiveTwin(DigitalTwin):
    """The design's masks and spaces; each mask pixel's phase and gain, and each output's gain, are learnable.

    Args:
        config: The design.
        interface: The system's shapes; the drive is that of `pnnlab.systems.PhaseMasks`.
        dtype: Floating type.

    Raises:
        TwinError: The system has other planes.
    """

    def __init__(
        self, config: DiffractiveTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32
    ) -> None:  # fmt: skip
        super().__init__(interface)
        self._n_masks, n = config.masks, math.prod(config.pixels)
        (values,) = interface.drive_shapes[0]
        self._masks = slice(values - 2 - config.masks * n, values - 2)
        if self._masks.start not in (2 * n, 4 * n):
            raise TwinError(
                f"DiffractiveTwin: {config.masks} masks of {config.pixels} pixels do not fit the {values} values "
                "of the system's drive; make pixels and masks those of the system"
            )
        self.stack = DiffractiveStack.free_space(
            config.pixels, config.masks, pitch_m=config.pitch_m, wavelength_m=config.wavelength_m,
            distance_m=config.distance_m, dtype=dtype.to_complex(),
        )  # fmt: skip
        self.phase_rad = nn.Parameter(torch.zeros(config.masks, n, dtype=dtype))
        self.phase_gain = nn.Parameter(torch.ones(config.masks, n, dtype=dtype))
        self.gain = nn.Parameter(torch.ones(n, dtype=dtype))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        (values,) = drive
        real, imaginary = values[..., : 2 * self.stack.n_pixels].chunk(2, -1)
        turns = values[..., self._masks].unflatten(-1, (self._n_masks, -1))
        angle = 2 * math.pi * self.phase_gain * turns + self.phase_rad
        leaving = self.stack(torch.complex(real, imaginary), torch.polar(torch.ones_like(angle), angle)).leaving
        return self.gain * intensity(leaving)
