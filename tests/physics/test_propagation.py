"""Free-space propagation against closed forms, direct integration and conservation laws."""

import math

import pytest
import torch
from torch import Tensor, nn

from pnnlab.physics import AngularSpectrum, intensity
from tests.physics.fields import PITCH_M, WAVELENGTH_M, axis, blocks, gaussian_beam, relative, space


@pytest.mark.parametrize("distance_m", [0.0, 0.05, 0.15, -0.15])
def test_gaussian_beam_keeps_its_closed_form(distance_m: float) -> None:
    # 0.2 mm waist: the paraxial form itself is off by k z (divergence)^4 / 8 = 1e-7 rad.
    found = space(256, distance_m)(gaussian_beam(256, 0.2e-3, 0.0))
    torch.testing.assert_close(found, gaussian_beam(256, 0.2e-3, distance_m), rtol=0, atol=1e-6)


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


@pytest.mark.parametrize("points", [1, 2**10, 2**30])
def test_pieces_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    place = {"distance_m": 0.005, "offset_m": [5e-6, -9e-6], "tilt_rad": [0.01, 0.02]}
    quantities = {name: nn.Parameter(torch.tensor(value, dtype=torch.float64)) for name, value in place.items()}
    step = AngularSpectrum((20, 24), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, **quantities)
    field = torch.stack([blocks(24, 4, seed=i)[:20] for i in range(5)]).requires_grad_()

    def results() -> list[Tensor]:
        output = step(field)
        return [output, *torch.autograd.grad(intensity(output).square().sum(), (field, *step.parameters()))]

    expected = results()
    monkeypatch.setattr("pnnlab.physics._propagation._POINTS_A_THREAD", points)
    torch.testing.assert_close(results(), expected)


def test_no_samples_are_no_error() -> None:
    field = torch.zeros(0, 32, 32, dtype=torch.complex64, requires_grad=True)
    output = space(32, nn.Parameter(torch.tensor(0.005)))(field)
    output.abs().sum().backward()
    assert output.shape == (0, 32, 32)


def test_everything_stays_on_the_device_of_the_quantities() -> None:
    # Tensors without values stand for an accelerator's: they refuse to meet a tensor of the processor.
    place = {"distance_m": torch.tensor(0.005), "offset_m": torch.zeros(2), "tilt_rad": torch.zeros(2)}
    quantities = {name: nn.Parameter(value.double()) for name, value in place.items()}
    step = AngularSpectrum((32, 32), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, **quantities).to("meta")
    field = torch.zeros(3, 32, 32, dtype=torch.complex64, device="meta", requires_grad=True)
    output = step(field)
    intensity(output).sum().backward()
    assert {x.device.type for x in (output, field.grad, *(p.grad for p in step.parameters()))} == {"meta"}


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
        ({"tilt_order": 0}, "tilt_order is 0, expected at least 1"),
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
