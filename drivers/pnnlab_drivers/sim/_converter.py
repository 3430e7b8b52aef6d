"""What a converter makes of a number: its codes, and the errors frozen into it."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.devices import Limits

__all__ = ["Converter"]

_TERMS: Final = 4
"""Terms of the sine series that the integral nonlinearity is: a bow, an S and two finer waves."""
_GRID: Final = 257
"""Points over the range on which the largest integral nonlinearity is looked for."""
_ROUNDING: Final = 4 * float(np.finfo(np.float32).eps)
"""The end of a range, written in single precision, is still the end of the range."""

FloatArray = npt.NDArray[np.floating]


class Converter:
    """Equally spaced codes for each of several channels, with offset, gain and linearity errors.

    A number x on channel c comes out as `x + offset_c + gain_c x + inl_c(x) + dnl_c(code of x)`. The integral
    nonlinearity is a sine series over the range, so that it vanishes at both ends (an end-point fit, as in data
    sheets). The differential one is an error of its own for every code; its gradient is taken as zero, since over many
    codes it averages out.

    Args:
        n_channels: Number of channels.
        low: Lower end of the range, the number at code 0, in the unit of the channel.
        high: Upper end of the range.
        n_codes: Number of codes.
        symmetric: Whether the last code is the upper end, as where sign and magnitude are coded; otherwise it lies one
            code below, as in two's complement.
        offset: Standard deviation of the channels' offsets, in the same unit.
        gain: Standard deviation of the channels' relative gain errors.
        inl_lsb: Largest integral nonlinearity of each channel, in codes.
        dnl_lsb: Root mean square of the differential nonlinearity, in codes.
        generator: Source of the frozen errors.
        dtype: Floating-point type.
        torch_device: Where the errors live.
    """

    def __init__(
        self, n_channels: int, *, low: float, high: float, n_codes: int, symmetric: bool = False, offset: float = 0.0,
        gain: float = 0.0, inl_lsb: float = 0.0, dnl_lsb: float = 0.0, generator: torch.Generator, dtype: torch.dtype,
        torch_device: torch.device,
    ) -> None:  # fmt: skip
        self.low, self.high = low, high
        self.lsb = lsb = (high - low) / (n_codes - 1 if symmetric else n_codes)
        self.top = low + (n_codes - 1) * lsb
        self._n_codes = n_codes

        def draw(*shape: int) -> Tensor:
            # always in double precision, so that a specimen does not depend on the precision of its simulation
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        def place(errors: Tensor) -> Tensor:
            return errors.to(device=torch_device, dtype=dtype)

        self._offset = place(offset * draw(n_channels))
        self._gain = place(gain * draw(n_channels))
        waves = draw(n_channels, _TERMS) / torch.arange(1, _TERMS + 1)
        grid = torch.linspace(0, 1, _GRID, dtype=torch.float64)
        largest = _sines(grid.expand(n_channels, -1).mT, waves).abs().amax(0)
        self._inl = place(inl_lsb * lsb * waves / largest.unsqueeze(-1)) if inl_lsb else None
        # the difference of two neighbours' errors is the differential nonlinearity: its variance is twice theirs
        self._dnl = place(dnl_lsb * lsb / math.sqrt(2) * draw(n_channels, n_codes)) if dnl_lsb else None

    def limits(self) -> Limits:
        """Return the range; a number at its end, rounded to single precision, is inside."""
        slack = _ROUNDING * max(abs(self.low), abs(self.high))
        return Limits(self.low - slack, self.high + slack)

    def nearest(self, values: FloatArray) -> FloatArray:
        """Return the nearest codes' ideal values, same shape and type; beyond the range, the first or last code's."""
        codes = np.rint((values.astype(np.float64) - self.low) / self.lsb)
        return (np.clip(codes, 0, self._n_codes - 1) * self.lsb + self.low).astype(values.dtype)

    def distort(self, values: Tensor) -> Tensor:
        """Return what comes out, differentiably; values and result have shape `(..., n_channels)`."""
        out = values + self._offset + self._gain * values
        if self._inl is not None:
            out = out + _sines((values - self.low) / (self.high - self.low), self._inl)
        if self._dnl is not None:
            codes = ((values.detach() - self.low) / self.lsb).round().long().clamp(0, self._n_codes - 1)
            out = out + self._dnl[torch.arange(self._dnl.shape[0], device=codes.device), codes]
        return out


def _sines(fraction: Tensor, amplitudes: Tensor) -> Tensor:
    """Return sum_k amplitudes[c, k] sin((k + 1) pi fraction[..., c]), shape as `fraction`."""
    order = torch.arange(1, amplitudes.shape[-1] + 1, dtype=fraction.dtype, device=fraction.device)
    return (amplitudes * torch.sin(math.pi * order * fraction.unsqueeze(-1))).sum(-1)
