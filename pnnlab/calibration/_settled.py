"""From a response at growing delays to the delay after which it stays small."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.calibration._squares import ratios, spread_of
from pnnlab.records import Value

__all__ = ["ResponseCurve", "settled_after"]

Floats = npt.NDArray[np.float64]
_ITERATIONS: Final = 20
_GRAIN: Final = 1e-3
"""No squared response is known better than to this part of the tolerance's square."""
_MISFIT: Final = 4.0
"""A fit whose mean squared deviation is so many times what its points' uncertainties allow is no fit."""


@dataclass(frozen=True, eq=False)
class ResponseCurve:
    """Squared responses at delays; what is left of each step of the light.

    Attributes:
        delay_s: Increasing, shape `(n_delays,)`.
        left: Mean squared distance from settled light, shape `(n_delays, n_transitions)`; may be negative by noise.
        step: The same of the light before each change, shape `(n_transitions,)`.
    """

    delay_s: Floats
    left: Floats
    step: Floats

    def square(self, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Return the squared response, its standard uncertainty, and bootstrap samples of it (`ratios`)."""
        found, samples = ratios(self.left, self.step, rng)
        return found, spread_of(samples), samples

    def joined(self, other: "ResponseCurve") -> "ResponseCurve":
        """Return both curves as one, sorted by delay; the steps are those of the other one."""
        delay_s = np.concatenate([self.delay_s, other.delay_s])
        order = np.argsort(delay_s, kind="stable")
        return ResponseCurve(delay_s[order], np.concatenate([self.left, other.left])[order], other.step)


def settled_after(curve: ResponseCurve, tolerance: float, rng: np.random.Generator) -> Value:
    """Return the first delay after which the response stays below a tolerance, in s; NaN where there is none.

    Interpolated by an exponential through the points of the curve, or, where they do not lie on one, by the straight
    line between the last delay above the tolerance and the next one. The uncertainty is that of a bootstrap over
    transitions (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6) together with half the local
    grid step as the half-width of a uniform distribution (JCGM 100:2008, section 4.3.7).

    Args:
        curve: Around the delay that is looked for.
        tolerance: Response of settled light.
        rng: Of the bootstrap.
    """
    delay_s, (found, uncertainty, samples) = curve.delay_s, curve.square(rng)
    plain_s, half_s = _crossing(delay_s, found, tolerance)
    if np.isnan(plain_s) or not (found >= tolerance**2).any():
        return Value(plain_s, half_s / np.sqrt(3), "s")
    # where chance makes a point look surer than points twice as far down, it is not
    least = max(float(np.median(uncertainty[len(uncertainty) // 2 :])), _GRAIN * tolerance**2)
    weight = 1 / np.maximum(uncertainty, least) ** 2
    start = np.array([[2 * np.log(tolerance), -2 / (plain_s or half_s)]])
    fit = _exponentials(delay_s - plain_s, found[None], weight, start)
    misfit = float(np.mean(weight * (found - np.exp(fit[:, :1] + fit[:, 1:] * (delay_s - plain_s))) ** 2))
    if np.isfinite(misfit) and misfit < _MISFIT and fit[0, 1] < 0:
        fits = _exponentials(delay_s - plain_s, samples, weight, np.repeat(fit, len(samples), axis=0))
        a, b = np.concatenate([fit, fits]).T
        settle_s, *drawn_s = plain_s + (2 * np.log(tolerance) - a) / b
    else:
        settle_s, drawn_s = plain_s, [_crossing(delay_s, sample, tolerance)[0] for sample in samples]
    low_s, high_s = np.nanpercentile(drawn_s, [15.87, 84.13])  # one standard deviation of a normal distribution
    return Value(float(settle_s), float(np.hypot((high_s - low_s) / 2, half_s / np.sqrt(3))), "s")


def _crossing(delay_s: Floats, square: Floats, tolerance: float) -> tuple[float, float]:
    """Return the last delay at which the response falls below the tolerance, and half the grid step there."""
    above = np.flatnonzero(square >= tolerance**2)
    if not len(above):
        return float(delay_s[0]), float(delay_s[1] - delay_s[0]) / 2
    last = int(above[-1])
    if last + 1 == len(delay_s):
        return np.nan, np.nan
    response = np.sqrt(square[last : last + 2].clip(0))
    step_s = float(delay_s[last + 1] - delay_s[last])
    share = float((response[0] - tolerance) / (response[0] - response[1]))
    return float(delay_s[last]) + share * step_s, step_s / 2


def _exponentials(x: Floats, y: Floats, weight: Floats, start: Floats) -> Floats:
    """Return a and b of y = exp(a + b x), fitted by Gauss and Newton's steps, shape `(k, 2)`.

    Values, not their logarithms, are fitted, because small ones are negative by noise.

    Args:
        x: Shape `(n,)`.
        y: Shape `(k, n)`.
        weight: Shape `(n,)`.
        start: Where to begin, shape `(k, 2)`.
    """
    fit = start.copy()
    for _ in range(_ITERATIONS):
        model = np.exp((fit[:, :1] + fit[:, 1:] * x).clip(-50, 50))
        # both derivatives are the model's, that for b times x
        base = weight * model
        moments = [(base * model * x**power).sum(1) for power in range(3)]
        sides = [(base * (y - model) * x**power).sum(1) for power in range(2)]
        determinant = moments[0] * moments[2] - moments[1] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            a = (moments[2] * sides[0] - moments[1] * sides[1]) / determinant
            b = (moments[0] * sides[1] - moments[1] * sides[0]) / determinant
        span = float(np.ptp(x)) or 1.0
        # no step by more than a factor of e: far from the solution a full step may overshoot
        fit += np.stack([a.clip(-1, 1), b.clip(-1 / span, 1 / span)], axis=1)
    return fit
