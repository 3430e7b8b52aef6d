"""What a DAC puts out over time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from torch import Tensor

from pnnlab_drivers.sim._steps import TICKS

__all__ = ["UNNUMBERED", "Waveform", "Waveforms"]

FloatArray = npt.NDArray[np.floating]

UNNUMBERED: Final = -1
"""The token of voltages that are no setpoint: those before the first one, and the safe ones."""


@dataclass(frozen=True)
class Waveform:
    """Voltages from `start_s` on: a new row every `period_s`, the last one until the next waveform.

    Attributes:
        start_s: When the first row is out.
        period_s: From row to row.
        volts: What is at the outputs, shape `(n, n_channels)`.
        shown_v: What the DAC reports, same shape.
        token: The setpoint.
    """

    start_s: float
    period_s: float
    volts: Tensor
    shown_v: FloatArray
    token: int = UNNUMBERED

    @property
    def end_s(self) -> float:
        """When the last row is out."""
        return self.start_s + (len(self.volts) - 1) * self.period_s

    def step_at(self, time_s: float) -> int:
        """Return the row that is out just after `time_s`."""
        return min(max(math.floor((time_s - self.start_s) / self.period_s + 0.5 / TICKS), 0), len(self.volts) - 1)

    def held_from(self, time_s: float) -> "Waveform":
        """Return the constant voltage that it has got to."""
        row = slice(self.step_at(time_s), self.step_at(time_s) + 1)
        return Waveform(time_s, self.period_s, self.volts[row], self.shown_v[row], self.token)


class Waveforms:
    """Waveforms in the order in which they begin; there is always one.

    Mutable: `put`, `stop` and `forget` change it.
    """

    def __init__(self, first: Waveform) -> None:
        self._all = [first]

    def __iter__(self) -> Iterator[Waveform]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def n_rows(self) -> int:
        """Return how many rows all but the last one have."""
        return sum(len(waveform.volts) for waveform in self._all[:-1])

    def put(self, waveform: Waveform) -> None:
        """Add a waveform; those that would have begun later never do."""
        self._drop_after(waveform.start_s)
        self._all.append(waveform)

    def stop(self, time_s: float) -> None:
        """Hold from a moment on what is out then; waveforms that would have begun later never do."""
        self._drop_after(time_s)
        last = self._all[-1]
        if time_s < last.end_s:
            self._all.append(last.held_from(time_s))

    def at(self, time_s: float) -> Waveform | None:
        """Return what is out at a moment; `None` where that is not known any more."""
        return next((waveform for waveform in reversed(self._all) if waveform.start_s <= time_s), None)

    def between(self, begin_s: float, end_s: float) -> Iterator[tuple[Waveform, float]]:
        """Yield, for a stretch of time, what is out one after the other, and until when."""
        first = next((k for k in range(len(self._all) - 1, 0, -1) if self._all[k].start_s <= begin_s), 0)
        for waveform, after in pairwise(self._all[first:]):
            if after.start_s >= end_s:
                yield waveform, end_s
                return
            yield waveform, after.start_s
        yield self._all[-1], end_s

    def forget(self, before_s: float) -> None:
        """Let go what is over before a moment."""
        while len(self._all) > 1 and self._all[1].start_s <= before_s:
            del self._all[0]

    def _drop_after(self, time_s: float) -> None:
        while len(self._all) > 1 and self._all[-1].start_s > time_s:
            del self._all[-1]
