"""Phase masks with free space between, lit from either side."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from pnnlab.physics._propagation import AngularSpectrum
from pnnlab.physics._quantity import register_quantity

__all__ = ["DiffractiveStack", "StackFields"]


@dataclass(frozen=True, slots=True)
class StackFields:
    """Fields at the planes of a stack, complex.

    Attributes:
        before: On the input side of each mask, shape `(..., n_masks, n_pixels)`.
        behind: On the output side of each mask, same shape.
        leaving: Where the light leaves: at the camera behind the last space for light from the input side, at the
            source's plane for light from the output side; shape `(..., n_pixels)`.
    """

    before: Tensor
    behind: Tensor
    leaving: Tensor


class DiffractiveStack(nn.Module):
    """Phase masks one behind the other, a space before, between and behind them: `n_masks + 1` spaces.

    Light from the input side passes space, mask, space, ..., mask, space: `u -> T_L P_L ... T_1 P_1 T_0 u` with
    `P = diag(exp(i phi))`. Light from the output side passes the same backwards; through a reciprocal space it is
    carried by the transpose of T. Two mirror symmetries make the forward direction as good as the backward one (fully
    forward mode, Xue et al. 2024, Nature 632, 280): each T equals its transpose, and spaces at equal distance from the
    ends are equal.

    Args:
        spaces: T of each space, complex, shape `(n_masks + 1, n_pixels, n_pixels)`.
        spaces_back: What carries light from the output side, same shape; the transposes if `None`.

    Both are buffers, or learned if they are `nn.Parameter`s.
    """

    spaces: Tensor
    spaces_back: Tensor | None

    def __init__(self, spaces: Tensor, *, spaces_back: Tensor | None = None) -> None:
        super().__init__()
        if spaces.ndim != 3 or spaces.shape[1] != spaces.shape[2] or len(spaces) < 2 or not spaces.is_complex():
            raise ValueError(
                f"diffractive stack: spaces are {spaces.dtype} of shape {tuple(spaces.shape)}, expected a complex "
                "array of shape (n_masks + 1, n_pixels, n_pixels)"
            )
        register_quantity(self, "spaces", spaces)
        if spaces_back is None:
            self.spaces_back = None
        else:
            register_quantity(self, "spaces_back", spaces_back, shape=tuple(spaces.shape))

    @classmethod
    def free_space(
        cls, shape: tuple[int, int], n_masks: int, *, pitch_m: float, wavelength_m: float, distance_m: float,
        shift_px: Tensor | None = None, dtype: torch.dtype = torch.complex64,
    ) -> Self:  # fmt: skip
        """Return equal free spaces between pixel grids (see `AngularSpectrum`).

        Args:
            shape: Pixels of each plane, `(h, w)`.
            n_masks: Number of masks.
            pitch_m: Pixel pitch.
            wavelength_m: Wavelength.
            distance_m: Length of each space.
            shift_px: By how much the plane behind each space lies beside the one before, in pixels along `(y, x)`,
                shape `(n_masks + 1, 2)`; none if `None`. A shifted space is reciprocal, but not its own transpose.
            dtype: Complex type of the matrices.
        """
        n = math.prod(shape)
        points = torch.eye(n, dtype=torch.complex128).reshape(n, *shape)
        found: dict[tuple[float, float], Tensor] = {}
        shifts = torch.zeros(n_masks + 1, 2) if shift_px is None else shift_px
        for y, x in shifts.tolist():
            if (y, x) not in found:
                space = AngularSpectrum(
                    shape, pitch_m=pitch_m, wavelength_m=wavelength_m, distance_m=distance_m,
                    offset_m=(y * pitch_m, x * pitch_m),
                )  # fmt: skip
                found[y, x] = space(points).reshape(n, n).mT
        return cls(torch.stack([found[y, x] for y, x in shifts.tolist()]).to(dtype))

    @classmethod
    def scattering(
        cls, n_pixels: int, n_masks: int, generator: torch.Generator, dtype: torch.dtype = torch.complex64
    ) -> Self:
        """Return independent scattering media, with no symmetry but reciprocity, of mean transmission 1.

        Args:
            n_pixels: Pixels of each plane.
            n_masks: Number of masks.
            generator: Source of randomness.
            dtype: Complex type of the matrices.
        """
        return cls(_gaussian((n_masks + 1, n_pixels, n_pixels), generator, dtype) / math.sqrt(n_pixels))

    def broken(self, asymmetry: float, nonreciprocity: float, generator: torch.Generator) -> Self:
        """Return a stack that is less symmetric by a chosen amount.

        Args:
            asymmetry: Norm of a random matrix that is added to each space, over the space's own norm; light from the
                output side meets its transpose.
            nonreciprocity: Norm of another one that light from the output side alone meets.
            generator: Source of randomness.
        """
        spaces = self.spaces.detach()
        stray, one_way = (_gaussian(tuple(spaces.shape), generator, spaces.dtype) for _ in range(2))
        size, norm = spaces.norm(dim=(1, 2), keepdim=True), stray.norm(dim=(1, 2), keepdim=True)
        forward = spaces + asymmetry * size / norm * stray
        back = None
        if nonreciprocity:
            back = forward.mT + nonreciprocity * size / one_way.norm(dim=(1, 2), keepdim=True) * one_way
        return type(self)(forward, spaces_back=back)

    @property
    def n_masks(self) -> int:
        """Return the number of masks."""
        return len(self.spaces) - 1

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of each plane."""
        return self.spaces.shape[1]

    def forward(self, field: Tensor, masks: Tensor) -> StackFields:
        """Return the fields of light from the input side.

        Args:
            field: At the source, complex, shape `(..., n_pixels)`.
            masks: Complex transmission of each pixel of each mask, shape `(..., n_masks, n_pixels)`.
        """
        before, behind = [], []
        field = nn.functional.linear(field, self.spaces[0])
        for k in range(self.n_masks):
            before.append(field)
            behind.append(field * masks[..., k, :])
            field = nn.functional.linear(behind[-1], self.spaces[k + 1])
        return StackFields(torch.stack(before, -2), torch.stack(behind, -2), field)

    def backward(self, field: Tensor, masks: Tensor) -> StackFields:
        """Return the fields of light from the output side; arguments as in `forward`, the field at the camera."""
        back = self.spaces.mT if self.spaces_back is None else self.spaces_back
        before, behind = [], []
        field = nn.functional.linear(field, back[-1])
        for k in reversed(range(self.n_masks)):
            behind.append(field)
            before.append(field * masks[..., k, :])
            field = nn.functional.linear(before[-1], back[k])
        return StackFields(torch.stack(before[::-1], -2), torch.stack(behind[::-1], -2), field)

    def extra_repr(self) -> str:
        """Return the stack's size for `repr`."""
        return f"{self.n_masks} masks of {self.n_pixels} pixels"


def _gaussian(shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    # drawn in double precision, so that both precisions have one specimen
    return torch.randn(shape, generator=generator, dtype=torch.complex128).to(dtype)
