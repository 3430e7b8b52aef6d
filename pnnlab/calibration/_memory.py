"""What readings of a shot owe to the shot before them, to the time and to chance."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Series", "Variation"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_BLOCKS: Final = 20
"""Parts of a series that are left out in turn."""
_SHUFFLES: Final = 499
"""Random orders that tell what chance does: significance is known down to a 500th."""


@dataclass(frozen=True)
class Variation:
    """How readings of equal shots vary; squares are means over outputs.

    Attributes:
        noise: Variance of readings of one shot after one predecessor, without drift.
        drift: Squared slope against time, in 1/s².
        memory: Variance that differs from predecessor to predecessor.
        step: Mean squared difference of the readings of two different shots.
        f: Ratio of the mean squares between and within predecessors.
    """

    noise: float
    drift: float
    memory: float
    step: float
    f: float


@dataclass(frozen=True, eq=False)
class Series:
    """Readings one after the other.

    Attributes:
        y: Shape `(n, n_out)`.
        shot: Which shot each is of, shape `(n,)`.
        before: Which shot was taken right before it, shape `(n,)`.
        time_s: When, shape `(n,)`.
    """

    y: Floats
    shot: Ints
    before: Ints
    time_s: Floats

    def variation(self) -> Variation:
        """Return how the readings vary.

        Means of shots and a straight line in time are taken off. What is left is split, within each shot, into
        variances between and within predecessors (one-way analysis of variance with unequal groups, Searle, Casella
        and McCulloch, Variance Components, 1992, chapter 3).
        """
        rest, slope, slope_variance = self._detrended()
        means = _means(self.y, self.shot)
        apart = means[:, None] - means[None]
        n_shots = len(means)
        noise, memory, f = self._components(rest, self.before)
        return Variation(
            noise,
            float((slope**2 - slope_variance).mean()),
            memory,
            float((apart**2).sum() / (n_shots * (n_shots - 1) * apart.shape[2])),
            f,
        )

    def uncertainty(self) -> Variation:
        """Return the standard uncertainty of each number by leaving out one stretch of time after the other.

        The jackknife with blocks (Künsch, Ann. Stat. 17, 1217, 1989), which also counts what neighbours in time share.
        """
        edges = np.linspace(0, len(self.y), min(_BLOCKS, len(self.y)) + 1).astype(np.int64)
        n = len(edges) - 1
        parts = []
        for k in range(n):
            kept = np.r_[0 : edges[k], edges[k + 1] : len(self.y)]
            part = Series(self.y[kept], self.shot[kept], self.before[kept], self.time_s[kept]).variation()
            parts.append([part.noise, part.drift, part.memory, part.step, part.f])
        return Variation(*np.sqrt((n - 1) * np.var(parts, axis=0)).tolist())

    def chance(self, rng: np.random.Generator) -> float:
        """Return the probability that predecessors without any effect give an F as large as was found.

        A permutation test: predecessors are exchanged among the readings of each shot, which needs no assumption on
        the noise, above all not that outputs are independent of each other.
        """
        rest, _, _ = self._detrended()
        found = self._components(rest, self.before)[2]
        larger = 0
        for _ in range(_SHUFFLES):
            shuffled = self.before.copy()
            for shot in np.unique(self.shot):
                own = np.flatnonzero(self.shot == shot)
                shuffled[own] = rng.permutation(shuffled[own])
            larger += self._components(rest, shuffled)[2] >= found
        return (larger + 1) / (_SHUFFLES + 1)

    def _detrended(self) -> tuple[Floats, Floats, Floats]:
        """Return what shots and a drift leave of the readings, and the drift's slope and its variance by output."""
        rest = self.y - _means(self.y, self.shot)[self.shot]
        time_s = self.time_s - _means(self.time_s[:, None], self.shot)[self.shot, 0]
        square = float((time_s**2).sum()) or 1.0  # all at one time: no slope
        slope = time_s @ rest / square
        rest = rest - time_s[:, None] * slope
        freedom = len(rest) - len(np.unique(self.shot)) - 1
        return rest, slope, (rest**2).sum(0) / freedom / square

    def _components(self, rest: Floats, before: Ints) -> tuple[float, float, float]:
        """Return the variances within and between predecessors, and the ratio F of their mean squares."""
        n_before = int(before.max()) + 1
        cells, cell, counts = np.unique(self.shot * n_before + before, return_inverse=True, return_counts=True)
        means = _means(rest, cell)
        between = float((counts[:, None] * means**2).sum()) / rest.shape[1]
        within = float(((rest - means[cell]) ** 2).sum()) / rest.shape[1]
        readings = np.bincount(self.shot)
        # a mean of each shot and the drift's slope are taken off already
        between_freedom = len(cells) - np.count_nonzero(readings)
        within_freedom = len(rest) - len(cells) - 1
        # how many readings a predecessor has, less where some have more than others
        size = (len(rest) - float((counts**2 / readings[cells // n_before]).sum())) / between_freedom
        mean_between, mean_within = between / between_freedom, within / within_freedom
        ratio = mean_between / mean_within if mean_within > 0 else (np.inf if mean_between > 0 else 1.0)
        return mean_within, (mean_between - mean_within) / size, float(ratio)


def _means(values: Floats, group: Ints) -> Floats:
    """Return the mean of each group's rows, shape `(n_groups, ...)`; groups are numbered from 0."""
    n = int(group.max()) + 1
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, group, values)
    return np.asarray(sums / np.bincount(group, minlength=n).clip(1)[:, None], np.float64)
