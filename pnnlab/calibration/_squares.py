"""Squares of what is buried in noise: the noise's own share is left out exactly, not guessed and subtracted."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.records import Value

__all__ = ["mean_square", "noise_of", "ratios", "root", "spread_of"]

Floats = npt.NDArray[np.float64]
_RESAMPLED: Final = 400
"""Bootstrap samples: the standard deviation that they give is right to 4 %."""


def mean_square(repeats: Floats) -> Floats:
    """Return the mean over outputs of the squared mean over repeats, without what independent noise adds to it.

    The mean of the products of different repeats, a U-statistic (Hoeffding, Ann. Math. Stat. 19, 293, 1948): noise
    that is independent from repeat to repeat has no share in it, whatever its strength. It may be negative.

    Args:
        repeats: Shape `(repeats, n, n_out)`; a repeat that is NaN was not taken.

    Returns:
        Shape `(n,)`; NaN where there are fewer than two repeats.
    """
    count, of_sum, of_each = _moments(repeats)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 1, (of_sum - of_each) / (count * (count - 1)), np.nan), np.float64)


def noise_of(repeats: Floats) -> tuple[float, float]:
    """Return the noise variance of a single repeat, and the number of outputs that have noise; as `mean_square`.

    Light that is brighter is noisier, so that the noise of a few outputs may be most of it: the number of equally
    noisy outputs that would tell as much is (Σ v)² / Σ v², summed over their variances v. The square of a variance that
    is estimated from normal numbers is too large by 1 + 2 / (repeats - 1).
    """
    count = (~np.isnan(repeats).any(2)).sum(0)
    whole = repeats[:, count > 1]
    variances = np.nanvar(whole, axis=0, ddof=1)
    total, squares = float(variances.sum()), float((variances**2 / (1 + 2 / (count[count > 1, None] - 1))).sum())
    return total / max(variances.size, 1), total**2 / squares if squares else float(variances.size)


def ratios(numerators: Floats, denominators: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return ratios of sums over transitions, and bootstrap samples of them.

    All samples leave out and repeat the same transitions, so that what is common to all delays stays common.

    Args:
        numerators: Shape `(n_delays, n)`.
        denominators: Shape `(n,)`.
        rng: Chooses the transitions.

    Returns:
        Shape `(n_delays,)`, and the samples, shape `(samples, n_delays)`, spread as far from the ratios as these are
        from the truth.
    """
    n = len(denominators)
    chosen = rng.integers(0, n, (_RESAMPLED, n))
    found = numerators.sum(1) / denominators.sum()
    samples = numerators[:, chosen].sum(2).T / denominators[chosen].sum(1)[:, None]
    # resampled from n, they vary as if there were n - 1 less one degree of freedom
    return found, found + (samples - found) * math.sqrt(n / max(n - 1, 1))


def spread_of(samples: Floats) -> Floats:
    """Return the standard uncertainty that bootstrap samples tell, shape of one sample."""
    return np.asarray(np.nanstd(samples, axis=0), np.float64)


def root(square: float, uncertainty: float) -> Value:
    """Return the root of a square that may be zero or, by noise, negative, with its uncertainty, as a pure number."""
    positive = max(square, 0.0)
    # for a large square this is u / (2 sqrt(square)), for none the root of u
    return Value(math.sqrt(positive), math.sqrt(positive + uncertainty) - math.sqrt(positive), "1")


def _moments(repeats: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how many repeats there are, the square of their sum and the sum of their squares, mean over outputs."""
    taken = np.asarray(~np.isnan(repeats).any(2))
    known = np.where(taken[:, :, None], repeats, 0.0)
    return taken.sum(0).astype(np.float64), (known.sum(0) ** 2).mean(1), (known**2).mean(2).sum(0)
