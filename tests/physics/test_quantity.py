"""Values derived from a module's quantities, kept until a quantity changes."""

import copy

import torch
from torch import nn

from pnnlab.physics import TransmissionMatrix


def medium(*, learned: bool) -> TransmissionMatrix:
    matrix = torch.randn(4, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return TransmissionMatrix(nn.Parameter(matrix) if learned else matrix, in_shape=(2, 2), out_shape=(2, 2))


def test_a_copy_does_not_keep_what_was_derived_from_the_original() -> None:
    field = torch.ones(2, 2, dtype=torch.complex128)
    first = medium(learned=False)
    first(field)
    other = copy.deepcopy(first)
    with torch.no_grad():
        other.matrix.mul_(2)
    torch.testing.assert_close(other(field), 2 * first(field))


def test_a_learned_quantity_is_derived_again_after_a_step() -> None:
    field = torch.ones(2, 2, dtype=torch.complex128)
    learned = medium(learned=True)
    with torch.no_grad():
        before = learned(field)
        learned.matrix.mul_(3)
        torch.testing.assert_close(learned(field), 3 * before)
    learned(field).abs().sum().backward()
    assert learned.matrix.grad is not None and float(learned.matrix.grad.abs().sum()) > 0
