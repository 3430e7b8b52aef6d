"""Propagation of light through free space."""

import math
from collections.abc import Iterator
from itertools import repeat
from typing import Protocol

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
# Slope of evanescent waves, in m of walk-off for a frequency of 1/m.
_SIDEWAYS = 1e20
# Points transformed at a time by a thread of a processor, a megabyte of complex64, which stays in its cache: whole
# batches take three times as long (16 images of 512 pixels padded to 1024), half of it for fresh memory. An
# accelerator wants large pieces; there the number bounds the memory.
_POINTS_A_THREAD, _POINTS_ON_ACCELERATOR = 2**17, 2**26


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
    Far planes of small windows need more padding; fewer than 4 frequencies are refused.

    **Offset.** The output window is centred `offset_m` beside the axis, any fraction of a pixel, by a linear phase of
    the spectrum; the band limit moves along (shifted angular spectrum, Matsushima 2010, Opt. Express 18, 18453).

    **Tilt.** The output plane is rotated about the centre of its window, so that the point `(y, x)` lies at the
    distance `z + dz`, `dz = tilt_y y + tilt_x x`; `y` and `x` are measured across the axis, so that a pixel on the
    plane itself is longer than `pitch_m` by half the square of the tilt. A wave arrives there with
    `exp(i 2 pi (v y + u x + w dz))`: the spectrum on turned frequencies of Matsushima, Schimmel and Wyrowski (2003),
    J. Opt. Soc. Am. A 20, 1755, exact for any tilt, but no longer on a grid. It is not interpolated but summed as
    `exp(i 2 pi dz / wavelength)` times the series of `exp(i 2 pi (w - 1/wavelength) dz)` up to the power
    `k = tilt_order` (a non-uniform transform as a short sum of uniform ones: Ruiz-Antolin and Townsend 2018, SIAM J.
    Sci. Comput. 40, A529). A wave of frequency `f` is off by less than `a^(k + 1) / (k + 1)!` with
    `a = pi wavelength f^2 |dz|`. Light that fills the band of 512 pixels of 8 um at 532 nm comes out with a relative
    error of 2e-4 at 2.5 mrad and 3e-3 at 10 mrad for `k = 1`, of 2e-6 and 1e-4 for `k = 2`; smooth light is better
    by far. Each power costs one inverse transform.

    Every quantity given as `nn.Parameter` is trained. Transfer functions are kept while no quantity requires grad.
    Their phases, some 1e6 rad, are computed in float64 and reduced to a turn; the rest has the type of the field:
    complex64 stays complex64. After `Module.to(torch.float32)` the distance is rounded too, which shifts the phase of
    the whole field, by the order of 1 rad a metre, and nothing else visibly.

    Args:
        shape: Pixels of the input and output window, `(h, w)`.
        pitch_m: Pixel pitch, one number or `(y, x)`.
        wavelength_m: Wavelength in the medium.
        distance_m: Distance between the planes; negative propagates backwards.
        padding: Factor by which the grid is zero-padded before the transform, at least 1; rounded up to a fast
            transform length. Below 2, light that leaves the window on one side may return on the other.
        offset_m: Centre of the output window relative to that of the input window, `(y, x)`.
        tilt_rad: Slope of the output plane along `(y, x)`.
        tilt_order: Highest power of the tilt's series, at least 1.

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
        tilt_order: int = 1,
    ) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ValueError(f"AngularSpectrum: shape is {shape}, expected at least one pixel a side")
        if not padding >= 1.0:
            raise ValueError(f"AngularSpectrum: padding is {padding}, expected a factor of at least 1")
        if tilt_order < 1:
            raise ValueError(f"AngularSpectrum: tilt_order is {tilt_order}, expected at least 1")
        self.shape = (shape[0], shape[1])
        self.padded_shape = (_padded(shape[0], padding), _padded(shape[1], padding))
        self.tilt_order = tilt_order
        register_quantity(self, "pitch_m", pitch_m, shape=(2,), dtype=torch.float64)
        register_quantity(self, "wavelength_m", wavelength_m, shape=(), dtype=torch.float64)
        register_quantity(self, "distance_m", distance_m, shape=(), dtype=torch.float64)
        register_quantity(self, "offset_m", offset_m, shape=(2,), dtype=torch.float64)
        register_quantity(self, "tilt_rad", tilt_rad, shape=(2,), dtype=torch.float64)
        for name in ("pitch_m", "wavelength_m"):
            if not bool((getattr(self, name) > 0).all()):
                raise ValueError(f"AngularSpectrum: {name} is {getattr(self, name).tolist()}, expected above 0")
        self._check_reach()
        self._transfers = Derived[Tensor]()
        self._offset_acts = Derived[bool]()
        self._tilt_acts = Derived[bool]()
        self._carrier = Derived[tuple[Tensor, Tensor]]()

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
        powers = self._powers(field.dtype)
        planes = _convolve(field.reshape(1, -1, *self.shape), powers)
        flat = planes[0] if len(powers) == 1 else self._on_tilted_plane(planes)
        return flat.reshape(field.shape)

    def transfer_function(self, dtype: torch.dtype = torch.complex64) -> Tensor:
        """Return the band-limited transfer function, offset included, tilt excluded.

        Args:
            dtype: Complex type of the result.

        Returns:
            Dimensionless factors, shape `padded_shape`, frequencies in the order of `torch.fft.fftfreq`.
        """
        return self._powers(dtype)[0, 0].mT

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

    def _pitch(self) -> Tensor:
        return self.pitch_m.double().expand(2)

    def _powers(self, dtype: torch.dtype) -> Tensor:
        """Return the transfer functions of all powers of the tilt, shape `(n_powers, 1, n_x, n_y)`."""
        order = self.tilt_order if _acts(self.tilt_rad, self._tilt_acts) else 0
        quantities = (self.pitch_m, self.wavelength_m, self.distance_m, self.offset_m)
        return self._transfers.of(quantities, (dtype, order), lambda: self._compute_powers(dtype, order))

    def _compute_powers(self, dtype: torch.dtype, order: int) -> Tensor:
        real = dtype.to_real()
        pitch = self._pitch()
        frequency_y, frequency_x = (
            torch.fft.fftfreq(n, dtype=torch.float64, device=pitch.device) / step
            for n, step in zip(self.padded_shape, pitch, strict=True)
        )
        half_y, half_x = (n * step / 2.0 for n, step in zip(self.padded_shape, pitch, strict=True))
        axial, detuning, propagates = self._quadrant(frequency_y, frequency_x)
        turns = self._unfold(_fraction(self.distance_m.double() * axial).to(real))
        # Evanescent waves walk off at once; not to infinity, which times a frequency of zero is not a number.
        slope = torch.where(propagates, self.distance_m.double() / axial, _SIDEWAYS)
        slope = self._unfold(slope.to(real))
        walk_y, walk_x = slope * (frequency_y / half_y).to(real), slope * (frequency_x / half_x).to(real)[:, None]
        if _acts(self.offset_m, self._offset_acts):
            offset_y, offset_x = self.offset_m.double().expand(2)
            walk_y, walk_x = walk_y - (offset_y / half_y).to(real), walk_x - (offset_x / half_x).to(real)
            turns = turns + _fraction(offset_x * frequency_x).to(real)[:, None]
            turns = turns + _fraction(offset_y * frequency_y).to(real)
        phase, passes = 2.0 * math.pi * turns, _taper(walk_y) * _taper(walk_x)
        powers = [torch.complex(passes * phase.cos(), passes * phase.sin())]
        if order:
            detuning = self._unfold((2.0 * math.pi * detuning).to(real))
            for k in range(1, order + 1):
                powers.append(powers[-1] * (1j * detuning / k))
        return torch.stack(powers)[:, None]

    def _quadrant(self, frequency_y: Tensor, frequency_x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return axial frequency, the same less 1/wavelength, and whether the wave propagates; see `_unfold`."""
        n_y, n_x = self.padded_shape
        wavelength = self.wavelength_m.double()
        sine_squared = (wavelength * frequency_y[: n_y // 2 + 1]).square()
        sine_squared = sine_squared + (wavelength * frequency_x[: n_x // 2 + 1, None]).square()
        propagates = sine_squared < 1.0
        # Selected before the root, whose gradient at evanescent waves would be NaN times zero.
        sine_squared = torch.where(propagates, sine_squared, 0.0)
        cosine = (1.0 - sine_squared).sqrt()
        return cosine / wavelength, -sine_squared / ((1.0 + cosine) * wavelength), propagates

    def _unfold(self, quadrant: Tensor) -> Tensor:
        """Mirror what depends on the sizes of the frequencies, shape `(n_x // 2 + 1, n_y // 2 + 1)`, to all."""
        for dim, n in ((-1, self.padded_shape[0]), (-2, self.padded_shape[1])):
            quadrant = torch.cat((quadrant, quadrant.narrow(dim, 1, (n - 1) // 2).flip(dim)), dim)
        return quadrant

    def _on_tilted_plane(self, planes: Tensor) -> Tensor:
        """Sum the powers of the tilt, shape `(n_powers, batch, h, w)`."""
        quantities = (self.pitch_m, self.wavelength_m, self.tilt_rad)
        carrier, advance_m = self._carrier.of(quantities, planes.dtype, lambda: self._compute_carrier(planes.dtype))
        field = planes[-1]
        for plane in reversed(planes[:-1].unbind()):
            field = torch.addcmul(plane, advance_m, field)
        return carrier * field

    def _compute_carrier(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        pitch, tilt = self._pitch(), self.tilt_rad.double().expand(2)
        y, x = (torch.arange(n, dtype=torch.float64, device=pitch.device) - (n - 1) / 2.0 for n in self.shape)
        advance_m = (tilt[0] * pitch[0] * y)[:, None] + tilt[1] * pitch[1] * x
        phase = 2.0 * math.pi * advance_m / self.wavelength_m.double()
        return torch.complex(phase.cos(), phase.sin()).to(dtype), advance_m.to(dtype)


def _convolve(fields: Tensor, transfer: Tensor) -> Tensor:
    convolved: Tensor = _Convolution.apply(fields, transfer)  # type: ignore[no-untyped-call]
    return convolved


class _Context(Protocol):
    """What autograd hands to a function, as far as it is used here."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...
    def save_for_forward(self, *tensors: Tensor) -> None: ...


class _Convolution(torch.autograd.Function):
    """Zero-padded convolution of fields with transfer functions; linear in both, see `_sweep`."""

    @staticmethod
    def forward(fields: Tensor, transfer: Tensor) -> Tensor:
        return _sweep(fields, transfer, fields[:0])[0]

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        fields, transfer = inputs
        # The fields are needed for the gradient of the transfer functions only.
        ctx.save_for_backward(fields if ctx.needs_input_grad[1] else None, transfer)
        ctx.save_for_forward(fields, transfer)

    @staticmethod
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        fields, transfer = ctx.saved_tensors
        of_fields, of_transfer = ctx.needs_input_grad
        adjoint = _adjoint(transfer if of_fields else transfer[:, :0])
        if torch.is_grad_enabled():  # to be differentiated again
            again = _convolve(grad, adjoint) if of_fields else None
            return again, _correlation(grad, fields, transfer.shape[-2:]) if of_transfer else None
        convolved, correlation = _sweep(grad, adjoint, fields if of_transfer else grad[:0])
        return convolved if of_fields else None, correlation if of_transfer else None

    @staticmethod
    def jvp(ctx: _Context, of_fields: Tensor, of_transfer: Tensor) -> Tensor:
        fields, transfer = ctx.saved_tensors
        return _convolve(of_fields, transfer) + _convolve(fields, of_transfer)

    @staticmethod
    def vmap(info: object, dims: tuple[int | None, int | None], *pair: Tensor) -> tuple[Tensor, int]:
        left, right = (repeat(x) if dim is None else x.unbind(dim) for x, dim in zip(pair, dims, strict=True))
        return torch.stack(list(map(_convolve, left, right))), 0


def _sweep(fields: Tensor, transfer: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
    """Return the convolution and the correlation of fields, in pieces that stay in the cache.

    With `F` the transform of the zero-padded field, the convolution is `sum_i transfer[o, i] F(fields[i])`,
    transformed back and cut to the window, and the correlation `sum_batch F(fields[o]) conj(F(partners[i])) / n`.
    No padded field is ever held, and rows that are empty or that the cut drops are not transformed.

    Args:
        fields: Shape `(n_in, batch, h, w)`.
        transfer: Shape `(n_out, n_in, n_x, n_y)`; `n_out` is 0 for no convolution.
        partners: Shape `(n_partners, batch, h, w)`; `n_partners` is 0 for no correlation.

    Returns:
        Shapes `(n_out, batch, h, w)` and `(n_in, n_partners, n_x, n_y)`.
    """
    n_out, n_in, n_x, n_y = transfer.shape
    _, batch, h, w = fields.shape
    points = _POINTS_A_THREAD * torch.get_num_threads() if fields.device.type == "cpu" else _POINTS_ON_ACCELERATOR
    result = fields.new_empty(n_out, batch, h, w)
    correlation = fields.new_zeros(n_in, len(partners), n_x, n_y)
    for some in _pieces(batch, points // (n_x * n_y)):
        turned, others = (_turned(x.narrow(1, *some), n_x, points) for x in (fields, partners))
        passed = turned.new_empty(n_out, *turned.shape[1:])
        for part in _pieces(n_x, points // (turned.shape[1] * n_y)):
            waves = torch.fft.fft(turned.narrow(2, *part), n=n_y)
            for i, other in enumerate(others):
                wave = torch.fft.fft(other.narrow(1, *part), n=n_y)
                correlation.select(1, i).narrow(1, *part).add_((waves * wave.conj()).sum(1))
            if n_out:
                factors = transfer.narrow(2, *part).unsqueeze(2)
                mixed = factors.select(1, 0) * waves[0]
                for i in range(1, n_in):
                    mixed.addcmul_(factors.select(1, i), waves[i])
                passed.narrow(2, *part).copy_(torch.fft.ifft(mixed).narrow(-1, 0, h))
        for part in _pieces(h if n_out else 0, points // (turned.shape[1] * n_x)):
            result.narrow(1, *some).narrow(2, *part).copy_(torch.fft.ifft(passed.narrow(-1, *part).mT).narrow(-1, 0, w))
    return result, correlation / (n_x * n_y)


def _correlation(fields: Tensor, partners: Tensor, size: torch.Size) -> Tensor:
    """Return the correlation as `_sweep` does, by functions that autograd knows."""
    n_x, n_y = size
    waves, others = (torch.fft.fft2(x, s=(n_y, n_x)).mT for x in (fields, partners))
    return torch.einsum("obxy,ibxy->oixy", waves, others.conj()) / (n_x * n_y)


def _turned(fields: Tensor, n_x: int, points: int) -> Tensor:
    """Return the padded fields with their rows transformed, shape `(n, batch, n_x, h)`."""
    n, batch, h, _ = fields.shape
    turned = fields.new_empty(n, batch, n_x, h)
    # The transform of nothing is an error to torch.
    for part in _pieces(h if n else 0, points // (batch * n_x)):
        turned.narrow(-1, *part).copy_(torch.fft.fft(fields.narrow(2, *part), n=n_x).mT)
    return turned


def _pieces(n: int, length: int) -> Iterator[tuple[int, int]]:
    """Cut `n` items into pieces of about a length, at least one item each; start and length of each."""
    length = max(length, 1)
    return ((start, min(length, n - start)) for start in range(0, n, length))


def _adjoint(transfer: Tensor) -> Tensor:
    return transfer.transpose(0, 1).conj().resolve_conj()


def _acts(quantity: Tensor, kept: Derived[bool]) -> bool:
    """Return whether a quantity is trained or not zero; kept, because the answer waits for the accelerator."""
    return quantity.requires_grad or kept.of((quantity,), None, lambda: bool(quantity.any()))


def _fraction(turns: Tensor) -> Tensor:
    """Take off whole turns, before the precision is taken off."""
    return turns - turns.detach().round()


def _taper(walk_off: Tensor) -> Tensor:
    """Return the factor of the band limit for a walk-off in units of half the padded width."""
    position = (walk_off.abs() - _TAPER_START) / (_TAPER_END - _TAPER_START)
    return 0.5 + 0.5 * (math.pi * position.clamp(0.0, 1.0)).cos()


def _padded(n: int, padding: float) -> int:
    return int(next_fast_len(math.ceil(n * padding)))
