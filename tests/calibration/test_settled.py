"""From a response curve to the time after which it stays small."""

import numpy as np
import pytest

from pnnlab.calibration._settled import ResponseCurve, settled_after


def curve(delay_s: np.ndarray, response: np.ndarray, *, noise: float = 0.0, seed: int = 0) -> ResponseCurve:
    """Return a curve of 8 transitions with unequal steps; noise is that of a transition's squared response."""
    rng = np.random.default_rng(seed)
    step = rng.uniform(0.5, 2.0, 8)
    left = (response[:, None] ** 2 + noise * rng.normal(size=(len(delay_s), 8))) * step
    return ResponseCurve(delay_s, left, step)


def test_an_exponential_is_met_exactly() -> None:
    delay_s = np.linspace(0.02, 0.03, 9)
    settle = settled_after(curve(delay_s, 2 * np.exp(-delay_s / 5e-3)), 0.01, np.random.default_rng(0))
    assert settle.value == pytest.approx(5e-3 * np.log(200), rel=1e-9)
    # all transitions are alike, so half a step of the grid is all that is unsure
    assert settle.uncertainty == pytest.approx(0.01 / 8 / 2 / np.sqrt(3))


def test_what_is_no_exponential_is_interpolated() -> None:
    """A straight fall to nothing, with transitions that know it to a percent: the line through two points is exact."""
    delay_s = np.linspace(0.0, 0.02, 9)
    response = np.maximum(0.04 - 2.2 * delay_s, 0.0)
    found = curve(delay_s, response, noise=1e-7)
    settle = settled_after(found, 0.01, np.random.default_rng(0))
    assert settle.value == pytest.approx(0.03 / 2.2, rel=5e-3)


def test_what_rings_has_settled_when_it_stays_below() -> None:
    delay_s = np.linspace(0.0, 0.1, 201)
    response = np.abs(np.exp(-delay_s / 15e-3) * np.cos(2 * np.pi * delay_s / 20e-3))
    last = delay_s[np.flatnonzero(response > 0.01)[-1]]
    assert last == pytest.approx(0.0625)  # after a zero at 55 ms, and before one at 65 ms
    settle = settled_after(curve(delay_s, response), 0.01, np.random.default_rng(0))
    assert last <= settle.value <= last + 0.0005


def test_uncertainties_are_as_large_as_the_scatter() -> None:
    delay_s = np.linspace(0.018, 0.036, 97)
    response = 2 * np.exp(-delay_s / 5e-3)
    found = [
        settled_after(curve(delay_s, response, noise=5e-5, seed=k), 0.01, np.random.default_rng(k)) for k in range(60)
    ]
    pulls = [(v.value - 5e-3 * np.log(200)) / v.uncertainty for v in found]
    # 60 pulls tell their mean to 0.13 and their spread to 10 %; half the grid step makes them smaller than 1
    assert abs(np.mean(pulls)) < 0.4
    assert 0.5 < np.std(pulls) < 1.3


def test_never_and_always() -> None:
    delay_s = np.linspace(0.0, 0.01, 5)
    assert np.isnan(settled_after(curve(delay_s, np.full(5, 0.2)), 0.01, np.random.default_rng(0)).value)
    always = settled_after(curve(delay_s, np.full(5, 0.001)), 0.01, np.random.default_rng(0))
    assert always.value == 0.0 and always.uncertainty > 0
