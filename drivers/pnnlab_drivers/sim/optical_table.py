"""A laser, a panel that shapes its phase, a scattering medium and a sensor plane."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import PhaseScreens, TransmissionMatrix, intensity
from pnnlab.quantities import FrozenModel, Metres, Radians, Seconds
from pnnlab_drivers.sim._aging import AgingMedium
from pnnlab_drivers.sim._panel_table import PanelTable
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["OpticalTable", "OpticalTableOptions"]


class MatrixMedium(FrozenModel):
    """A multiply scattering medium: a transmission matrix with circular Gaussian entries."""

    kind: Literal["transmission-matrix"] = "transmission-matrix"
    seed: int = 0
    input_modes: tuple[int, int]
    output_modes: tuple[int, int]


class ScreensMedium(FrozenModel):
    """A medium of thin phase screens with free space between them; as many outputs as panel pixels."""

    kind: Literal["phase-screens"]
    seed: int = 0
    screens: int = Field(default=2, gt=0)
    distance_m: Metres
    strength_rad: Radians
    correlation_m: Metres
    wavelength_m: Metres


class OpticalTableOptions(PlantOptions):
    """The options of the plant `sim-optical-table`.

    Attributes:
        medium: The medium's design; its seed is known to whoever knows the design.
        medium_mismatch: Part of the medium's field that the design does not know (0 to 1), times `mismatch`.
        photons_per_pixel_s: Mean light on a sensor pixel, in photons per s.
        decorrelation_time_s: Drift: the time in which the correlation of the medium's field with that of the beginning
            falls to 1/e; never if left out.
        drift: Scales how fast the medium decorrelates; 0 switches it off.
    """

    medium: MatrixMedium | ScreensMedium = Field(discriminator="kind")
    medium_mismatch: float = Field(default=0.0, ge=0, le=1)
    photons_per_pixel_s: float = Field(default=1e6, gt=0)
    decorrelation_time_s: Seconds | None = Field(default=None, gt=0)
    drift: float = Field(default=1.0, ge=0)


class OpticalTable(PanelTable):
    """A panel of `sim-slm`, a medium behind it, and `sim-camera`, which sees the light of the medium's output modes."""

    Options: ClassVar[type[PlantOptions]] = OpticalTableOptions
    options: OpticalTableOptions

    def __init__(self, name: str, options: OpticalTableOptions, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self._medium: AgingMedium | None = None
        self._begin_s = clock.now_s()

    def _fit(self, shape: tuple[int, int], pitch_m: float) -> None:
        """See `PanelTable._fit`."""
        medium = self._make_medium(shape, pitch_m).to(device=self.torch_device)
        rate_hz = self.options.drift / (self.options.decorrelation_time_s or math.inf)
        self._medium = AgingMedium(medium, rate_hz, self._begin_s, self.specimen("decorrelation"))

    def _make_medium(self, shape: tuple[int, int], pitch_m: float) -> TransmissionMatrix | PhaseScreens:
        design = self.options.medium
        generator = torch.Generator().manual_seed(design.seed)
        strength = self.options.medium_mismatch * self.options.mismatch
        if isinstance(design, MatrixMedium):
            kind = torch.complex128 if self.dtype is torch.float64 else torch.complex64
            matrix = TransmissionMatrix.random(design.input_modes, design.output_modes, generator=generator, dtype=kind)
            return matrix.perturbed(strength, self.specimen("medium"))
        screens = PhaseScreens.random(
            shape,
            rms_phase_rad=design.strength_rad,
            correlation_m=design.correlation_m,
            pitch_m=pitch_m,
            wavelength_m=design.wavelength_m,
            distances_m=[design.distance_m] * (design.screens + 1),
            generator=generator,
            dtype=self.dtype,
        )
        return screens.perturbed(strength, self.specimen("medium"))

    def _light(self, field: torch.Tensor) -> torch.Tensor:
        """See `PanelTable._light`: relative to its mean, behind the medium of now."""
        assert self._medium is not None  # noqa: S101 (there is no light before there is a panel)
        return intensity(self._medium.at(self.clock.now_s())(field))

    def _photons(self, light: torch.Tensor, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """See `PanelTable._photons`: each mode is spread over equally many sensor pixels."""
        rows, columns = shape[0] // light.shape[-2], shape[1] // light.shape[-1]
        if (rows * light.shape[-2], columns * light.shape[-1]) != shape:
            raise DeviceError(
                f"{self.name}: the sensor's {shape[0]} x {shape[1]} pixels are no multiple of the medium's "
                f"{light.shape[-2]} x {light.shape[-1]} outputs; correct `sensor` or `output_modes` in the bench file"
            )
        photons = light * (self.options.photons_per_pixel_s * duration_s)
        return photons.repeat_interleave(rows, -2).repeat_interleave(columns, -1)
