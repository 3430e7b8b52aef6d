"""The response to one long drive, integrated in parallel segments."""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

__all__ = ["Advance", "run_in_segments"]

Advance = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a drive, shape `(batch, n, n_in)`, and a state, shape `(batch, state_size)`, to the samples that were taken in
each of the n steps, shape `(batch, n, k, n_out)`, and the state after them."""

_CHECKS: Final = 8
"""How often a segment that is run again looks whether it has come back to the trajectory known so far."""


def run_in_segments(
    advance: Advance, drive: Tensor, state: Tensor, *, memory_steps: float, price: float, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Drive a system with memory step after step, many stretches of time at once.

    The drive is cut into equal segments, which run as one batch. A segment's first state is the last one of the segment
    before it, which is known only afterwards: where the guess it ran from was wrong, it runs again from what the
    one before has left, until it joins its former trajectory, or to its end. This is waveform relaxation (Lelarasmee,
    Ruehli and Sangiovanni-Vincentelli, IEEE Trans. CAD 1, 131, 1982) with segments of time in the place of subcircuits.
    After sweep k the first k segments are exact, so it always ends; a system that forgets needs few sweeps. One that
    does not forget is found out after two and integrated segment after segment, one that runs away in a plain loop. The
    result is that of the plain loop up to `tolerance`.

    Args:
        advance: The system.
        drive: Shape `(n, n_in)`.
        state: Shape `(1, state_size)`.
        memory_steps: About how many steps the system remembers to within the tolerance; only the speed depends on it.
        price: Time of one step of a batch of one over what each further segment adds to it; only the speed depends on
            it, and on its square root.
        tolerance: Largest difference between where a segment began and where the one before it ended, over the
            largest entry of any state.

    Returns:
        Samples, shape `(n, k, n_out)`, and the state after the last step, shape `(1, state_size)`.
    """
    n = len(drive)
    n_segments = _count_segments(n, memory_steps, price)
    head, length = n % n_segments, n // n_segments
    parts: list[Tensor] = []
    if head:
        samples, state = advance(drive[None, :head], state)
        parts.append(samples[0])
    drive = drive[head:]
    if n_segments > 1:
        sweeps = _Sweeps(advance, drive.unflatten(0, (n_segments, length)), state, price)
        if sweeps.settle(tolerance):
            return torch.cat([*parts, sweeps.samples.flatten(0, 1)]), sweeps.ends[-1:, -1]
    samples, state = advance(drive[None], state)
    return torch.cat([*parts, samples[0]]), state


def _count_segments(n: int, memory_steps: float, price: float) -> int:
    """Return the number of segments that is fastest: (n / segments + memory) steps of a batch of that many."""
    best = math.sqrt(n * price / max(memory_steps, 1.0))
    # fewer than three gain nothing: the second sweep costs as much as the plain loop
    least, most = max(3, math.ceil(best / 1.4)), min(n // 4, math.floor(best * 1.4))
    if most < least:
        return 1
    # what is left over runs alone before the rest, so the smallest remainder wins, then the best number
    return min(range(least, most + 1), key=lambda count: (n % count > 0, n % count, abs(count - best)))


class _Sweeps:
    """Segments of a trajectory; `settle` makes them fit together."""

    def __init__(self, advance: Advance, drive: Tensor, state: Tensor, price: float) -> None:
        n_segments, length = drive.shape[:2]
        self._advance, self._drive, self._state, self._price = advance, drive, state, price
        n_chunks = min(_CHECKS, length)
        self._edges = [length * k // n_chunks for k in range(n_chunks + 1)]
        self._starts = torch.zeros(n_segments, state.shape[-1], dtype=state.dtype, device=state.device)
        self._starts[:1] = state
        samples: list[Tensor] = []
        ends: list[Tensor] = []
        present = self._starts
        for left, right in zip(self._edges, self._edges[1:], strict=False):
            taken, present = advance(drive[:, left:right], present)
            samples.append(taken)
            ends.append(present)
        self.samples = torch.cat(samples, dim=1)
        self.ends = torch.stack(ends, dim=1)

    def settle(self, tolerance: float) -> bool:
        """Run segments again until each begins where the one before it ends; return whether all stayed finite."""
        together, before = True, math.inf
        for _ in range(len(self._starts)):
            largest = self.ends.abs().max()
            if not bool(torch.isfinite(largest)):
                return False
            limit = tolerance * largest
            starts = torch.cat([self._state, self.ends[:-1, -1]])
            gap = (starts - self._starts).abs().amax(-1)
            wrong = torch.nonzero(gap > limit).flatten()
            if not len(wrong):
                break
            excess = float(gap.max() / limit)
            together = together and _is_worth_it(len(wrong), excess, before, self._price)
            before = excess
            self._run_again(wrong if together else wrong[:1], starts, limit)
        return True

    def _run_again(self, segments: Tensor, starts: Tensor, limit: Tensor) -> None:
        self._starts[segments] = starts[segments]
        present = starts[segments]
        for chunk, (left, right) in enumerate(zip(self._edges, self._edges[1:], strict=False)):
            samples, present = self._advance(self._drive[segments, left:right], present)
            self.samples[segments, left:right] = samples
            away = (present - self.ends[segments, chunk]).abs().amax(-1) > limit
            self.ends[segments, chunk] = present
            if not bool(away.any()):
                return
            segments, present = segments[away], present[away]


def _is_worth_it(n_wrong: int, excess: float, before: float, price: float) -> bool:
    """Return whether sweeping over all wrong segments is faster than running one after the other.

    Args:
        n_wrong: Segments that began at a wrong state.
        excess: By which factor the worst of them missed the tolerance.
        before: That factor one sweep before.
        price: See `run_in_segments`.
    """
    if excess >= before:
        return False
    if math.isinf(before):
        return True
    sweeps_left = math.log(excess) / math.log(before / excess)
    return sweeps_left * (1 + n_wrong / price) < n_wrong
