"""Detection of light against numpy and the linear camera model."""

import numpy as np
import pytest
import torch

from pnnlab.physics import area_sum, bin_mean, expected_counts, intensity


def complex_normal(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def test_intensity_is_the_squared_magnitude() -> None:
    field = complex_normal(2, 5, 7)
    np.testing.assert_allclose(intensity(field).numpy(), np.abs(field.numpy()) ** 2, rtol=1e-14)
    assert intensity(field.to(torch.complex64)).dtype is torch.float32
    torch.testing.assert_close(intensity(field.real), field.real**2)


def test_intensity_is_a_parabola_in_the_dark() -> None:
    field = torch.zeros(3, dtype=torch.complex128, requires_grad=True)
    (gradient,) = torch.autograd.grad(intensity(field).sum(), field, create_graph=True)
    assert torch.equal(gradient, torch.zeros_like(field))
    (curvature,) = torch.autograd.grad(gradient.real.sum(), field)
    torch.testing.assert_close(curvature, torch.full_like(field, 2.0).detach())


@pytest.mark.parametrize(("block", "size"), [(1, (1, 1)), (2, (2, 2)), ((3, 4), (3, 4)), ((6, 8), (6, 8))])
def test_bins_are_means_of_blocks(block: int | tuple[int, int], size: tuple[int, int]) -> None:
    x = complex_normal(2, 6, 8)
    expected = np.empty((2, 6 // size[0], 8 // size[1]), complex)
    for i, j in np.ndindex(*expected.shape[1:]):
        rows, columns = slice(i * size[0], (i + 1) * size[0]), slice(j * size[1], (j + 1) * size[1])
        expected[:, i, j] = x.numpy()[:, rows, columns].mean((1, 2))
    np.testing.assert_allclose(bin_mean(x, block).numpy(), expected, rtol=1e-12)


def test_bins_of_counts_are_means_too() -> None:
    counts = torch.arange(24, dtype=torch.uint8).reshape(4, 6)
    torch.testing.assert_close(bin_mean(counts, (2, 3)), bin_mean(counts.float(), (2, 3)))


@pytest.mark.parametrize("block", [4, (2, 3), 0])
def test_bins_that_do_not_tile_are_refused(block: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="do not tile"):
        bin_mean(torch.zeros(6, 8), block)


def test_areas_sum_their_pixels() -> None:
    x = complex_normal(3, 4, 5).real
    left = torch.zeros(4, 5, dtype=torch.bool)
    left[:, :2] = True
    sums = area_sum(x, torch.stack([left, ~left, torch.ones_like(left)]))
    assert sums.shape == (3, 3)
    torch.testing.assert_close(sums[:, 0], x[:, :, :2].sum((1, 2)))
    torch.testing.assert_close(sums[:, 0] + sums[:, 1], sums[:, 2])
    # A pixel that an area covers by half counts by half.
    torch.testing.assert_close(area_sum(x, 0.5 * left[None])[:, 0], 0.5 * sums[:, 0])


def test_areas_on_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(n_areas, h, w\)"):
        area_sum(torch.zeros(4, 5), torch.zeros(2, 5, 4))


CAMERA = {
    "quantum_efficiency": 0.6,
    "dark_electrons": 3.0,
    "gain_counts_per_electron": 0.4,
    "offset_counts": 16.0,
    "saturation_counts": 255.0,
}


def test_counts_follow_the_linear_camera_model_up_to_saturation() -> None:
    photons = torch.tensor([0.0, 100.0, 900.0, 1e6], dtype=torch.float64)
    # 16 + 0.4 (0.6 n + 3) by hand.
    expected = torch.tensor([17.2, 41.2, 233.2, 255.0], dtype=torch.float64)
    torch.testing.assert_close(expected_counts(photons, **CAMERA), expected)


@pytest.mark.parametrize("saturation", [255.0, torch.tensor([255.0, 255.0])])
def test_saturated_pixels_have_no_gradient(saturation: torch.Tensor | float) -> None:
    photons = torch.tensor([100.0, 5000.0], requires_grad=True)
    expected_counts(photons, **(CAMERA | {"saturation_counts": saturation})).sum().backward()
    assert photons.grad is not None
    torch.testing.assert_close(photons.grad, torch.tensor([0.24, 0.0]))


def test_counts_are_the_mean_of_noisy_readings() -> None:
    generator = torch.Generator().manual_seed(1)
    photons, n = 400.0, 200_000
    electrons = torch.poisson(torch.full((n,), 0.6 * photons + 3.0), generator=generator)
    mean = (16.0 + 0.4 * electrons).clamp(max=255.0).mean()
    # Shot noise sqrt(243) electrons, 0.4 counts each, over n readings: a standard error of 0.014 counts.
    assert float(mean) == pytest.approx(float(expected_counts(torch.tensor(photons), **CAMERA)), abs=0.06)


def test_gradients() -> None:
    field = complex_normal(4, 6).requires_grad_()
    areas = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: area_sum(bin_mean(intensity(x), 2), areas), (field,))
    settings = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in list(CAMERA.values())[:4]]
    photons = torch.tensor([10.0, 300.0], dtype=torch.float64, requires_grad=True)

    def counts(photons: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return expected_counts(photons, **dict(zip(CAMERA, (*values, CAMERA["saturation_counts"]), strict=True)))

    assert torch.autograd.gradcheck(counts, (photons, *settings))
