"""Fields inside a mesh: beside the mesh's own matrix, and as the gradient that they are."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from pnnlab.physics import Arrangement, InterferometerMesh, mesh_fields

BOTH: list[Arrangement] = ["clements", "reck"]


def random_mesh(n: int, arrangement: Arrangement, **more: Tensor | float) -> tuple[InterferometerMesh, Tensor]:
    generator = torch.Generator().manual_seed(n)
    probe = InterferometerMesh(n, arrangement)

    def xi(size: int) -> Tensor:
        return 0.1 * torch.randn(size, generator=generator, dtype=torch.float64)

    errors = {
        "left_imbalance": xi(probe.n_mzis), "right_imbalance": xi(probe.n_mzis),
        "phase_error_rad": xi(probe.n_phases), "loss_db": 5 * xi(probe.n_mzis).abs(), "guide_loss_db": 0.3,
    }  # fmt: skip
    phases = 2 * math.pi * torch.rand(probe.n_phases, generator=generator, dtype=torch.float64)
    return InterferometerMesh(n, arrangement, **(errors | more)), phases  # type: ignore[arg-type]


def some_fields(batch: int, n: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, n, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "arrangement"), list(itertools.product([2, 5, 8], BOTH)))
def test_light_meets_the_matrix_forwards_and_its_transpose_backwards(n: int, arrangement: Arrangement) -> None:
    mesh, phases = random_mesh(n, arrangement, crosstalk=0.05)
    field, u = some_fields(3, n), mesh.matrix(phases)
    torch.testing.assert_close(mesh_fields(mesh, field, phases).out, field @ u.mT, atol=1e-12, rtol=0)
    torch.testing.assert_close(mesh_fields(mesh, field, phases, backward=True).out, field @ u, atol=1e-12, rtol=0)
    each = torch.stack([phases, phases + 0.1, phases - 0.2])
    for backward in (False, True):
        together = mesh_fields(mesh, field, each, backward=backward)
        alone = mesh_fields(mesh, field[1], each[1], backward=backward)
        torch.testing.assert_close(together.out[1], alone.out)
        torch.testing.assert_close(together.inside[1], alone.inside)


@pytest.mark.parametrize("arrangement", BOTH)
def test_overlap_of_forward_and_backward_fields_is_the_gradient_with_every_loss(arrangement: Arrangement) -> None:
    mesh, phases = random_mesh(6, arrangement)
    field, target = some_fields(1, 6), torch.rand(1, 6, dtype=torch.float64)
    phases.requires_grad_()
    loss = ((mesh(field, phases).abs().square() - target) ** 2).sum() / 2
    (exact,) = torch.autograd.grad(loss, phases)
    phases = phases.detach()
    there = mesh_fields(mesh, field, phases)
    error = (there.out.abs().square() - target) * there.out.conj()
    back = mesh_fields(mesh, error, phases, backward=True)
    overlap = 2 * (1j * there.inside * back.inside).real[0]
    torch.testing.assert_close(overlap, exact, atol=1e-13, rtol=1e-10)


def test_intensities_inside_are_those_of_a_mesh_that_is_cut_there() -> None:
    """Behind the first column's shifters nothing has happened yet but the shift; at the outputs all has."""
    mesh, phases = random_mesh(4, "clements")
    field = some_fields(2, 4)
    found = mesh_fields(mesh, field, phases)
    first = mesh.n_mzis + mesh.places.index((0, 2))
    shift = torch.polar(torch.ones((), dtype=torch.float64), phases[first] + mesh.phase_error_rad[first])
    torch.testing.assert_close(found.inside[:, first], field[:, 2] * shift)
    torch.testing.assert_close(found.inside[:, -4:], found.out)


def test_a_mesh_that_is_not_reciprocal_differs_backwards_only() -> None:
    mesh, phases = random_mesh(5, "clements")
    shift = 0.3 * torch.randn(mesh.n_phases, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    other, _ = random_mesh(5, "clements", nonreciprocal_rad=shift)
    field = some_fields(2, 5)
    torch.testing.assert_close(mesh_fields(other, field, phases).out, mesh_fields(mesh, field, phases).out)
    back = mesh_fields(other, field, phases, backward=True)
    torch.testing.assert_close(back.out, mesh_fields(mesh, field, phases + shift, backward=True).out)
    assert float((back.out - mesh_fields(mesh, field, phases, backward=True).out).abs().max()) > 0.05


def test_loss_of_guides_is_the_same_on_all_paths() -> None:
    mesh, lossless = (InterferometerMesh(6, guide_loss_db=loss) for loss in (0.5, 0.0))
    phases = torch.rand(mesh.n_phases)
    torch.testing.assert_close(mesh.matrix(phases), 10 ** (-0.5 * 6 / 20) * lossless.matrix(phases))
