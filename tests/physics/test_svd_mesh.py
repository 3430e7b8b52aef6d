"""Two meshes with attenuators between them: any matrix, and the gradients of its singular values."""

import math

import pytest
import torch

from pnnlab.physics import InterferometerMesh, SvdMesh

N = 5


def some(seed: int = 0) -> tuple[SvdMesh, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parts = [
        InterferometerMesh(N, left_imbalance=0.1, right_imbalance=-0.05, loss_db=0.3, guide_loss_db=0.1)
        for _ in range(2)
    ]
    errors = torch.randn(N, generator=generator, dtype=torch.float64)
    mesh = SvdMesh(*parts, attenuator_error_rad=errors)
    return mesh, 2 * math.pi * torch.rand(mesh.n_phases, generator=generator, dtype=torch.float64)


def test_it_can_be_any_matrix() -> None:
    generator = torch.Generator().manual_seed(1)
    wanted = torch.randn(N, N, dtype=torch.complex128, generator=generator)
    u, s, vh = torch.linalg.svd(wanted)
    mesh, scale = SvdMesh.design(N), float(s.max())
    phases = torch.cat([mesh.first.program(vh), (s / scale).acos(), mesh.last.program(u)])
    torch.testing.assert_close(scale * mesh.matrix(phases), wanted)


def test_light_meets_the_matrix_forwards_and_its_transpose_backwards() -> None:
    mesh, phases = some()
    field = torch.randn(3, N, dtype=torch.complex128)
    matrix = mesh.matrix(phases)
    torch.testing.assert_close(mesh.fields(field, phases).out, field @ matrix.mT)
    torch.testing.assert_close(mesh.fields(field, phases, backward=True).out, field @ matrix)


def test_fields_between_both_are_the_gradient_of_singular_values_with_any_loss() -> None:
    mesh, phases = some()
    field, weight = torch.randn(2, 1, N, dtype=torch.complex128)
    phases.requires_grad_()
    (exact,) = torch.autograd.grad(2 * (weight * mesh.fields(field, phases).out).real.sum(), phases)
    with torch.no_grad():
        forth, back = mesh.fields(field, phases).inside, mesh.fields(weight, phases, backward=True).inside
        _, attenuators, _ = mesh.split(phases)
        by_value = 2 * (forth * back).real[0]
        found = -(attenuators + mesh.attenuator_error_rad).sin() * by_value
    torch.testing.assert_close(found, mesh.split(exact)[1])


def test_meshes_that_do_not_join_are_refused() -> None:
    with pytest.raises(ValueError, match="meshes of 4 and 5 ports do not join"):
        SvdMesh(InterferometerMesh(4), InterferometerMesh(5))
