"""Propagation to planes that lie beside the axis or across it, and the derivatives of where they lie."""

import math

import pytest
import torch
from torch import Tensor, nn

from pnnlab.physics import AngularSpectrum, intensity
from tests.physics.fields import PITCH_M, WAVELENGTH_M, axis, blocks, gaussian_beam, relative, space, waves


def rayleigh_sommerfeld(field: Tensor, points: Tensor) -> Tensor:
    """Return the field at points `(3, n)`, `(y, x, z)`, by direct summation (Goodman, section 3.5)."""
    n, k = field.shape[-1], 2 * math.pi / WAVELENGTH_M
    y, x, z = (coordinate[:, None, None] for coordinate in points)
    r = ((y - axis(n)[:, None]).square() + (x - axis(n)).square() + z.square()).sqrt()
    kernel = z / (2 * math.pi * r.square()) * (1 / r - 1j * k) * torch.polar(torch.ones_like(r), k * r)
    return (kernel * field).sum((-2, -1)) * PITCH_M**2


def plane_points(n: int, distance_m: Tensor, offset_m: Tensor, tilt_rad: Tensor) -> Tensor:
    """Return the pixels `(3, n, n)` of a window that is moved and rotated about its centre."""
    y, x = axis(n)[:, None].expand(n, n), axis(n).expand(n, n)
    return torch.stack((y + offset_m[0], x + offset_m[1], distance_m + tilt_rad[0] * y + tilt_rad[1] * x))


