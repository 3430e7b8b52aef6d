"""The simulated detector against the Poisson distribution and the linear camera model."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from pnnlab_drivers.sim._detector import Detector, draw_electrons


def draws(mean: float, n: int, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return draw_electrons(torch.full((n,), mean, dtype=torch.float64), generator).numpy()


def detector(**changes: Any) -> Detector:
    design: dict[str, Any] = {
        "quantum_efficiency": 0.6, "gain": 0.2, "offset_counts": 30.0, "dark_electrons_per_s": 500.0,
        "read_noise_electrons": 4.0, "noise": 1.0, "top_counts": 65535, "quantised": True, **changes,
    }  # fmt: skip
    return Detector(**design)


@pytest.mark.parametrize("mean", [0.1, 1.0, 7.0, 19.9])
def test_faint_light_is_poisson(mean: float) -> None:
    n = 200_000
    found = np.bincount(draws(mean, n).astype(np.int64))
    due = stats.poisson.pmf(np.arange(len(found)), mean) * n
    often = due > 20  # where the chi-square distribution holds
    rest = n - due[often].sum(), n - found[often].sum()
    statistic = (((found[often] - due[often]) ** 2) / due[often]).sum()
    if rest[0] > 20:
        statistic += (rest[1] - rest[0]) ** 2 / rest[0]
    assert stats.chi2.sf(statistic, often.sum()) > 1e-4


@pytest.mark.parametrize(("mean", "claim"), [(20.0, 5e-4), (50.0, 2e-4), (1000.0, 8e-6)])
def test_bright_light_has_the_distribution_that_is_claimed(mean: float, claim: float) -> None:
    n = 4_000_000
    numbers = np.sort(draws(mean, n))
    at = np.arange(max(numbers[0], 0), numbers[-1] + 1)
    cumulative = np.searchsorted(numbers, at, side="right") / n
    off = np.abs(cumulative - stats.poisson.cdf(at, mean)).max()
    # 1.95 / sqrt(n) is exceeded by chance once in a thousand times (Kolmogorov)
    assert off < claim + 1.95 / math.sqrt(n)
    # standard errors of mean and variance
    assert numbers.mean() == pytest.approx(mean, abs=4 * math.sqrt(mean / n))
    assert numbers.var() == pytest.approx(mean, abs=4 * mean * math.sqrt((2 + 1 / mean) / n))
    assert stats.skew(numbers) == pytest.approx(1 / math.sqrt(mean), abs=4 * math.sqrt(6 / n) + 5e-3)


@pytest.mark.parametrize("photons", [0.5, 20.0, 400.0, 20_000.0])
def test_mean_and_variance_are_those_of_the_linear_camera_model(photons: float) -> None:
    n, exposure_s, camera = 400_000, 2e-3, detector()
    light = torch.full((n,), photons, dtype=torch.float64)
    counts = camera.read(light, exposure_s, torch.Generator().manual_seed(1)).numpy()
    electrons = 0.6 * photons + 500.0 * exposure_s
    # EMVA 1288, release 4.0, equations 4 and 10
    mean = 0.2 * electrons + 30.0
    variance = 0.2**2 * (4.0**2 + electrons) + 1 / 12
    assert camera.expected(light[:1], exposure_s).item() == pytest.approx(mean)
    assert counts.mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / n))
    # a standard error is sqrt(2/n) = 0.2 %; rounding's error is a twelfth to 1 % where the noise is near a count
    assert counts.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / n) + 2e-3)
    assert (counts == np.rint(counts)).all()


def test_counts_end_at_the_top_of_the_bit_depth_and_at_zero() -> None:
    camera, generator = detector(top_counts=255, offset_counts=0.0), torch.Generator().manual_seed(0)
    bright = camera.read(torch.full((100,), 1e6), 1e-3, generator)
    dark = camera.read(torch.zeros(10_000), 1e-3, generator)
    assert (bright == 255).all() and camera.expected(torch.tensor([1e6]), 1e-3).item() == 255
    assert dark.min() == 0 and (dark == 0).double().mean() > 0.3


def test_the_same_source_of_noise_gives_the_same_frame_however_it_is_cut() -> None:
    camera = detector()
    light = torch.rand(3, 40_000, generator=torch.Generator().manual_seed(2)) * 1000
    frames = []
    for _ in range(2):
        out = np.empty((3, 40_000), np.uint16)
        camera.read_into(out, light, 2e-3, torch.Generator().manual_seed(3))
        frames.append(out)
    np.testing.assert_array_equal(*frames)
    again = np.empty((3, 40_000), np.uint16)
    camera.read_into(again, light, 2e-3, torch.Generator().manual_seed(4))
    assert (again != frames[0]).mean() > 0.8


def test_without_noise_a_reading_is_the_expected_one() -> None:
    camera, light = detector(noise=0.0, quantised=False), torch.rand(1000, dtype=torch.float64) * 1e4
    found = camera.read(light, 2e-3, torch.Generator())
    np.testing.assert_allclose(found.numpy(), camera.expected(light, 2e-3).numpy(), rtol=1e-12)
