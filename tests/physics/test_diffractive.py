"""Stacks of phase masks: reciprocity, mirror symmetry, and how each is broken."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.physics import AngularSpectrum, DiffractiveStack

SHAPE, MASKS, N = (4, 6), 3, 24
SPACE = {"pitch_m": 40e-6, "wavelength_m": 532e-9, "distance_m": 12.5e-3}


def free_space(shift_px: float = 0.0) -> DiffractiveStack:
    shifts = torch.full((MASKS + 1, 2), shift_px, dtype=torch.float64)
    return DiffractiveStack.free_space(SHAPE, MASKS, **SPACE, shift_px=shifts, dtype=torch.complex128)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)


def masks() -> Tensor:
    angle = 2 * math.pi * torch.rand(MASKS, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.polar(torch.ones_like(angle), angle)


def overlaps(stack: DiffractiveStack) -> tuple[complex, complex]:
    """Return `b · M a` of light from the input side, and `a · M' b` of light from the output side."""
    a, b = draw(N), draw(N, seed=1)
    return complex(b @ stack(a, masks()).leaving), complex(a @ stack.backward(b, masks()).leaving)


def test_light_passes_as_through_each_space_and_mask_alone() -> None:
    space = AngularSpectrum(SHAPE, **SPACE)
    field, through = draw(2, N), masks()
    found = free_space()(field, through)
    by_hand = space(field.unflatten(-1, SHAPE)).flatten(-2)
    for k in range(MASKS):
        torch.testing.assert_close(found.before[:, k], by_hand)
        torch.testing.assert_close(found.behind[:, k], by_hand * through[k])
        by_hand = space((by_hand * through[k]).unflatten(-1, SHAPE)).flatten(-2)
    torch.testing.assert_close(found.leaving, by_hand)


@pytest.mark.parametrize("shift_px", [0.0, 0.3])
def test_both_directions_are_reciprocal(shift_px: float) -> None:
    ahead, back = overlaps(free_space(shift_px).broken(0.3, 0.0, torch.Generator().manual_seed(2)))
    assert ahead == pytest.approx(back, rel=1e-12)


def test_what_is_not_reciprocal_grows_with_its_knob() -> None:
    found = []
    for size in (0.01, 0.1):
        ahead, back = overlaps(free_space().broken(0.0, size, torch.Generator().manual_seed(2)))
        found.append(abs(ahead - back))
    assert found[1] / found[0] == pytest.approx(10, rel=0.5)


def test_aligned_planes_are_their_own_mirror_image_and_shifted_ones_are_not() -> None:
    aligned, shifted = free_space(), free_space(0.1)
    torch.testing.assert_close(aligned.spaces, aligned.spaces.mT)
    asymmetry = (shifted.spaces - shifted.spaces.mT).norm() / shifted.spaces.norm()
    assert 0.05 < float(asymmetry) < 1


def test_what_is_not_symmetric_has_the_size_that_is_asked_for() -> None:
    perfect = free_space()
    off = perfect.broken(0.2, 0.0, torch.Generator().manual_seed(2)).spaces - perfect.spaces
    torch.testing.assert_close(off.norm(dim=(1, 2)), 0.2 * perfect.spaces.norm(dim=(1, 2)))


@pytest.mark.parametrize("spaces", [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.complex64)], ids=str)
def test_spaces_of_another_form_are_refused(spaces: Tensor) -> None:
    with pytest.raises(ValueError, match="n_masks \\+ 1"):
        DiffractiveStack(spaces)