def test_shifted_window_sees_the_beam_beside_its_centre() -> None:
    # A whole number of pixels would not show a wrong sub-pixel shift.
    offset_m = (21.3e-6, -40.7e-6)
    found = space(256, 0.1, offset_m=offset_m)(gaussian_beam(256, 0.15e-3, 0.0))
    expected = gaussian_beam(256, 0.15e-3, 0.1, centre_m=(-offset_m[0], -offset_m[1]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_random_field_agrees_with_the_rayleigh_sommerfeld_integral() -> None:
    n, z = 32, 0.01
    field = blocks(n, 8, waist_px=8)
    straight = plane_points(n, torch.tensor(z), torch.zeros(2), torch.zeros(2)).flatten(1)
    expected = rayleigh_sommerfeld(field, straight).reshape(n, n)
    # 0.3 % found: the beam has not faded at the edge of this window, and 25 frequencies is a coarse spectrum.
    assert relative(space(n, z)(field), expected) < 5e-3


PLANES = {
    "beside the axis": ((43e-6, -101e-6), (0.0, 0.0)),
    "rotated": ((0.0, 0.0), (0.02, -0.03)),
    "beside the axis and rotated by 6 degrees": ((43e-6, -31e-6), (0.1, -0.05)),
}


@pytest.mark.parametrize(("offset_m", "tilt_rad"), PLANES.values(), ids=PLANES)
def test_any_plane_agrees_with_the_rayleigh_sommerfeld_integral(
    offset_m: tuple[float, float], tilt_rad: tuple[float, float]
) -> None:
    n, z = 64, 0.015
    field = waves(n, waist_px=8)
    place = [torch.tensor(value, dtype=torch.float64) for value in (z, offset_m, tilt_rad)]
    expected = rayleigh_sommerfeld(field, plane_points(n, *place)[:, ::3].flatten(1)).reshape(-1, n)
    found = space(n, z, padding=4, offset_m=offset_m, tilt_rad=tilt_rad, tilt_order=2)(field)
    # 1e-8 to 2e-8 found: the direct sum itself is off by the tail of the beam.
    assert relative(found[::3], expected) < 1e-7


def test_gradient_of_the_place_agrees_with_the_rayleigh_sommerfeld_integral() -> None:
    n, field = 64, waves(64, waist_px=8)
    seen = torch.rand(n * n, generator=torch.Generator().manual_seed(1)) < 0.02
    weights = torch.rand(int(seen.sum()), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    place = [
        torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for value in (0.015, (43e-6, -31e-6), (0.02, -0.03))
    ]
    summed = rayleigh_sommerfeld(field, plane_points(n, *place).flatten(1)[:, seen])
    expected = torch.autograd.grad((weights * intensity(summed)).sum(), place)
    names = dict(zip(("distance_m", "offset_m", "tilt_rad"), place, strict=True))
    geometry = {"pitch_m": PITCH_M, "wavelength_m": WAVELENGTH_M, "padding": 4, "tilt_order": 3}
    output = AngularSpectrum((n, n), **geometry, **names)(field).flatten()[seen]
    found = torch.autograd.grad((weights * intensity(output)).sum(), place)
    # Derivatives weigh the tail of the beam and the high frequencies more than values do; up to 6e-7 found.
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dim", [0, 1])
def test_window_beside_the_axis_sees_light_that_goes_there(dim: int) -> None:
    # The same beam walks off by far more than half the padded width; a window moved along must see all of it.
    ramp = torch.exp(1j * math.pi / 2 * torch.arange(128))
    field = gaussian_beam(128, 0.1e-3, 0.0) * (ramp[:, None] if dim == 0 else ramp)
    sine = WAVELENGTH_M * 0.25 / PITCH_M
    walk_off_m = 0.12 * sine / math.sqrt(1 - sine**2)
    offset_m = (walk_off_m, 0.0) if dim == 0 else (0.0, walk_off_m)
    found = intensity(space(128, 0.12, offset_m=offset_m)(field))
    # The beam's own form, centred in the window; slanted by 1 degree, it is 1e-4 wider than the upright one.
    expected = intensity(gaussian_beam(128, 0.1e-3, 0.12))
    assert relative(found, expected) < 2e-3


@pytest.mark.parametrize("direction", [0, 1])
def test_tilted_plane_cuts_through_the_flat_ones(direction: int) -> None:
    n, z, field = 64, 0.01, blocks(64, 4, waist_px=14)

    def error(tilt_rad: float) -> float:
        tilt = (tilt_rad, 0.0) if direction == 0 else (0.0, tilt_rad)
        planes = [space(n, z + tilt_rad * float(depth))(field) for depth in axis(n)]
        expected = torch.stack([plane.select(direction, i) for i, plane in enumerate(planes)], direction)
        return relative(space(n, z, tilt_rad=tilt)(field), expected)

    # Exact planes, one per row or column: the first-order formula is off by the square of the tilt.
    small, large = error(0.02), error(0.04)
    assert small < 2e-4
    assert large / small == pytest.approx(4.0, rel=0.1)


def test_each_power_of_the_tilt_brings_the_next_order() -> None:
    n, z, tilt_rad = 32, 0.005, 0.5
    # One plane wave of 8 pixels a period on a grid that it fills whole: the series' own remainder and nothing else.
    phase = 2 * math.pi * torch.arange(n, dtype=torch.float64) / 8
    wave = torch.exp(1j * phase).expand(n, n)
    flat = [space(n, z + tilt_rad * float(depth), padding=1)(wave)[i] for i, depth in enumerate(axis(n))]
    phase_rad = math.pi * WAVELENGTH_M / (8 * PITCH_M) ** 2 * tilt_rad * axis(n).abs()
    for order in (1, 2, 3):
        found = space(n, z, padding=1, tilt_rad=(tilt_rad, 0.0), tilt_order=order)(wave)
        error = float((found - torch.stack(flat)).abs().max())
        bound = float(phase_rad.max()) ** (order + 1) / math.factorial(order + 1)
        # The phase is not quite paraxial, by 2e-5, and the next power is smaller by a hundred times.
        assert error == pytest.approx(bound, rel=1e-2)


@pytest.mark.parametrize("tilt_order", [1, 3])
def test_gradients_of_every_quantity(tilt_order: int) -> None:
    field = blocks(8, 2)
    # Steps in natural units, so that the difference quotient of gradcheck resolves each quantity.
    units = {"distance_m": 1e-4, "wavelength_m": 1e-9, "pitch_m": 1e-7, "offset_m": 1e-6, "tilt_rad": 1e-1}
    values = {"distance_m": 2e-3, "wavelength_m": 532e-9, "pitch_m": [8e-6, 9e-6], "offset_m": [3e-6, -5e-6]}
    values["tilt_rad"] = [0.2, -0.1]
    names = list(values)

    def measured(real: Tensor, imag: Tensor, *changes: Tensor) -> Tensor:
        quantities = {
            name: torch.tensor(values[name], dtype=torch.float64) + units[name] * change
            for name, change in zip(names, changes, strict=True)
        }
        step = AngularSpectrum((8, 8), padding=4, tilt_order=tilt_order, **quantities)
        return intensity(step(torch.complex(real, imag)))

    changes = [torch.zeros_like(torch.tensor(values[name], dtype=torch.float64)) for name in names]
    inputs = [x.clone().requires_grad_() for x in (field.real, field.imag, *changes)]
    assert torch.autograd.gradcheck(measured, inputs)


def seen_from(place: Tensor, field: Tensor) -> Tensor:
    """Return what a camera sees of a field; its place is in steps that a difference quotient resolves."""
    units = torch.tensor([1e-4, 1e-6, 1e-6, 1e-1, 1e-1], dtype=torch.float64)
    distance_m, offset_m, tilt_rad = (units * place).split([1, 2, 2])
    quantities = {"distance_m": 2e-3 + distance_m[0], "offset_m": offset_m, "tilt_rad": tilt_rad}
    return intensity(torch.func.functional_call(space(field.shape[-1], 2e-3, padding=4), quantities, (field,)))


PLACE = torch.tensor([0.1, 3.0, -5.0, 2.0, -1.0], dtype=torch.float64)


def test_second_derivatives() -> None:
    inputs = PLACE.clone().requires_grad_(), blocks(8, 2).requires_grad_()
    assert torch.autograd.gradgradcheck(seen_from, inputs, fast_mode=True)


# What torch loads for its own forward mode is marked as old by torch itself.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_forward_mode_and_batches_of_distances() -> None:
    field = blocks(8, 2)
    backward, forward = (
        jacobian(lambda place: seen_from(place, field))(PLACE) for jacobian in (torch.func.jacrev, torch.func.jacfwd)
    )
    torch.testing.assert_close(forward, backward)
    step, distances_m = space(8, 2e-3, padding=4), torch.tensor([1e-3, 2e-3], dtype=torch.float64)

    def output(distance_m: Tensor) -> Tensor:
        return torch.func.functional_call(step, {"distance_m": distance_m}, (field,))

    torch.testing.assert_close(torch.func.vmap(output)(distances_m), torch.stack(list(map(output, distances_m))))


def test_misplaced_camera_is_found_from_intensity_alone() -> None:
    n, field = 48, blocks(48, 4, waist_px=12)
    units = torch.tensor([2e-4, 2e-6, 2e-6, 0.1, 0.1], dtype=torch.float64)
    design = torch.tensor([25.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    truth = torch.tensor([25.7, 0.8, -0.6, 0.5, -0.4], dtype=torch.float64)

    def seen(place: Tensor) -> Tensor:
        distance_m, offset_m, tilt_rad = (units * place).split([1, 2, 2])
        return intensity(space(n, distance_m[0], offset_m=offset_m, tilt_rad=tilt_rad)(field))

    goal, place = seen(truth), nn.Parameter(design)
    optimizer = torch.optim.LBFGS(
        [place], line_search_fn="strong_wolfe", max_iter=200, tolerance_grad=1e-14, tolerance_change=1e-16
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (seen(place) - goal).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(place.detach(), truth, rtol=0, atol=1e-5)
