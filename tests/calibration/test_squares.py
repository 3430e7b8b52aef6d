"""Squares without the noise's share."""

import numpy as np
import pytest

from pnnlab.calibration._squares import mean_square, noise_of, ratios, root


def test_noise_has_no_share_in_a_mean_square() -> None:
    """500 experiments; their mean is known to 1 / sqrt(500) of their spread, so 4 of that is never chance."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(3, 5)) * 0.3
    found = np.array([mean_square(signal + rng.normal(size=(4, 3, 5))) for _ in range(500)])
    truth = (signal**2).mean(1)
    assert (np.abs(found.mean(0) - truth) < 4 * found.std(0) / np.sqrt(500)).all()
    # with the noise's share it would be 0.25 too large
    assert 4 * (found.std(0) / np.sqrt(500)).max() < 0.05
    assert (found < 0).any()


def test_repeats_that_are_missing_are_left_out() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(6, 2, 4))
    missing = y.copy()
    missing[2, 0] = missing[5, 0] = np.nan
    np.testing.assert_allclose(mean_square(missing)[0], mean_square(np.delete(y, [2, 5], axis=0))[0])
    np.testing.assert_allclose(mean_square(missing)[1], mean_square(y)[1])
    missing[1:, 0] = np.nan
    assert np.isnan(mean_square(missing)[0])


def test_the_mean_of_products_of_different_repeats_by_hand() -> None:
    y = np.array([[[1.0, 0.0]], [[2.0, 1.0]], [[4.0, -1.0]]])
    by_hand = np.mean([(1 * 2 + 1 * 4 + 2 * 4) / 3, (0 * 1 + 0 * -1 + 1 * -1) / 3])
    assert mean_square(y)[0] == pytest.approx(by_hand)


def test_the_noise_and_how_many_outputs_have_it() -> None:
    """Four outputs with 10 times the standard deviation of 96 others: (Σ v)² / Σ v² = 496² / 40096 = 6.1."""
    rng = np.random.default_rng(2)
    scale = np.r_[np.full(4, 10.0), np.ones(96)]
    found = np.array([noise_of(rng.normal(size=(8, 1, 100)) * scale) for _ in range(200)])
    # variances of 8 numbers scatter by half of themselves; 200 means of the few strong ones by 2 %
    assert found[:, 0].mean() == pytest.approx(4.96, rel=0.1)
    assert np.median(found[:, 1]) == pytest.approx(6.1, rel=0.15)


def test_the_bootstrap_tells_how_ratios_scatter() -> None:
    rng = np.random.default_rng(3)
    found, told = [], []
    for _ in range(200):
        scatter = rng.gamma(4.0, size=12)
        ratio, samples = ratios((scatter * rng.normal(2.0, 0.2, 12))[None], scatter, rng)
        found.append(ratio[0])
        told.append(samples.std())
    # 200 experiments tell their spread to 5 %, a bootstrap over 12 is off by some percent, too
    assert np.mean(told) == pytest.approx(np.std(found), rel=0.2)


@pytest.mark.parametrize(
    ("square", "uncertainty", "value", "about"),
    [(4.0, 0.04, 2.0, 0.01), (0.0, 1e-4, 0.0, 1e-2), (-1e-5, 1e-4, 0.0, 1e-2), (1e-4, 0.0, 1e-2, 0.0)],
)
def test_roots_of_squares_that_may_be_negative(square: float, uncertainty: float, value: float, about: float) -> None:
    found = root(square, uncertainty)
    assert found.value == pytest.approx(value)
    assert found.uncertainty == pytest.approx(about, rel=0.01)
