"""Physical layers as fixed, unknown functions between digital maps."""

import math
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.errors import RunError
from pnnlab.nn import PhysicalLayer, Spread
from pnnlab.systems import System

__all__ = ["FixedBlock", "Standardise", "usual_width"]

_WIDTH: Final = 64


def usual_width(layers: Iterable[PhysicalLayer]) -> int:
    """Return 64, or as many as all layers that take the values have inputs for."""
    return min([_WIDTH, *(layer.system.n_in for layer in layers)])


class FixedBlock:
    """A physical layer whose controls stay as they are: vectors of any size in, readings out, nothing differentiable.

    A vector's size carries no information: it is scaled to a root mean square of its own (see `Inlet`). Readings of all
    kinds (intensities, voltages, currents) leave centred and scaled by what each reading was on the first samples, if
    `standard` is calibrated; until then as they are.

    Args:
        layer: The physical layer.
        n: Length of the vectors.
        scale: Root mean square of the system's inputs; in units of the half range where inputs are bounded.

    Attributes:
        layer: See above.
        standard: Centres and scales the readings.

    Raises:
        RunError: The system has fewer inputs than the vectors have entries.
    """

    def __init__(self, layer: PhysicalLayer, n: int, *, scale: float, dtype: torch.dtype) -> None:
        self.layer = layer
        self.standard = Standardise(layer.system.n_out, dtype)
        self._inlet = Inlet(n, layer.system, scale=scale)

    @property
    def n_out(self) -> int:
        """Return the number of readings."""
        return self.layer.system.n_out

    def scaled(self, h: Tensor) -> Tensor:
        """Return vectors, shape `(batch, n)`, as large as the system meets them, about the middle of its range."""
        return self._inlet.scaled(h)

    @torch.no_grad()
    def __call__(self, h: Tensor) -> Tensor:
        """Return readings, shape `(batch, n_out)`, of vectors, shape `(batch, n)`: one shot each."""
        y: Tensor = self.standard(self._measure(h))
        return y

    @torch.no_grad()
    def calibrate(self, h: Tensor) -> Tensor:
        """Return readings as above, after `standard` was set by them."""
        y = self._measure(h)
        self.standard.calibrate(y)
        centred: Tensor = self.standard(y)
        return centred

    def _measure(self, h: Tensor) -> Tensor:
        y: Tensor = self.layer(self._inlet(h)).to(h.dtype)
        return y


class Inlet(nn.Module):
    """Bring vectors onto a system's inputs: scaled as a whole, and spread over all inputs.

    `x = h · min(s / rms(h), r / max|h|)` about the middle of the input range, with r its half width: the direction of
    the vector is kept whatever its length, and no input leaves the range. On a grid of inputs a square vector is
    enlarged as an image; elsewhere each entry is repeated for as many neighbouring inputs, and inputs that are left
    over stay in the middle of the range.

    Args:
        n: Length of the vectors.
        system: Whose inputs.
        scale: s, in units of r where r is finite.

    Raises:
        RunError: The system has fewer inputs than the vectors have entries.
    """

    def __init__(self, n: int, system: System, *, scale: float) -> None:
        super().__init__()
        if n > system.n_in:
            raise RunError(
                f"system {system.name!r} takes {system.n_in} inputs, {n} are asked for; lower `width` in the method's "
                "options, or give the system more inputs in the bench file"
            )
        low, high = system.input_range
        bounded = math.isfinite(low) and math.isfinite(high)
        self._middle = (low + high) / 2 if bounded else 0.0
        self._half = (high - low) / 2 if bounded else math.inf
        self._rms = scale * self._half if bounded else scale
        self._spread = _spread(n, system)

    def scaled(self, h: Tensor) -> Tensor:
        """Return vectors, shape `(batch, n)`, scaled, about the middle of the range."""
        least = torch.finfo(h.dtype).tiny
        # one part in a million less than the range, for what rounding may add
        factor = self._rms / (h.square().mean(-1, keepdim=True).sqrt() + least)
        if math.isfinite(self._half):
            factor = factor.minimum((1 - 1e-6) * self._half / (h.abs().amax(-1, keepdim=True) + least))
        return h * factor

    def forward(self, h: Tensor) -> Tensor:
        """Return inputs, shape `(batch, n_in)`, of vectors, shape `(batch, n)`."""
        x: Tensor = self._spread(self.scaled(h)) + self._middle
        return x


class Standardise(nn.Module):
    """Centre and scale readings by the mean and spread that each had when it was calibrated.

    Args:
        n: Number of readings.
        dtype: Floating type.
    """

    mean: Tensor
    spread: Tensor
    ready: Tensor

    def __init__(self, n: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n, dtype=dtype))
        self.register_buffer("spread", torch.ones(n, dtype=dtype))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def calibrate(self, y: Tensor) -> None:
        """Set mean and spread by readings, shape `(batch, n)`; a reading that never changes is not enlarged."""
        spread = y.std(0, correction=0)
        self.mean.copy_(y.mean(0))
        self.spread.copy_(torch.where(spread > 0.01 * spread.mean(), spread, spread.mean()))
        self.spread.copy_(torch.where(self.spread > 0, self.spread, torch.ones_like(spread)))
        self.ready.fill_(True)

    def forward(self, y: Tensor) -> Tensor:
        """Return shape `(batch, n)` for shape `(batch, n)`."""
        return (y - self.mean) / self.spread


def _spread(n: int, system: System) -> nn.Module:
    grid, side = getattr(system, "input_shape", None), math.isqrt(n)
    if grid is not None and side * side == n and not (grid[0] % side or grid[1] % side):
        return Spread((side, side), grid)
    times = system.n_in // n
    return nn.Sequential(Spread((1, n), (1, n * times)), nn.ZeroPad1d((0, system.n_in - n * times)))
