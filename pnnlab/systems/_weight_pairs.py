"""Signed weights on pairs of columns of a crossbar."""

from typing import Literal

import numpy as np

from pnnlab.systems._array import A, constant_like
from pnnlab.systems._shots import FloatArray

__all__ = ["PairKind", "WeightPairs"]

PairKind = Literal["differential", "reference"]


class WeightPairs:
    """How weights from -1 to 1 sit on cells, column 2j and column 2j + 1 being the pair of output j.

    A `differential` pair carries the positive part of a weight on its even column and the negative part on its odd one;
    pulses move both, in opposite directions. With a `reference` the even column carries the weight around the middle of
    the window, the odd one rests there, and no pulse moves it.

    Args:
        n_columns: Columns of the array, an even number.
        low: Lowest conductance, in units of the highest.
        kind: Which of the two.

    Attributes:
        unit: Difference of the conductances of a pair at weight 1, in units of the highest conductance.
    """

    def __init__(self, n_columns: int, low: float, kind: PairKind) -> None:
        self._low, self._kind = low, kind
        self._of_column = np.arange(n_columns) // 2
        self._sign = 1.0 - 2.0 * (np.arange(n_columns) % 2)
        self.unit = (1 - low) if kind == "differential" else (1 - low) / 2

    def cells(self, weights: A) -> A:
        """Return conductances in units of the highest, shape `(..., n_rows, n_columns)`, of weights of half as many."""
        spread = weights[..., self._of_column]
        sign = constant_like(self._sign, spread)
        if self._kind == "differential":
            halves: A = (spread * sign).clip(0, 1)
        else:
            halves = (1 + spread * (1 + sign) / 2) / 2
        found: A = halves * (1 - self._low) + self._low
        return found

    def weights(self, cells: FloatArray) -> FloatArray:
        """Return the weights that conductances in units of the highest stand for."""
        found: FloatArray = (cells[..., 0::2] - cells[..., 1::2]) / self.unit
        return found

    def driven(self, errors: FloatArray) -> FloatArray:
        """Return what all columns are driven with, shape `(batch, n_columns)`, for one number a pair."""
        both: FloatArray = errors[:, self._of_column] * self._sign.astype(errors.dtype)
        return both

    def pulsed(self, pulses: np.ndarray) -> np.ndarray:
        """Return pulses of all columns, shape `(..., n_columns)`, for signed pulses of pairs."""
        sign = self._sign if self._kind == "differential" else (1 + self._sign) / 2
        return pulses[..., self._of_column] * sign.astype(np.int64)
