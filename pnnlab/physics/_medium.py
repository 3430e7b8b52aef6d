"""A medium that scatters light."""

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from pnnlab.physics._detection import bin_mean
from pnnlab.physics._propagation import AngularSpectrum
from pnnlab.physics._quantity import Derived, QuantityLike, register_quantity


class TransmissionMatrix(nn.Module):
    """Linear scattering medium between a grid of input modes and a grid of output modes.

    The optical transmission matrix of Popoff et al. (2010), Phys. Rev. Lett. 104, 100601: `E_out = T E_in`. The
    input field is first averaged over the area of each input mode, because a mode of the medium sees the mean
    field of the pixels that feed it.

    The matrix given as complex `nn.Parameter` is trained; torch's optimisers treat it as its real and imaginary
    parts. It is best of the type of the field: otherwise it is converted, once while it is fixed and at each call
    while it is trained.

    Args:
        matrix: Complex transmission from each input to each output mode, shape `(n_out, n_in)`.
        in_shape: Grid of input modes, `(h_in, w_in)` with `h_in w_in = n_in`.
        out_shape: Grid of output modes, `(h_out, w_out)` with `h_out w_out = n_out`.
    """

    matrix: Tensor

    def __init__(self, matrix: Tensor, *, in_shape: tuple[int, int], out_shape: tuple[int, int]) -> None:
        super().__init__()
        expected = (math.prod(out_shape), math.prod(in_shape))
        if not matrix.is_complex() or tuple(matrix.shape) != expected:
            raise ValueError(
                f"TransmissionMatrix: matrix is {matrix.dtype} of shape {tuple(matrix.shape)}, expected a complex "
                f"one of shape {expected} for {in_shape} input and {out_shape} output modes"
            )
        self.in_shape = in_shape
        self.out_shape = out_shape
        register_quantity(self, "matrix", matrix)
        self._converted = Derived[Tensor]()

    @classmethod
    def random(
        cls,
        in_shape: tuple[int, int],
        out_shape: tuple[int, int],
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.complex64,
    ) -> Self:
        """Return a medium of independent circular complex Gaussian elements.

        The statistics of a thick scattering medium of which a small part of all channels is seen (Popoff et al.
        2010, Phys. Rev. Lett. 104, 100601). Elements have the variance `1 / n_in`, so that unit amplitude with
        uncorrelated phases on the inputs gives the mean intensity 1 in each output mode.

        Args:
            in_shape: Grid of input modes, `(h_in, w_in)`.
            out_shape: Grid of output modes, `(h_out, w_out)`.
            generator: Source of randomness; the matrix is made on its device.
            dtype: Complex type of the matrix.
        """
        n_out, n_in = math.prod(out_shape), math.prod(in_shape)
        matrix = torch.randn((n_out, n_in), generator=generator, dtype=dtype, device=generator.device)
        return cls(matrix / math.sqrt(n_in), in_shape=in_shape, out_shape=out_shape)

    def perturbed(self, strength: float, generator: torch.Generator) -> Self:
        """Return a medium that has partly decorrelated from this one.

        `sqrt(1 - strength^2) T + strength T'` with an independent Gaussian `T'` of the same mean power, so that the
        mean transmission is kept and the fields of the two media correlate by `sqrt(1 - strength^2)`.

        Args:
            strength: In [0, 1]; 0 is the same medium, 1 an independent one.
            generator: Source of randomness.

        Raises:
            ValueError: If the strength lies outside [0, 1].
        """
        _check_strength(type(self).__name__, strength)
        matrix = self.matrix.detach()
        fresh = torch.randn(matrix.shape, generator=generator, dtype=matrix.dtype, device=generator.device)
        rms = matrix.abs().square().mean().sqrt()
        return self._with_matrix(math.sqrt(1.0 - strength**2) * matrix + strength * rms * fresh.to(matrix.device))

    def mixed(self, other: "TransmissionMatrix", strength: float) -> Self:
        """Return `sqrt(1 - strength^2) T + strength T'`: a medium on its way from this one to an independent other.

        Args:
            other: Of the same shape, as `perturbed(1.0, generator)` makes it.
            strength: In [0, 1].
        """
        _check_strength(type(self).__name__, strength)
        return self._with_matrix(
            math.sqrt(1.0 - strength**2) * self.matrix.detach() + strength * other.matrix.detach()
        )  # fmt: skip

    def _with_matrix(self, matrix: Tensor) -> Self:
        return type(self)(matrix, in_shape=self.in_shape, out_shape=self.out_shape)

    def forward(self, field: Tensor) -> Tensor:
        """Return the field behind the medium.

        Args:
            field: Complex amplitude before the medium, shape `(..., h, w)`; `h` and `w` are multiples of
                `in_shape`.

        Returns:
            Complex amplitude of the output modes, shape `(..., *out_shape)`, type of the field.

        Raises:
            ValueError: If the input modes do not tile the field.
        """
        h, w = field.shape[-2:]
        if h % self.in_shape[0] or w % self.in_shape[1]:
            raise ValueError(
                f"TransmissionMatrix: field has shape {tuple(field.shape)}, expected a grid that is a multiple of the "
                f"input modes, {self.in_shape}"
            )
        modes = bin_mean(field, (h // self.in_shape[0], w // self.in_shape[1])).flatten(-2)
        matrix = self._converted.of((self.matrix,), field.dtype, lambda: self.matrix.to(field.dtype))
        return nn.functional.linear(modes, matrix).reshape(*field.shape[:-2], *self.out_shape)

    def extra_repr(self) -> str:
        """Return the mode grids for `repr`."""
        return f"in_shape={self.in_shape}, out_shape={self.out_shape}"


class PhaseScreens(nn.Module):
    """Scattering medium made of thin phase screens with free space between.

    Light travels `distances_m[0]`, meets the first screen, travels `distances_m[1]`, and so on to the output
    plane (split-step or multi-slice propagation; Goodman, Introduction to Fourier Optics, section 3.10, between
    the screens). Unlike a random matrix it keeps the memory effect and the geometry.

    Screens or distances given as `nn.Parameter` are trained.

    Args:
        screens_rad: Phase of each screen, shape `(n_screens, h, w)`.
        pitch_m: Pixel pitch, one number or `(y, x)`.
        wavelength_m: Wavelength between the screens.
        distances_m: Lengths of the free spaces, `n_screens + 1` numbers, tensors or parameters.
        padding: See `AngularSpectrum`.
    """

    screens_rad: Tensor

    def __init__(
        self,
        screens_rad: Tensor,
        *,
        pitch_m: QuantityLike,
        wavelength_m: QuantityLike,
        distances_m: Sequence[Tensor | float],
        padding: float = 2.0,
    ) -> None:
        super().__init__()
        if screens_rad.dim() != 3 or len(distances_m) != screens_rad.shape[0] + 1:
            raise ValueError(
                f"PhaseScreens: screens_rad has shape {tuple(screens_rad.shape)} and there are {len(distances_m)} "
                "distances, expected (n_screens, h, w) and n_screens + 1"
            )
        register_quantity(self, "screens_rad", screens_rad)
        self._factors = Derived[Tensor]()
        self.padding = padding
        h, w = screens_rad.shape[-2:]
        self.spaces = nn.ModuleList(
            AngularSpectrum((h, w), pitch_m=pitch_m, wavelength_m=wavelength_m, distance_m=distance, padding=padding)
            for distance in distances_m
        )

    @classmethod
    def random(
        cls,
        shape: tuple[int, int],
        *,
        rms_phase_rad: float,
        correlation_m: float,
        pitch_m: tuple[float, float] | float,
        wavelength_m: float,
        distances_m: Sequence[float],
        generator: torch.Generator,
        padding: float = 2.0,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Return screens of Gaussian phase with Gaussian correlation.

        The phase has the autocorrelation `rms^2 exp(-(r / correlation)^2)`, the usual model of a ground surface
        (Goodman, Speckle Phenomena in Optics, chapter on rough surfaces). Screens are periodic on their grid.

        Args:
            shape: Pixels, `(h, w)`.
            rms_phase_rad: Standard deviation of the phase.
            correlation_m: Distance at which the autocorrelation has fallen to 1/e.
            pitch_m: Pixel pitch, one number or `(y, x)`.
            wavelength_m: Wavelength between the screens.
            distances_m: Lengths of the free spaces; there is one screen fewer than spaces.
            generator: Source of randomness; the screens are made on its device.
            padding: See `AngularSpectrum`.
            dtype: Floating type of the screens.
        """
        pitch_y, pitch_x = (pitch_m, pitch_m) if isinstance(pitch_m, int | float) else pitch_m
        frequency_y = torch.fft.fftfreq(shape[0], pitch_y, dtype=torch.float64, device=generator.device)
        frequency_x = torch.fft.fftfreq(shape[1], pitch_x, dtype=torch.float64, device=generator.device)
        # The power spectrum of that autocorrelation is a Gaussian; the filter is its root.
        squared = frequency_y[:, None].square() + frequency_x.square()
        spectrum = (-0.5 * (math.pi * correlation_m) ** 2 * squared).exp()
        spectrum = spectrum * rms_phase_rad / spectrum.square().mean().sqrt()
        size = (len(distances_m) - 1, *shape)
        noise = torch.randn(size, generator=generator, dtype=torch.float64, device=generator.device)
        screens = torch.fft.ifft2(torch.fft.fft2(noise) * spectrum).real.to(dtype)
        return cls(screens, pitch_m=pitch_m, wavelength_m=wavelength_m, distances_m=distances_m, padding=padding)

    def perturbed(self, strength: float, generator: torch.Generator) -> Self:
        """Return a medium whose screens have partly decorrelated from these.

        `sqrt(1 - strength^2) phi + strength phi'`, `phi'` being the screen with the Fourier phases replaced by
        random ones, so that the rms phase and the correlation length are kept.

        Args:
            strength: In [0, 1]; 0 is the same medium, 1 an independent one.
            generator: Source of randomness.

        Raises:
            ValueError: If the strength lies outside [0, 1].
        """
        _check_strength(type(self).__name__, strength)
        screens = self.screens_rad.detach()
        noise = torch.randn(screens.shape, generator=generator, dtype=screens.dtype, device=generator.device)
        # The transform of real noise has the symmetry that keeps the result real.
        phases = torch.fft.fft2(noise.to(screens.device)).sgn()
        fresh = torch.fft.ifft2(torch.fft.fft2(screens).abs() * phases).real
        return self._with_screens(math.sqrt(1.0 - strength**2) * screens + strength * fresh)

    def mixed(self, other: "PhaseScreens", strength: float) -> Self:
        """Return screens `sqrt(1 - strength^2) phi + strength phi'`, on their way to independent others.

        Args:
            other: Of the same shape, as `perturbed(1.0, generator)` makes it.
            strength: In [0, 1].
        """
        _check_strength(type(self).__name__, strength)
        kept = math.sqrt(1.0 - strength**2) * self.screens_rad.detach()
        return self._with_screens(kept + strength * other.screens_rad.detach())

    def shifted(self, offset_m: tuple[float, float]) -> Self:
        """Return the medium moved sideways as a whole, by any fraction of a pixel.

        Args:
            offset_m: Displacement, `(y, x)`. What leaves the grid on one side enters on the other.
        """
        screens = self.screens_rad.detach()
        h, w = screens.shape[-2:]
        pitch = self._space(0).pitch_m.detach().expand(2).tolist()
        cycles_y, cycles_x = (
            torch.fft.fftfreq(n, dtype=torch.float64, device=screens.device) * offset / step
            for n, offset, step in zip((h, w), offset_m, pitch, strict=True)
        )
        angle = -2.0 * math.pi * (cycles_y[:, None] + cycles_x)
        ramp = torch.complex(angle.cos(), angle.sin())
        return self._with_screens(torch.fft.ifft2(torch.fft.fft2(screens.double()) * ramp).real.to(screens.dtype))

    def forward(self, field: Tensor) -> Tensor:
        """Return the field behind the medium.

        Args:
            field: Complex amplitude before the medium, shape `(..., h, w)`.

        Returns:
            Complex amplitude in the output plane, shape `(..., h, w)`, type of the field.
        """
        factors = self._factors.of((self.screens_rad,), field.dtype, lambda: self._compute_factors(field.dtype))
        field = self.spaces[0](field)
        for factor, space in zip(factors, self.spaces[1:], strict=True):
            field = space(field * factor)
        return field

    def _compute_factors(self, dtype: torch.dtype) -> Tensor:
        screens = self.screens_rad.to(dtype.to_real())
        return torch.complex(screens.cos(), screens.sin())

    def _space(self, index: int) -> AngularSpectrum:
        space = self.spaces[index]
        if not isinstance(space, AngularSpectrum):
            raise TypeError(f"PhaseScreens: space {index} is {type(space).__name__}, expected AngularSpectrum")
        return space

    def _with_screens(self, screens_rad: Tensor) -> Self:
        spaces = [self._space(index) for index in range(len(self.spaces))]
        return type(self)(
            screens_rad,
            pitch_m=spaces[0].pitch_m.detach().clone(),
            wavelength_m=spaces[0].wavelength_m.detach().clone(),
            distances_m=[space.distance_m.detach().clone() for space in spaces],
            padding=self.padding,
        )


def _check_strength(owner: str, strength: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"{owner}: perturbation strength is {strength}, expected a number in [0, 1]")
