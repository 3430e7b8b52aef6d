"""The question whether a device does the value that is nearest to the one asked for, without knowing its steps."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["assert_nearest"]

Values = npt.NDArray[np.floating]
Realised = npt.NDArray[np.number]

_POINTS: Final = 65
_ROUNDS: Final = 12
_ZOOM: Final = 8
"""Each round looks at an eighth of the last one's range: 12 rounds reach 36 bits, finer than any converter."""

_FLOAT32_STEP: Final = 2.0**-22
"""Two steps of single precision, relative: drivers may compute in it."""


def assert_nearest(realise: Callable[[Values], Realised], low: float, high: float, who: str) -> None:
    """Assert that values are realised by the nearest one that the device has.

    A device realises the nearest value exactly if no value that it is seen to have lies nearer to what was asked; that
    holds for even and for uneven steps. It is looked at ever closer in the middle of the range, until several values
    asked for fall on one realised, or until nothing is left of the steps.

    Args:
        realise: Takes values asked for, shape `(n,)`; returns what was made of them, shape `(n, k)`, by `k` channels.
        low: Lowest legal value.
        high: Highest legal value.
        who: Device and quantity, for the message.
    """
    tolerance = _FLOAT32_STEP * max(abs(low), abs(high))
    middle, half = (low + high) / 2, (high - low) / 2
    for _ in range(_ROUNDS):
        asked = np.linspace(max(low, middle - half), min(high, middle + half), _POINTS)
        found = np.asarray(realise(asked), np.float64)
        error = np.abs(found - asked[:, None])
        # (asked, found, channel): how far each value that was seen lies from each one asked for
        best = np.abs(asked[:, None, None] - found[None]).min(axis=1)
        wrong = np.argwhere(error > best + tolerance)
        if len(wrong):
            k, channel = (int(i) for i in wrong[0])
            nearer = found[np.abs(found[:, channel] - asked[k]).argmin(), channel]
            raise AssertionError(
                f"{who} {asked[k]:.9g} was realised as {found[k, channel]:.9g}, and {nearer:.9g} is nearer"
            )
        steps = np.diff(np.unique(found[:, 0]))
        if half == (high - low) / 2:
            assert len(steps), f"{who}: {found[0, 0]:.9g} is made of every value"
            # beyond its last value a device is silently clipping
            far = float(error[:, 0].max())
            assert far <= steps.max() + tolerance, f"{who} is realised {far:.3g} away, its steps are {steps.max():.3g}"
        if len(steps) < _POINTS // 2:
            return
        if half * 2 / _POINTS < tolerance:
            return
        half /= _ZOOM
