"""How much of the host's work on a batch hides behind its measurement: a model of micro-batches in flight."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import nnls

from pnnlab.systems import Lane, Span
from pnnlab.training._account import Window, course

__all__ = ["HostCost", "best_micro_batch", "host_cost", "overrun"]

_BACKWARD: Final = "backward"
_WAIT: Final = "wait"


@dataclass(frozen=True, slots=True)
class HostCost:
    """What the host needs for a micro-batch: `call_s + backward_s · n + other_s` with n shots.

    Attributes:
        backward_call_s: Time of a backward pass, however few its shots are.
        backward_shot_s: Time of a backward pass for each shot.
        other_s: Everything else of a micro-batch: its forward pass up to the measurement, the change between tasks.
    """

    backward_call_s: float
    backward_shot_s: float
    other_s: float

    def of(self, shots: int) -> float:
        """Return the time for a micro-batch of so many shots, in s."""
        return self.backward_call_s + self.backward_shot_s * shots + self.other_s


def host_cost(spans: Sequence[Span], steps: Sequence[Window]) -> HostCost | None:
    """Learn the host's cost from steps, which should differ in the size of their micro-batches.

    The backward pass is a straight line with no negative part through the medians of each size, whose relative errors
    count alike, the more often a size was met the more (non-negative least squares, Lawson & Hanson 1974, chapter 23).

    Args:
        spans: What was recorded.
        steps: Begin and end of each step.

    Returns:
        The cost; `None` where no backward pass was recorded.
    """
    durations: dict[int, list[float]] = {}
    for span in spans:
        if span.lane is Lane.HOST and span.stage == _BACKWARD and span.shots:
            durations.setdefault(span.shots, []).append(span.end_s - span.begin_s)
    if not durations:
        return None
    call_s, shot_s = _line(durations)
    others = [other for step in steps if (other := _other(spans, step)) is not None]
    return HostCost(call_s, shot_s, statistics.median(others) if others else 0.0)


def overrun(cost: HostCost, *, batch: int, micro_batch: int, shot_s: float) -> float:
    """Return how long the host works on a batch after its last reading, in s.

    Last readings of a micro-batch come when all its samples were measured, at `shot_s` each; the host works on one
    micro-batch after the other, and on none before its readings have come.

    Args:
        cost: What the host needs.
        batch: Samples in a step.
        micro_batch: Samples in a micro-batch; the last one may have fewer.
        shot_s: Time from last reading to last reading: of a shot of the last layer in networks of up to
            `pnnlab.nn.SHALLOW` layers, of a shot of every layer in deeper ones (see `pnnlab.nn.run_in_flight`).
    """
    done_s = 0.0
    for first in range(0, batch, micro_batch):
        last = min(first + micro_batch, batch)
        done_s = max(done_s, last * shot_s) + cost.of(last - first)
    return done_s - batch * shot_s


def best_micro_batch(cost: HostCost, *, batch: int, shot_s: float) -> int:
    """Return the micro-batch with the least `overrun`; of several the largest, which calls least."""
    return min(
        range(1, batch + 1), key=lambda size: (overrun(cost, batch=batch, micro_batch=size, shot_s=shot_s), -size)
    )


def _line(durations: Mapping[int, Sequence[float]]) -> tuple[float, float]:
    sizes = np.array(sorted(durations), float)
    medians = np.array([statistics.median(durations[int(size)]) for size in sizes])
    weights = np.array([math.sqrt(len(durations[int(size)])) for size in sizes]) / medians
    (call_s, shot_s), _ = nnls(np.stack([weights, weights * sizes], axis=1), weights * medians)
    return float(call_s), float(shot_s)


def _other(spans: Sequence[Span], step: Window) -> float | None:
    """Return what is left of the host's time in a step for each micro-batch; `None` where its waits are not known."""
    within = [span for span in spans if span.lane is Lane.HOST and step[0] <= span.begin_s < step[1]]
    calls = sum(span.stage == _BACKWARD for span in within)
    if not calls or not any(span.stage == _WAIT for span in within):
        return None
    rest = [segment for segment in course(within, Lane.HOST, *step) if not segment.stage]
    return sum(segment.end_s - segment.begin_s for segment in rest) / calls
