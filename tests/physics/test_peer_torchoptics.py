"""Free-space propagation against torchoptics, an independent package."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.physics import AngularSpectrum, intensity

torchoptics = pytest.importorskip("torchoptics", reason="the independent reference; install pnnlab[peers]")

N, PITCH_M, WAVELENGTH_M, DISTANCE_M = 512, 8e-6, 532e-9, 0.15


@pytest.fixture(scope="module")
def field() -> Tensor:
    """16 x 16 random phase blocks under a Gaussian beam of 0.8 mm."""
    axis = (torch.arange(N, dtype=torch.float64) - N / 2) * PITCH_M
    generator = torch.Generator().manual_seed(0)
    phase = 2 * math.pi * torch.rand(16, 16, generator=generator, dtype=torch.float64)
    phase = phase.repeat_interleave(N // 16, 0).repeat_interleave(N // 16, 1)
    return torch.polar(torch.exp(-(axis[:, None] ** 2 + axis**2) / 0.8e-3**2), phase)


def ours(**options: object) -> AngularSpectrum:
    return AngularSpectrum((N, N), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, **({"distance_m": DISTANCE_M} | options))


def theirs(
    field: Tensor,
    distance_m: Tensor | float,
    offset_m: Tensor | tuple[float, float],
    method: str,
    shape: tuple[int, int] = (N, N),
) -> Tensor:
    plane = torchoptics.PlanarGrid(shape, distance_m, spacing=PITCH_M, offset=offset_m)
    start = torchoptics.Field(field, wavelength=WAVELENGTH_M, z=0, spacing=PITCH_M)
    padding = (N // 2, N // 2) if method == "ASM" else None
    result = start.propagate_to_plane(plane, propagation_method=method, asm_pad=padding).data
    assert isinstance(result, Tensor)
    return result


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_direct_integration_agrees(field: Tensor) -> None:
    expected = theirs(field, DISTANCE_M, (0.0, 0.0), "DIM")
    found = ours()(field)
    # The integral samples the same field; what remains is the tail of the band limit: 1.4e-5 and 1.5e-6 found.
    assert relative(found, expected) < 5e-5
    assert relative(intensity(found), intensity(expected)) < 1e-5


def test_single_precision_agrees(field: Tensor) -> None:
    expected = intensity(theirs(field, DISTANCE_M, (0.0, 0.0), "DIM"))
    found = intensity(ours()(field.to(torch.complex64)))
    assert found.dtype is torch.float32
    assert relative(found.double(), expected) < 1e-5


def test_angular_spectrum_agrees(field: Tensor) -> None:
    expected = theirs(field, DISTANCE_M, (0.0, 0.0), "ASM")
    # Theirs has no band limit at this padding and lies 3e-4 from its own direct integration.
    assert relative(intensity(ours()(field)), intensity(expected)) < 1e-3


def test_shifted_window_agrees(field: Tensor) -> None:
    offset_m = (0.3e-3, -0.211e-3)
    expected = theirs(field, DISTANCE_M, offset_m, "DIM")
    assert relative(ours(offset_m=offset_m)(field), expected) < 5e-5


@pytest.mark.parametrize(("tilt_order", "tolerance"), [(1, 1e-4), (2, 3e-5)])
def test_tilted_plane_agrees_column_by_column(field: Tensor, tilt_order: int, tolerance: float) -> None:
    # Their planes stand upright: each column of the tilted one is a window of one column at its own distance.
    tilt_rad, columns = 0.02, (100, 180, 256, 330, 411)
    found = ours(tilt_rad=(0.0, tilt_rad), tilt_order=tilt_order)(field)[:, columns]
    x_m = [(column - (N - 1) / 2) * PITCH_M for column in columns]
    expected = [theirs(field, DISTANCE_M + tilt_rad * x, (0.0, x), "DIM", (N, 1)) for x in x_m]
    errors = [relative(found[:, k], column[:, 0]) for k, column in enumerate(expected)]
    # The straight plane is off by up to 2.2e-5 here, where light is weak; the series adds what its order leaves.
    assert max(errors) < tolerance


def test_gradient_of_the_offset_agrees(field: Tensor) -> None:
    weights = torch.linspace(0, 1, N, dtype=torch.float64)[:, None] * torch.linspace(1, 3, N, dtype=torch.float64)

    def gradient(offset_m: Tensor, result: Tensor) -> Tensor:
        loss = (weights * intensity(result).square()).sum() / intensity(field).sum()
        return torch.autograd.grad(loss, offset_m)[0]

    ours_m = torch.tensor([0.1e-3, -0.2e-3], dtype=torch.float64, requires_grad=True)
    theirs_m = ours_m.detach().clone().requires_grad_()
    found = gradient(ours_m, ours(offset_m=ours_m)(field))
    # Their direct integration differentiates its kernel; their angular spectrum only looks up the nearest pixel.
    expected = gradient(theirs_m, theirs(field, DISTANCE_M, theirs_m, "DIM"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_gradient_of_the_distance_agrees(field: Tensor) -> None:
    def gradient(distance_m: Tensor, result: Tensor) -> float:
        weights = torch.linspace(0, 1, N, dtype=torch.float64)
        loss = (weights * intensity(result).square()).sum() / intensity(field).sum()
        return float(torch.autograd.grad(loss, distance_m)[0])

    ours_m = torch.tensor(DISTANCE_M, dtype=torch.float64, requires_grad=True)
    theirs_m = torch.tensor(DISTANCE_M, dtype=torch.float64, requires_grad=True)
    found = gradient(ours_m, ours(distance_m=ours_m)(field))
    expected = gradient(theirs_m, theirs(field, theirs_m, (0.0, 0.0), "DIM"))
    # A derivative weighs the high frequencies more, hence ten times the tolerance of the intensity.
    assert found == pytest.approx(expected, rel=1e-4)
