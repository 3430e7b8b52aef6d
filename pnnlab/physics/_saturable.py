"""Absorbers that light bleaches, and a matrix of light in front of a row of them."""

import math

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["AbsorbingMatrix", "SaturableAbsorber"]


class SaturableAbsorber(nn.Module):
    """Cells of atoms that absorb less the stronger the light is.

    `E_out = t E_in` with `t = exp(-OD / 2 / (1 + |E_in|² / I_sat))`, element by element (Guo et al. 2021, Photonics
    Research 9, B71, eq. 2, for thin absorbers). Weak light that crosses a cell along with strong light, in either
    direction, sees the transmission t that the strong light leaves. This is nearly in proportion to the derivative of
    E_out by E_in, `t (1 + OD s / (1 + s)²)` with `s = |E_in|² / I_sat`, which no light sees.

    Args:
        optical_depth: OD, of power, without light; shape `(n,)`.
        saturation: I_sat in the unit of power of the fields; shape `(n,)`.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    optical_depth: Tensor
    saturation: Tensor

    def __init__(self, optical_depth: QuantityLike, saturation: QuantityLike = 1.0) -> None:
        super().__init__()
        register_quantity(self, "optical_depth", optical_depth)
        register_quantity(self, "saturation", saturation)
        if float(self.optical_depth.detach().min()) < 0 or float(self.saturation.detach().min()) <= 0:
            raise ValueError("saturable absorber: optical depths are 0 or more, saturation is above 0")

    def forward(self, field: Tensor) -> Tensor:
        """Return the fields behind the cells, same shape as those before, `(..., n)`, real or complex."""
        return self.transmission(_power(field)) * field

    def transmission(self, power: Tensor) -> Tensor:
        """Return t of weak light beside strong light of this power, shape `(..., n)`."""
        return (-self.optical_depth.to(power.dtype) / 2 / (1 + power / self.saturation.to(power.dtype))).exp()

    def slope(self, field: Tensor) -> Tensor:
        """Return the derivative of E_out by E_in of real fields, shape `(..., n)`."""
        power = _power(field)
        s = power / self.saturation.to(power.dtype)
        return self.transmission(power) * (1 + self.optical_depth.to(power.dtype) * s / (1 + s).square())


class AbsorbingMatrix(nn.Module):
    """Light of n_in amplitudes is multiplied by a matrix of transmissions and crosses a row of absorbers; and back.

    Forwards `y = SA(z)`, `z = pump · x W / √n_in`. Backwards weak light e enters the cells from behind while the pump
    is on: `d = t e` is tapped between cells and matrix, and `b = d Wᵀ / √n_in` comes out where x goes in (Spall et al.
    2023, arXiv 2308.05226). Amplitudes are real, as a homodyne receiver reads them.

    Args:
        absorber: The cells.
        n_in: Number of inputs.
        n_out: Number of outputs, and of cells.
        pump: Amplitude of an input of 1.
        gain: Relative gain of each element, shape `(n_in, n_out)`.
        back_gain: What backward light meets beyond that, same shape; 1 for a matrix that is reciprocal.
        tap_gain: Relative gain of the taps between cells and matrix, shape `(n_out,)`.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    gain: Tensor
    back_gain: Tensor
    tap_gain: Tensor

    def __init__(
        self, absorber: SaturableAbsorber, n_in: int, n_out: int, *, pump: float = 1.0, gain: QuantityLike = 1.0,
        back_gain: QuantityLike = 1.0, tap_gain: QuantityLike = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.absorber, self.n_in, self.n_out, self.pump = absorber, n_in, n_out, pump
        register_quantity(self, "gain", gain, shape=(n_in, n_out))
        register_quantity(self, "back_gain", back_gain, shape=(n_in, n_out))
        register_quantity(self, "tap_gain", tap_gain, shape=(n_out,))

    def forward(self, x: Tensor, weights: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return y and d, shape `(batch, n_out)`, and b, shape `(batch, n_in)`.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            weights: W, shape `(batch, n_in, n_out)` or `(n_in, n_out)`.
            error: e, shape `(batch, n_out)`; in the unit of amplitude behind the matrix.
        """
        matrix = weights * self.gain.to(x.dtype) / math.sqrt(self.n_in)
        z = self.pump * (x[:, None] @ matrix)[:, 0]
        # what bleaches a cell is all light in it
        t = self.absorber.transmission(_power(z) + _power(error))
        d = t * error
        b = (d[:, None] @ (matrix * self.back_gain.to(x.dtype)).mT)[:, 0]
        return t * z, self.tap_gain.to(x.dtype) * d, b


def _power(field: Tensor) -> Tensor:
    return field.real.square() + field.imag.square() if torch.is_complex(field) else field.square()
