"""Free-space propagation against closed forms, direct integration and conservation laws."""

import math

import pytest
import torch
from torch import Tensor, nn

from pnnlab.physics import AngularSpectrum, intensity

PITCH_M, WAVELENGTH_M = 8e-6, 532e-9


def space(n: int, distance_m: Tensor | float, **options: object) -> AngularSpectrum:
    return AngularSpectrum((n, n), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distance_m=distance_m, **options)


def axis(n: int) -> Tensor:
    return (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * PITCH_M


def gaussian_beam(n: int, waist_m: float, z: float, centre_m: tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """Return the paraxial fundamental mode (Saleh and Teich, Fundamentals of Photonics, section 3.1)."""
    y, x = axis(n)[:, None] - centre_m[0], axis(n) - centre_m[1]
    k, rayleigh_m = 2 * math.pi / WAVELENGTH_M, math.pi * waist_m**2 / WAVELENGTH_M
    radius_m = waist_m * math.sqrt(1 + (z / rayleigh_m) ** 2)
    curvature = z / (z**2 + rayleigh_m**2)
    r2 = y.square() + x.square()
    phase = k * z + k * r2 * curvature / 2 - math.atan2(z, rayleigh_m)
    return torch.polar(waist_m / radius_m * torch.exp(-r2 / radius_m**2), phase)


def blocks(n: int, block: int, waist_px: float = math.inf, seed: int = 0) -> Tensor:
    """Return random phase blocks under a Gaussian beam."""
    generator = torch.Generator().manual_seed(seed)
    phase = 2 * math.pi * torch.rand(n // block, n // block, generator=generator, dtype=torch.float64)
    phase = phase.repeat_interleave(block, 0).repeat_interleave(block, 1)
    r = axis(n) / PITCH_M
    return torch.polar(torch.exp(-(r[:, None] ** 2 + r**2) / waist_px**2), phase)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("distance_m", [0.0, 0.05, 0.15, -0.15])
def test_gaussian_beam_keeps_its_closed_form(distance_m: float) -> None:
    # 0.2 mm waist: the paraxial form itself is off by k z (divergence)^4 / 8 = 1e-7 rad.
    found = space(256, distance_m)(gaussian_beam(256, 0.2e-3, 0.0))
    torch.testing.assert_close(found, gaussian_beam(256, 0.2e-3, distance_m), rtol=0, atol=1e-6)


def test_shifted_window_sees_the_beam_beside_its_centre() -> None:
    # A whole number of pixels would not show a wrong sub-pixel shift.
    offset_m = (21.3e-6, -40.7e-6)
    found = space(256, 0.1, offset_m=offset_m)(gaussian_beam(256, 0.15e-3, 0.0))
    expected = gaussian_beam(256, 0.15e-3, 0.1, centre_m=(-offset_m[0], -offset_m[1]))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_random_field_agrees_with_the_rayleigh_sommerfeld_integral() -> None:
    n, z = 32, 0.01
    field = blocks(n, 8, waist_px=8)
    y, x = axis(n)[:, None, None, None] - axis(n)[:, None], axis(n)[:, None, None] - axis(n)
    r = (y.square() + x.square() + z**2).sqrt()
    k = 2 * math.pi / WAVELENGTH_M
    kernel = z / (2 * math.pi * r.square()) * (1 / r - 1j * k) * torch.polar(torch.ones_like(r), k * r)
    expected = (kernel * field).sum((-2, -1)) * PITCH_M**2
    # 0.3 % found: the beam has not faded at the edge of this window, and 25 frequencies is a coarse spectrum.
    assert relative(space(n, z)(field), expected) < 5e-3


def test_rectangular_pixels_and_grids_use_the_right_axis() -> None:
    # The same beam on a grid with half the rows at twice the pitch.
    fine = space(128, 0.05)(gaussian_beam(128, 0.12e-3, 0.0))
    rows = AngularSpectrum((64, 128), pitch_m=(2 * PITCH_M, PITCH_M), wavelength_m=WAVELENGTH_M, distance_m=0.05)
    y = (torch.arange(64, dtype=torch.float64) - 31.5) * 2 * PITCH_M
    start = torch.exp(-(y[:, None] ** 2 + axis(128) ** 2) / 0.12e-3**2).to(torch.complex128)
    # The two grids have no common rows, so they are compared by total power and by the profile along x.
    coarse = intensity(rows(start))
    torch.testing.assert_close(2 * coarse.sum(0), intensity(fine).sum(0), rtol=1e-6, atol=1e-6)


def test_power_is_conserved_while_the_light_stays_inside() -> None:
    field = gaussian_beam(256, 0.2e-3, 0.0)
    power = intensity(field).sum()
    torch.testing.assert_close(intensity(space(256, 0.15)(field)).sum(), power, rtol=1e-12, atol=0)


def test_power_never_grows() -> None:
    field = blocks(64, 1)
    assert float(intensity(space(64, 0.03)(field)).sum()) < float(intensity(field).sum())


def test_propagation_is_linear() -> None:
    step, a, b = space(64, 0.02), blocks(64, 4, seed=1), blocks(64, 4, seed=2)
    torch.testing.assert_close(step(2j * a - 0.3 * b), 2j * step(a) - 0.3 * step(b))


def test_source_and_detector_may_be_exchanged() -> None:
    # Reciprocity: the operator is symmetric without conjugation, also for the light that the window loses.
    step, a, b = space(64, 0.02), blocks(64, 2, seed=1), blocks(64, 2, seed=2)
    torch.testing.assert_close((a * step(b)).sum(), (b * step(a)).sum(), rtol=1e-12, atol=0)


def test_backwards_undoes_forwards() -> None:
    # A beam that fades at the edges: only light inside the window can come back.
    field = gaussian_beam(256, 0.2e-3, 0.0)
    torch.testing.assert_close(space(256, -0.1)(space(256, 0.1)(field)), field, rtol=0, atol=1e-9)


def test_two_steps_are_one() -> None:
    # A smooth grating under a beam: light of sharp edges would leave the window between the steps.
    grating = torch.polar(torch.ones(256, dtype=torch.float64), 2 * torch.sin(2 * math.pi * axis(256) / 320e-6))
    field = gaussian_beam(256, 0.25e-3, 0.0) * grating[:, None]
    once, twice = space(256, 0.05)(field), space(256, 0.03)(space(256, 0.02)(field))
    assert relative(twice, once) < 1e-6


def test_evanescent_waves_are_dark() -> None:
    n, period_px = 64, 4
    fringes = (
        torch.cos(2 * math.pi * torch.arange(n, dtype=torch.float64) / period_px).expand(n, n).to(torch.complex128)
    )
    for pitch_m, expected in ((0.10e-6, 0.0), (0.20e-6, 1.0)):
        # Periods of 0.4 um and 0.8 um at 532 nm; periodic grid, so that the fringes are one plane wave pair.
        step = AngularSpectrum((n, n), pitch_m=pitch_m, wavelength_m=WAVELENGTH_M, distance_m=0.0, padding=1)
        assert float(step(fringes).abs().max()) == pytest.approx(expected, abs=1e-12)


def test_band_limit_lies_where_matsushima_and_shimobaba_put_it() -> None:
    n, z = 128, 0.2
    step = space(n, z)
    width_m = 2 * n * PITCH_M
    limit = 1 / (WAVELENGTH_M * math.sqrt((2 * z / width_m) ** 2 + 1))
    # Along the axis the factor has fallen to one half at their limit; the response is monotonic, so interpolate.
    magnitude = step.transfer_function(torch.complex128)[0, :n].abs()
    first = int((magnitude < 0.5).nonzero()[0])
    share = float((magnitude[first - 1] - 0.5) / (magnitude[first - 1] - magnitude[first]))
    assert (first - 1 + share) / width_m == pytest.approx(limit, rel=0.01)


def test_light_that_leaves_does_not_come_back() -> None:
    # A beam tilted so far that it misses the window must not reappear on the other side.
    field = gaussian_beam(128, 0.1e-3, 0.0) * torch.exp(1j * math.pi / 2 * torch.arange(128))
    # Walk-off 0.25 / pitch * wavelength * z = 2 mm, half the padded width is 1 mm.
    assert float(intensity(space(128, 0.12)(field)).sum() / intensity(field).sum()) < 1e-6


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


def test_gradients_of_every_quantity() -> None:
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
        return intensity(AngularSpectrum((8, 8), padding=4, **quantities)(torch.complex(real, imag)))

    changes = [torch.zeros_like(torch.tensor(values[name], dtype=torch.float64)) for name in names]
    inputs = [x.clone().requires_grad_() for x in (field.real, field.imag, *changes)]
    assert torch.autograd.gradcheck(measured, inputs)


def test_distance_is_found_from_intensity_alone() -> None:
    field, goal = blocks(64, 8, waist_px=16), 0.020
    seen = intensity(space(64, goal)(field))
    step = space(64, nn.Parameter(torch.tensor(0.0195, dtype=torch.float64)))
    optimizer = torch.optim.LBFGS(step.parameters(), lr=1.0, line_search_fn="strong_wolfe", max_iter=30)
    # Metres are tiny steps to an optimiser's tolerances.
    for group in optimizer.param_groups:
        group["tolerance_change"] = group["tolerance_grad"] = 1e-14

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (intensity(step(field)) - seen).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(step.distance_m.detach()) == pytest.approx(goal, abs=1e-8)


def test_single_precision_agrees_with_double() -> None:
    field = blocks(256, 8)
    step = space(256, 0.15, tilt_rad=(0.001, 0.0))
    single = step(field.to(torch.complex64))
    assert single.dtype is torch.complex64
    # 24 bits through two transforms of 2^18 points: a few 1e-7.
    assert relative(single.to(torch.complex128), step(field)) < 2e-6


def test_leading_dimensions_are_independent_samples() -> None:
    fields = torch.stack([blocks(32, 4, seed=i) for i in range(6)]).reshape(2, 3, 32, 32)
    step = space(32, 0.005)
    together = step(fields)
    assert together.shape == (2, 3, 32, 32)
    torch.testing.assert_close(together[1, 2], step(fields[1, 2]))


def test_transfer_function_is_computed_once() -> None:
    step = space(32, 0.005)
    first = step.transfer_function()
    step(blocks(32, 4).to(torch.complex64))
    again = step.transfer_function()
    assert again.data_ptr() == first.data_ptr()


def test_moved_plane_is_noticed() -> None:
    step, field = space(32, 0.005), blocks(32, 4)
    before = step(field)
    step.distance_m.fill_(0.006)
    torch.testing.assert_close(step(field), space(32, 0.006)(field))
    step.load_state_dict(space(32, 0.005).state_dict())
    torch.testing.assert_close(step(field), before)
    step.tilt_rad.copy_(torch.tensor([0.01, 0.0], dtype=torch.float64))
    torch.testing.assert_close(step(field), space(32, 0.005, tilt_rad=(0.01, 0.0))(field))


def test_trained_distance_follows_the_optimizer() -> None:
    step, field = space(32, nn.Parameter(torch.tensor(0.005, dtype=torch.float64))), blocks(32, 4)
    optimizer = torch.optim.Adam(step.parameters(), lr=1e-4)
    intensity(step(field))[0, 0].backward()
    optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(step(field), space(32, float(step.distance_m))(field))


def test_each_backward_pass_has_its_own_graph() -> None:
    step, field = space(32, nn.Parameter(torch.tensor(0.005, dtype=torch.float64))), blocks(32, 4)
    for _ in range(2):
        intensity(step(field))[0, 0].backward()
    accumulated = float(step.distance_m.grad)
    step.zero_grad()
    intensity(step(field))[0, 0].backward()
    assert accumulated == pytest.approx(2 * float(step.distance_m.grad))


def test_training_after_evaluation_in_inference_mode() -> None:
    step, field = space(32, 0.005), blocks(32, 4)
    with torch.inference_mode():
        step(field)
    field.requires_grad_()
    intensity(step(field)).sum().backward()
    assert field.grad is not None


def test_parameters_train_and_numbers_do_not() -> None:
    step = space(32, nn.Parameter(torch.tensor(0.005)))
    assert [name for name, _ in step.named_parameters()] == ["distance_m"]
    assert set(dict(step.named_buffers())) == {"pitch_m", "wavelength_m", "offset_m", "tilt_rad"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": 0.5}, "padding is 0.5"),
        ({"pitch_m": 0.0}, "pitch_m is 0.0, expected above 0"),
        ({"wavelength_m": math.nan}, "wavelength_m holds NaN"),
        ({"offset_m": (0.0, 0.0, 0.0)}, r"offset_m has shape \(3,\)"),
        ({"distance_m": 1.0}, "padding .* times larger"),
    ],
)
def test_impossible_geometry_is_refused(options: dict[str, float], message: str) -> None:
    usual = {"pitch_m": PITCH_M, "wavelength_m": WAVELENGTH_M, "distance_m": 0.005}
    with pytest.raises(ValueError, match=message):
        AngularSpectrum((32, 32), **(usual | options))


def test_wrong_fields_are_refused() -> None:
    step = space(32, 0.005)
    with pytest.raises(TypeError, match=r"expected torch\.complex64"):
        step(torch.ones(32, 32))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 32, 32\)"):
        step(blocks(16, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_accelerator_agrees_with_the_processor() -> None:
    step, field = space(64, 0.02, tilt_rad=(0.01, 0.0)), blocks(64, 4)
    expected = step(field)
    torch.testing.assert_close(step.to("cuda")(field.to("cuda")).cpu(), expected)
