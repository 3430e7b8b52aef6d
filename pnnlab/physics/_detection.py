"""Detection of light."""

import torch
from torch import Tensor


def intensity(field: Tensor) -> Tensor:
    """Return the squared magnitude of a field.

    Computed as the sum of squares: quicker than `abs`, and its derivatives of every order are right where the
    field is dark, where `abs` has a kink.

    Args:
        field: Real or complex amplitude, any shape, in square root of intensity.

    Returns:
        Intensity, real, same shape.
    """
    if not field.is_complex():
        return field.square()
    # Added in place: a third array of the size of a batch costs more than the arithmetic.
    return field.real.square().addcmul_(field.imag, field.imag)


def bin_mean(x: Tensor, block: int | tuple[int, int]) -> Tensor:
    """Return the mean over non-overlapping blocks of pixels.

    Args:
        x: Real or complex values, shape `(..., h, w)`.
        block: Height and width of a block in pixels; one number means a square.

    Returns:
        Means, shape `(..., h / block_h, w / block_w)`, same unit.

    Raises:
        ValueError: If the blocks do not tile the grid.
    """
    block_h, block_w = (block, block) if isinstance(block, int) else block
    h, w = x.shape[-2:]
    if block_h < 1 or block_w < 1 or h % block_h or w % block_w:
        raise ValueError(
            f"bin_mean: blocks of ({block_h}, {block_w}) pixels do not tile a grid of ({h}, {w}); "
            "choose a block that divides it"
        )
    if block_h == block_w == 1:
        return x
    # Rows first: the sum then runs over whole rows, contiguous in memory. Across columns a sum over a few neighbours
    # is five times slower than a product with ones.
    rows = x.unflatten(-2, (-1, block_h)).sum(-2)
    if not (rows.is_floating_point() or rows.is_complex()):
        rows = rows.to(torch.get_default_dtype())
    means: Tensor = rows.unflatten(-1, (-1, block_w)) @ rows.new_full((block_w,), 1.0 / (block_h * block_w))
    return means


def area_sum(x: Tensor, areas: Tensor) -> Tensor:
    """Return the sum over each of several detector areas.

    Args:
        x: Values on the sensor, shape `(..., h, w)`.
        areas: Weight of each pixel in each area, shape `(n_areas, h, w)`; a boolean mask or fractions of
            covered pixels. Areas may overlap.

    Returns:
        Sums, shape `(..., n_areas)`, in the unit of `x`.

    Raises:
        ValueError: If the areas lie on another grid.
    """
    if areas.dim() != 3 or areas.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"area_sum: areas have shape {tuple(areas.shape)}, expected (n_areas, h, w) with the grid of x, "
            f"{tuple(x.shape[-2:])}"
        )
    return torch.nn.functional.linear(x.flatten(-2), areas.flatten(-2).to(x.dtype))


def click_probability(photons: Tensor) -> Tensor:
    """Return the probability that a detector of single photons clicks: `1 - exp(-photons)`.

    A click tells one photon or more; their number has a Poisson distribution (Mandel & Wolf 1995, Optical Coherence
    and Quantum Optics, section 9.9).

    Args:
        photons: Mean number of detected photons, dark counts included, at least 0, any shape.
    """
    return -torch.expm1(-photons)


def expected_counts(
    photons: Tensor,
    *,
    quantum_efficiency: Tensor | float,
    dark_electrons: Tensor | float,
    gain_counts_per_electron: Tensor | float,
    offset_counts: Tensor | float,
    saturation_counts: Tensor | float,
) -> Tensor:
    """Return the mean digital reading of a camera pixel.

    The linear camera model, `offset + gain * (quantum_efficiency * photons + dark)` (EMVA Standard 1288,
    release 3.1, 2016, linear signal model), cut hard at `saturation_counts` as the full well or the converter
    cuts it. The gradient is exact: zero above saturation. It is the reading that the mean charge gives, without
    noise and rounding; within the noise of saturation the true mean lies a little lower, because only the upward
    fluctuations are cut. All arguments broadcast.

    Args:
        photons: Mean number of photons on a pixel in one exposure, shape `(..., h, w)`.
        quantum_efficiency: Electrons per photon, in [0, 1].
        dark_electrons: Mean dark charge of the exposure, electrons.
        gain_counts_per_electron: System gain, counts per electron.
        offset_counts: Reading of an empty pixel, counts.
        saturation_counts: Largest reading, counts.

    Returns:
        Mean reading in counts, shape `(..., h, w)`.
    """
    # What is the same for all exposures is put together first.
    dark_counts = offset_counts + gain_counts_per_electron * dark_electrons
    counts = dark_counts + (gain_counts_per_electron * quantum_efficiency) * photons
    if isinstance(saturation_counts, Tensor):
        return torch.minimum(counts, saturation_counts.to(counts.dtype))
    return counts.clamp(max=saturation_counts)
