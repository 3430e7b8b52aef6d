"""Propagation of light through free space."""

import math
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from pnnlab.physics._quantity import Derived, QuantityLike, register_quantity

# Where the band limit begins and ends. Against the sampled Rayleigh-Sommerfeld integral (512 pixels of 8 um padded
# to 1024, 532 nm, 0.15 m and 0.4 m) random blocks under a Gaussian beam are then off by 1e-6 and 1e-5 in intensity,
# a full window by 4e-3; with a sharp limit by 2e-3 and by 4e-3.
_TAPER_START, _TAPER_END = 0.9, 1.1
# With fewer frequencies between the axis and the band limit the result is off by more than a tenth.
_FEWEST_FREQUENCIES = 4.0


class _Spectrum(NamedTuple):
    """Geometry of the plane waves on the padded grid; float64, shapes `(n_y, n_x)` or broadcastable to it."""

    frequency_y: Tensor  # 1/m
    frequency_x: Tensor  # 1/m
    detuning: Tensor  # axial frequency minus 1/wavelength, 1/m
    axial: Tensor  # axial frequency, 1/m; 1/wavelength where evanescent
    propagates: Tensor  # bool


class AngularSpectrum(nn.Module):
    """Scalar propagation between two planes by the angular spectrum of plane waves.

    A plane wave with spatial frequency `(v, u)` advances by `exp(i 2 pi w z)` with
    `w = sqrt(1/wavelength^2 - u^2 - v^2)` (Goodman, Introduction to Fourier Optics, section 3.10; time factor
    `exp(-i omega t)`). Evanescent waves are set to zero.

    **Band limit.** The sampled transfer function aliases where its phase turns by more than pi between two
    neighbouring frequencies, which is where the walk-off `|z u / w|` exceeds half the padded width: a ray of that
    frequency leaves the padded window and comes back from the other side. On the frequency axis this is the limit
    `1 / (wavelength sqrt((2 du z)^2 + 1))`, `du` being the frequency step, of Matsushima and Shimobaba (2009),
    Opt. Express 17, 19662; here the condition is evaluated in both dimensions and with the output offset, not
    approximated by a rectangle. A sharp limit rings over the whole window; therefore the factor falls from 1 to 0
    along half a cosine while the walk-off rises from 0.9 to 1.1 times half the padded width (a smooth limit as in
    Falaggis et al. 2013, Appl. Opt. 52, 3288). It is part of the gradient.

    The limit leaves `N = W^2 / (2 wavelength |z|)` frequencies on a side, `W` being the padded width. A window that
    is lit to its edges comes out with an error of about `1 / N`, one whose light stays off the edges much better.
    Far planes of small windows therefore need more padding, and fewer than 4 frequencies are refused.

    **Offset.** The output window is centred `offset_m` beside the axis, any fraction of a pixel (shift theorem).

    **Tilt.** The output plane is rotated about the centre of its window, so that the point `(y, x)` lies at the
    distance `z + dz`, `dz = tilt_y y + tilt_x x`. To first order in the tilt the field there is
    `exp(i 2 pi dz / wavelength) (U + i 2 pi dz U')`, `U'` being the field whose spectrum is weighted by
    `w - 1/wavelength`: the carrier is kept exactly, the local defocus to first order. The relative error is about
    `(pi wavelength f^2 dz)^2 / 2` for the highest frequency `f` present: 1e-2 for light that fills the band of
    8 um pixels at 532 nm and `dz` = 20 um (0.6 degrees over 2 mm). A tilt costs a second inverse transform.

    Every quantity given as `nn.Parameter` is trained. Transfer functions are kept between calls while no
    quantity requires grad. They are computed in float64, because the phase is some 1e6 rad, and then take the
    type of the field: complex64 stays complex64. After `Module.to(torch.float32)` the distance is rounded too,
    which shifts the phase of the whole field, by the order of 1 rad a metre, and nothing else visibly.

    Args:
        shape: Pixels of the input and output window, `(h, w)`.
        pitch_m: Pixel pitch, one number or `(y, x)`.
        wavelength_m: Wavelength in the medium.
        distance_m: Distance between the planes; negative propagates backwards.
        padding: Factor by which the grid is zero-padded before the transform, at least 1; rounded up to a fast
            transform length. Below 2, light that leaves the window on one side may return on the other.
        offset_m: Centre of the output window relative to that of the input window, `(y, x)`.
        tilt_rad: Slope of the output plane along `(y, x)`.

    Raises:
        ValueError: If a quantity has an impossible value, or the distance is too far for the padded grid.
    """

    pitch_m: Tensor
    wavelength_m: Tensor
    distance_m: Tensor
    offset_m: Tensor
    tilt_rad: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        pitch_m: QuantityLike,
        wavelength_m: QuantityLike,
        distance_m: QuantityLike,
        padding: float = 2.0,
        offset_m: QuantityLike = (0.0, 0.0),
        tilt_rad: QuantityLike = (0.0, 0.0),
    ) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ValueError(f"AngularSpectrum: shape is {shape}, expected at least one pixel a side")
        if not padding >= 1.0:
            raise ValueError(f"AngularSpectrum: padding is {padding}, expected a factor of at least 1")
        self.shape = (shape[0], shape[1])
        self.padded_shape = (_padded(shape[0], padding), _padded(shape[1], padding))
        register_quantity(self, "pitch_m", pitch_m, shape=(2,), dtype=torch.float64)
        register_quantity(self, "wavelength_m", wavelength_m, shape=(), dtype=torch.float64)
        register_quantity(self, "distance_m", distance_m, shape=(), dtype=torch.float64)
        register_quantity(self, "offset_m", offset_m, shape=(2,), dtype=torch.float64)
        register_quantity(self, "tilt_rad", tilt_rad, shape=(2,), dtype=torch.float64)
        for name in ("pitch_m", "wavelength_m"):
            if not bool((getattr(self, name) > 0).all()):
                raise ValueError(f"AngularSpectrum: {name} is {getattr(self, name).tolist()}, expected above 0")
        self._check_reach()
        self._transfer = Derived[Tensor]()
        self._defocus = Derived[Tensor]()
        self._tilted = Derived[bool]()

    def forward(self, field: Tensor) -> Tensor:
        """Return the field in the output plane.

        Args:
            field: Complex amplitude in the input plane, shape `(..., h, w)`.

        Returns:
            Complex amplitude in the output plane, shape `(..., h, w)`, same unit and type.

        Raises:
            TypeError: If the field is not complex.
            ValueError: If the field has another grid.
        """
        if not field.is_complex():
            raise TypeError(
                f"AngularSpectrum: field is {field.dtype}, expected torch.complex64 or torch.complex128; "
                "build it with torch.complex"
            )
        if tuple(field.shape[-2:]) != self.shape:
            h, w = self.shape
            raise ValueError(f"AngularSpectrum: field has shape {tuple(field.shape)}, expected (..., {h}, {w})")
        # Where the window lies in the padded grid does not matter to a convolution, so it lies in a corner.
        spectrum = torch.fft.fft2(field, s=self.padded_shape)
        transfer = self.transfer_function(field.dtype)
        if not self._is_tilted():
            return self._to_window(_multiply(spectrum, transfer))
        spectrum = spectrum * transfer
        flat = self._to_window(spectrum)
        defocus = self._defocus.of(self._geometry(), field.dtype, lambda: self._detuning_phase(field.dtype))
        return self._on_tilted_plane(flat, self._to_window(spectrum * defocus))

    def transfer_function(self, dtype: torch.dtype = torch.complex64) -> Tensor:
        """Return the band-limited transfer function, offset included, tilt excluded.

        Args:
            dtype: Complex type of the result.

        Returns:
            Dimensionless factors, shape `padded_shape`, frequencies in the order of `torch.fft.fftfreq`.
        """
        quantities = (*self._geometry(), self.distance_m, self.offset_m)
        return self._transfer.of(quantities, dtype, lambda: self._compute_transfer(dtype))

    def extra_repr(self) -> str:
        """Return the grid for `repr`."""
        return f"shape={self.shape}, padded_shape={self.padded_shape}"

    def _check_reach(self) -> None:
        widths = [n * step for n, step in zip(self.padded_shape, self._pitch().tolist(), strict=True)]
        wavelength, distance = float(self.wavelength_m.detach()), abs(float(self.distance_m.detach()))
        frequencies = min(widths) ** 2 / (2.0 * wavelength * distance) if distance else math.inf
        if frequencies < _FEWEST_FREQUENCIES:
            growth = math.sqrt(_FEWEST_FREQUENCIES / frequencies)
            raise ValueError(
                f"AngularSpectrum: distance_m is {distance}, which leaves {frequencies:.2g} frequencies below the band "
                f"limit of a padded window {min(widths):.3g} m wide, expected at least {_FEWEST_FREQUENCIES:g}; "
                f"make padding {growth:.2f} times larger"
            )

    def _geometry(self) -> tuple[Tensor, Tensor]:
        return self.pitch_m, self.wavelength_m

    def _pitch(self) -> Tensor:
        return self.pitch_m.double().expand(2)

    def _is_tilted(self) -> bool:
        if self.tilt_rad.requires_grad:
            return True
        # Kept, because the answer waits for the accelerator.
        return self._tilted.of((self.tilt_rad,), None, lambda: bool(self.tilt_rad.any()))

    def _to_window(self, spectrum: Tensor) -> Tensor:
        h, w = self.shape
        # A view would hold the memory of the padded grid for as long as the field lives.
        padded: Tensor = torch.fft.ifft2(spectrum)
        return padded[..., :h, :w].contiguous()

    def _spectrum(self) -> _Spectrum:
        n_y, n_x = self.padded_shape
        pitch = self._pitch()
        wavelength = self.wavelength_m.double()
        device = pitch.device
        frequency_y = torch.fft.fftfreq(n_y, dtype=torch.float64, device=device)[:, None] / pitch[0]
        frequency_x = torch.fft.fftfreq(n_x, dtype=torch.float64, device=device)[None, :] / pitch[1]
        sine_squared = (wavelength * frequency_y).square() + (wavelength * frequency_x).square()
        propagates = sine_squared < 1.0
        # Selected before the root, whose gradient at evanescent waves would be NaN times zero.
        sine_squared = torch.where(propagates, sine_squared, 0.0)
        cosine = (1.0 - sine_squared).sqrt()
        detuning = -sine_squared / ((1.0 + cosine) * wavelength)
        return _Spectrum(frequency_y, frequency_x, detuning, cosine / wavelength, propagates)

    def _compute_transfer(self, dtype: torch.dtype) -> Tensor:
        waves = self._spectrum()
        distance = self.distance_m.double()
        offset_y, offset_x = self.offset_m.double().expand(2)
        ramp = offset_y * waves.frequency_y + offset_x * waves.frequency_x
        phase = 2.0 * math.pi * (distance * waves.axial + ramp)
        slope = distance / waves.axial
        half_y, half_x = (n * step / 2.0 for n, step in zip(self.padded_shape, self._pitch(), strict=True))
        passes = waves.propagates * _taper((offset_y - slope * waves.frequency_y) / half_y)
        passes = passes * _taper((offset_x - slope * waves.frequency_x) / half_x)
        return torch.complex(passes * phase.cos(), passes * phase.sin()).to(dtype)

    def _detuning_phase(self, dtype: torch.dtype) -> Tensor:
        detuning = 2.0 * math.pi * self._spectrum().detuning
        return torch.complex(torch.zeros_like(detuning), detuning).to(dtype)

    def _on_tilted_plane(self, flat: Tensor, defocus: Tensor) -> Tensor:
        pitch, tilt = self._pitch(), self.tilt_rad.double().expand(2)
        y, x = (torch.arange(n, dtype=torch.float64, device=pitch.device) - (n - 1) / 2.0 for n in self.shape)
        advance_m = (tilt[0] * pitch[0] * y)[:, None] + tilt[1] * pitch[1] * x
        carrier = 2.0 * math.pi * advance_m / self.wavelength_m.double()
        carrier = torch.complex(carrier.cos(), carrier.sin()).to(flat.dtype)
        return carrier * (flat + advance_m.to(flat.real.dtype) * defocus)


def _multiply(spectrum: Tensor, transfer: Tensor) -> Tensor:
    # The transform does not save its result, so it may be overwritten unless the factor needs it for its gradient.
    return spectrum * transfer if transfer.requires_grad else spectrum.mul_(transfer)


def _taper(walk_off: Tensor) -> Tensor:
    """Return the factor of the band limit for a walk-off in units of half the padded width."""
    position = (walk_off.abs() - _TAPER_START) / (_TAPER_END - _TAPER_START)
    return 0.5 + 0.5 * (math.pi * position.clamp(0.0, 1.0)).cos()


def _padded(n: int, padding: float) -> int:
    return int(next_fast_len(math.ceil(n * padding)))
