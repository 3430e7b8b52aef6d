"""Jumps between resting states: what a system with several of them does while its inputs move evenly."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pnnlab.systems import FloatArray, Relaxes

__all__ = ["largest_jump", "root_of"]

_POINTS: Final = 33
"""Places on each way where the rest is read first."""
_HALVINGS: Final = 6
"""Times that the interval in which the rest moves most is halved: at last it is 1/2048 of the way."""
_BESIDE: Final = (1 / 128, 1 / 64)
"""How far from there a jump is measured, as a part of the way, and how far where noise still decides on which side."""
_READINGS: Final = 8
"""Of the rest at each place there."""


def largest_jump(resting: Relaxes, theta: FloatArray, ends: FloatArray) -> tuple[float, float]:
    """Return the largest jump of the outputs at rest while inputs go straight ways, and its uncertainty.

    Where a system has one resting state, its outputs are a smooth function of inputs. So the interval in which they
    move most is halved again and again, and what they change by there, on top of their slope on both sides, is a jump
    from one resting state to another. Finite differences across it tell no gradient. A bend that is narrower than 1/64
    of the way cannot be told from a jump, and a step of a coarse converter is one.

    Args:
        resting: The system.
        theta: Controls, shape `(n_controls,)`.
        ends: Where each way begins and ends, shape `(n_paths, 2, n_in)`.

    Returns:
        Both in units of the standard deviation of all outputs along the ways, added in squares.
    """
    n_paths = len(ends)

    def read(path: npt.NDArray[Any], at: npt.NDArray[Any]) -> FloatArray:
        first, last = ends[path, 0], ends[path, 1]
        return resting.relax(first + (last - first) * at[:, None].astype(ends.dtype), theta).y

    paths, places = np.arange(n_paths), np.linspace(0, 1, _POINTS)
    seen = read(np.repeat(paths, _POINTS), np.tile(places, n_paths)).reshape(n_paths, _POINTS, -1)
    spread = float(np.square(seen - seen.mean((0, 1))).sum(-1).mean())
    if not spread:
        return 0.0, 0.0
    widest = np.linalg.norm(np.diff(seen, axis=1), axis=-1).argmax(1)
    sides = np.stack([places[widest], places[widest + 1]])
    outputs = np.stack([seen[paths, widest], seen[paths, widest + 1]])
    for _ in range(_HALVINGS):
        middle = sides.mean(0)
        between = read(paths, middle)
        moved = np.linalg.norm(between - outputs, axis=-1)
        replaced = (moved[0] > moved[1]).astype(int)  # the side beyond the middle, where more happens before it
        sides[replaced, paths], outputs[replaced, paths] = middle, between
    # read anew: what was read so far decided where to look, and noise that decided would be taken for a jump
    one = int(np.linalg.norm(outputs[0] - outputs[1], axis=-1).argmax())
    for beside in _BESIDE:
        centre = sides[:, one].mean().clip(3 * beside, 1 - 3 * beside)
        four = centre + beside * np.array([-3, -1, 1, 3])
        again = read(np.full(4 * _READINGS, one), np.tile(four, _READINGS)).reshape(_READINGS, 4, -1)
        jumps = np.tensordot([0.5, -1.5, 1.5, -0.5], again.astype(np.float64), (0, 1))
        value, error = root_of(*_square_of_mean(jumps / math.sqrt(spread)))
        if error < max(0.01, value / 4):
            break
    return value, error


def _square_of_mean(readings: FloatArray) -> tuple[float, float]:
    """Return the square of the mean of vectors, shape `(n, size)`, without their noise, and its jackknife error."""
    products = readings @ readings.T
    np.fill_diagonal(products, 0)
    n, total = len(readings), products.sum()
    left_out = (total - 2 * products.sum(1)) / ((n - 1) * (n - 2))
    return total / (n * (n - 1)), math.sqrt((n - 1) / n * float(np.square(left_out - left_out.mean()).sum()))


def root_of(square: float, error: float) -> tuple[float, float]:
    """Return the root of a square that noise may have made negative, and its uncertainty."""
    value = math.sqrt(max(square, 0.0))
    # near zero the square's own uncertainty is all that is known
    return value, min(error / (2 * value) if value else math.inf, math.sqrt(error))
