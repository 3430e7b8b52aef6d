"""Stretches of time, cut where drives change and where samples are taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["TICKS", "Cut", "cut_steps"]

TICKS: Final = 1_000_000
"""Ticks in a step of the drive: times are whole numbers of them, so that the same times always give the same cuts."""

Ticks = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """One step of the drive, or a part of one, in pieces.

    Attributes:
        lengths: Length of each piece in ticks.
        n_samples: That many samples are taken, one at the end of each of the first pieces.
    """

    lengths: tuple[int, ...]
    n_samples: int

    @classmethod
    def of(cls, begin: int, end: int, samples: Sequence[int]) -> "Cut":
        """Return the cut of `begin` to `end` at increasing samples, all in ticks from the same moment."""
        edges = (begin, *samples) if samples and samples[-1] == end else (begin, *samples, end)
        return cls(tuple(max(right - left, 1) for left, right in pairwise(edges)), len(samples))


def cut_steps(begin: int, end: int, samples: Ticks) -> Iterator[tuple[int, int, Cut]]:
    """Cut the time from `begin` to `end` into runs of steps that are all cut alike.

    Args:
        begin: In ticks since the beginning of step 0.
        end: Likewise; a sample that is taken then, or when a step ends, comes before what follows.
        samples: When samples are taken, increasing, after `begin` and not after `end`.

    Yields:
        The first step of a run, how many steps it has, and how each is cut.
    """
    position = begin
    for step, count, offsets in _alike(samples):
        yield from _run(position, step * TICKS, ())
        position = max(position, step * TICKS)
        stop = min(end, (step + count) * TICKS)
        yield from _run(position, stop, offsets)
        position = stop
    yield from _run(position, end, ())


def _run(begin: int, end: int, offsets: Sequence[int]) -> Iterator[tuple[int, int, Cut]]:
    """Yield the steps between two moments, each sampled at `offsets`; the first and the last may be parts of steps."""
    if begin < end and begin % TICKS:
        step, inside = divmod(begin, TICKS)
        stop = min(end - step * TICKS, TICKS)
        yield step, 1, Cut.of(inside, stop, offsets)
        begin = step * TICKS + stop
    first, whole = begin // TICKS, (end - begin) // TICKS
    if whole > 0:
        yield first, whole, Cut.of(0, TICKS, offsets)
        begin += whole * TICKS
    if begin < end:
        yield first + max(whole, 0), 1, Cut.of(0, end - begin, offsets)


def _alike(samples: Ticks) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield runs of neighbouring steps with samples at the same offsets: first step, number of steps, offsets."""
    if not len(samples):
        return
    step_of_sample = (samples - 1) // TICKS
    steps, first, counts = np.unique(step_of_sample, return_index=True, return_counts=True)
    offsets = np.zeros((len(steps), counts.max()), np.int64)
    row = np.repeat(np.arange(len(steps)), counts)
    offsets[row, np.arange(len(samples)) - first[row]] = samples - step_of_sample * TICKS
    new = (np.diff(steps) != 1) | (offsets[1:] != offsets[:-1]).any(1)
    edges = [0, *(np.flatnonzero(new) + 1).tolist(), len(steps)]
    for left, right in pairwise(edges):
        yield int(steps[left]), right - left, tuple(offsets[left, : counts[left]].tolist())
