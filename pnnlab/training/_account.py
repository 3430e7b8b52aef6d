"""Where the time of training steps went, every moment counted once."""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from pnnlab.systems import Lane, Span

__all__ = ["Account", "Load", "Segment", "Stage", "Window", "account", "course", "hardware_time"]

Window = tuple[float, float]
"""Begin and end by the computer's performance counter, in s."""

_ENCODE: Final = "encode"
"""With the end of this stage of the host, shots are handed in."""
_WAIT: Final = "wait"
"""Stage in which the host waits for readings."""
_ARMING: Final = frozenset({"program", "upload"})
"""Stages of the bench in which no device measures yet."""
_DECODE: Final = "decode"
_READING: Final = frozenset({"expose", "record"})
"""Stages of the bench that are waits for readings of a run: what comes between two of them, the devices do not see."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a system had to measure.

    Attributes:
        system: Its name.
        group: Systems of the same group share devices, so they measure one after the other.
        shots: Shots that were measured.
        retaken: Shots that had to be taken again.
        shot_s: `System.shot_s`; 0 where the devices do not tell.
    """

    system: str
    group: int
    shots: int
    retaken: int
    shot_s: float

    @property
    def hardware_s(self) -> float:
        """Return the time that the devices alone need for the shots, in s; 0 where they do not tell."""
        return self.shots * self.shot_s


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a lane.

    Attributes:
        lane: Who did it.
        name: What was done.
        calls: How often.
        shots: With how many shots, all calls together; 0 where that means nothing.
        time_s: All its time, without that of stages that began within it and had not ended.
        mean_s: Mean time of a call, from its begin to its end.
        p95_s: The time that 95 % of the calls do not exceed, interpolated.
    """

    lane: Lane
    name: str
    calls: int
    shots: int
    time_s: float
    mean_s: float
    p95_s: float

    @property
    def per_shot_s(self) -> float | None:
        """Return the time for a shot; `None` where shots mean nothing."""
        return self.time_s / self.shots if self.shots else None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which a lane did one thing.

    Attributes:
        begin_s: Begin by the performance counter.
        end_s: End.
        stage: What it did; empty where nothing is recorded.
    """

    begin_s: float
    end_s: float
    stage: str


@dataclass(frozen=True)
class Account:
    """Where the time of some training steps went; `parts` adds up to all of it.

    Attributes:
        steps_s: Time of each step.
        wall_s: From the begin of the first step to the end of the last one.
        loads: What the systems measured meanwhile.
        hardware_s: `hardware_time` of the loads; `None` where devices do not tell, or the bench's time is simulated.
        stages: Both lanes' stages, each lane's in the order in which they first came.
        idle_s: Time for which nothing is recorded, by lane.
        between_s: The bench waited for the host, between the last reading of a batch and the first shot of the next.
        within_s: The bench waited for the host in the middle of a batch.
        waited_for: What the host did while the bench waited for it; the empty stage where nothing is recorded.
        arming_s: Loading and arming of devices before they could measure.
        decode_s: Decoding after the last reading of a run; before it, the devices go on meanwhile.
    """

    steps_s: tuple[float, ...]
    wall_s: float
    loads: tuple[Load, ...]
    hardware_s: float | None
    stages: tuple[Stage, ...]
    idle_s: Mapping[Lane, float]
    between_s: float
    within_s: float
    waited_for: Mapping[str, float]
    arming_s: float
    decode_s: float

    @property
    def shots(self) -> int:
        """Return the shots of all systems."""
        return sum(load.shots for load in self.loads)

    @property
    def duty(self) -> float | None:
        """Return the time that the devices alone need over the time that it took; `None` where it is not known."""
        return None if self.hardware_s is None else self.hardware_s / self.wall_s

    @property
    def busy(self) -> float:
        """Return the part of the time in which the bench did not wait for the host."""
        return 1 - (self.between_s + self.within_s) / self.wall_s

    @property
    def retakes_s(self) -> float:
        """Return the time that the devices alone need for the shots that were taken again."""
        return _longest([(load.group, load.retaken * load.shot_s) for load in self.loads])

    @property
    def rest_s(self) -> float:
        """Return what is left of the bench's time: the first settling of each run, late readings, hand-overs.

        Where `hardware_s` is not known, the measuring itself is in it.
        """
        known_s = (self.hardware_s or 0.0) + self.retakes_s + self.arming_s + self.decode_s
        return self.wall_s - self.between_s - self.within_s - known_s

    @property
    def parts(self) -> dict[str, float]:
        """Return the parts of the wall time in s, by what they are."""
        bench = {"the devices and what they lose": self.rest_s}
        if self.hardware_s is not None:
            bench = {"the devices measure": self.hardware_s, "first settling, late readings, hand-overs": self.rest_s}
        return {
            **bench,
            "shots taken again": self.retakes_s,
            "loading and arming": self.arming_s,
            "decoding after a run": self.decode_s,
            "waiting for the host, within a batch": self.within_s,
            "waiting for the host, between batches": self.between_s,
        }

    def stage(self, lane: Lane, name: str) -> Stage | None:
        """Return a stage, if it came."""
        return next((stage for stage in self.stages if (stage.lane, stage.name) == (lane, name)), None)


def hardware_time(loads: Sequence[Load]) -> float | None:
    """Return the time that the devices alone need for some shots, in s; `None` where devices do not tell.

    It is the sum over the systems; where some have devices of their own, so that they can measure at once, the largest
    sum of systems that share theirs.
    """
    if any(load.shots and not load.shot_s for load in loads):
        return None
    return _longest([(load.group, load.hardware_s) for load in loads])


def account(
    spans: Iterable[Span], steps: Sequence[Window], loads: Sequence[Load], *, hardware_s: float | None
) -> Account:
    """Say where the time of training steps went.

    A pause of the bench's lane is blamed on the host up to the moment when it hands in shots (`encode` ends), but for
    the time that the host takes to notice that its readings are there (`wait`); from then on, and wherever the host
    hands in none, the bench has work and the time is its own.

    Args:
        spans: What was recorded; spans outside the steps do not count.
        steps: Begin and end of each step, in their order.
        loads: What the systems measured in these steps.
        hardware_s: See `Account`.
    """
    begin_s, end_s = steps[0][0], steps[-1][1]
    kept = sorted(
        (span for span in spans if span.end_s > begin_s and span.begin_s < end_s),
        key=lambda span: (span.begin_s, -span.end_s),
    )
    lanes = {lane: course(kept, lane, begin_s, end_s) for lane in Lane}
    boundaries = sorted(edge for step in steps for edge in step)
    between: list[Window] = []
    within: list[Window] = []
    for first_s, last_s in _waits(lanes[Lane.BENCH], kept, end_s):
        (between if _holds_one(boundaries, first_s, last_s) else within).append((first_s, last_s))
    waited_between, waited_within = (_blamed(lanes[Lane.HOST], windows) for windows in (between, within))
    return Account(
        steps_s=tuple(last - first for first, last in steps),
        wall_s=end_s - begin_s,
        loads=tuple(loads),
        hardware_s=hardware_s,
        stages=_stages(kept, lanes),
        idle_s=MappingProxyType({lane: _total(segments).get("", 0.0) for lane, segments in lanes.items()}),
        between_s=sum(waited_between.values()),
        within_s=sum(waited_within.values()),
        waited_for=MappingProxyType(_sum(waited_between, waited_within)),
        arming_s=sum(time_s for stage, time_s in _total(lanes[Lane.BENCH]).items() if stage in _ARMING),
        decode_s=_last_decodes(kept),
    )


def course(spans: Iterable[Span], lane: Lane, begin_s: float, end_s: float) -> list[Segment]:
    """Return what a lane did from one time to another, without a gap and without overlap.

    Where spans overlap (nested, or interleaved by micro-batches in flight), the time is that of the one that began
    last.
    """
    cut = [
        (max(span.begin_s, begin_s), min(span.end_s, end_s), span.stage)
        for span in spans
        if span.lane is lane and span.end_s > begin_s and span.begin_s < end_s
    ]
    cut.sort()
    times = sorted({begin_s, end_s, *(time for first, last, _ in cut for time in (first, last))})
    segments: list[Segment] = []
    running: list[tuple[float, float, str]] = []
    begun = 0
    for now, then in pairwise(times):
        while begun < len(cut) and cut[begun][0] <= now:
            first, last, stage = cut[begun]
            heapq.heappush(running, (-first, last, stage))
            begun += 1
        while running and running[0][1] <= now:
            heapq.heappop(running)
        segments.append(Segment(now, then, running[0][2] if running else ""))
    return segments


def _waits(bench: Sequence[Segment], spans: Iterable[Span], end_s: float) -> list[Window]:
    """Return the stretches in which the bench had nothing to do but to wait for the host."""
    handed_in = sorted(span.end_s for span in spans if span.lane is Lane.HOST and span.stage == _ENCODE)
    waits = []
    for pause in bench:
        if pause.stage:
            continue
        following = bisect_left(handed_in, pause.begin_s)
        if following < len(handed_in) and handed_in[following] <= pause.end_s:
            waits.append((pause.begin_s, handed_in[following]))
        elif pause.end_s == end_s:
            waits.append((pause.begin_s, end_s))
    return waits


def _blamed(host: Sequence[Segment], waits: Iterable[Window]) -> dict[str, float]:
    """Return what the host did while the bench waited for it."""
    return {stage: time_s for stage, time_s in _total(_cut(host, waits)).items() if stage != _WAIT}


def _sum(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {key: first.get(key, 0.0) + second.get(key, 0.0) for key in {**first, **second}}


def _holds_one(sorted_times: Sequence[float], begin_s: float, end_s: float) -> bool:
    return bisect_left(sorted_times, begin_s) < bisect_right(sorted_times, end_s)


def _longest(times: Iterable[tuple[int, float]]) -> float:
    """Return the largest sum of times of the same group."""
    sums: dict[int, float] = {}
    for group, time_s in times:
        sums[group] = sums.get(group, 0.0) + time_s
    return max(sums.values(), default=0.0)


def _stages(spans: Sequence[Span], lanes: Mapping[Lane, Sequence[Segment]]) -> tuple[Stage, ...]:
    calls: dict[tuple[Lane, str], list[Span]] = {}
    for span in spans:
        calls.setdefault((span.lane, span.stage), []).append(span)
    times = {lane: _total(segments) for lane, segments in lanes.items()}
    stages = []
    for (lane, name), made in calls.items():
        durations = [span.end_s - span.begin_s for span in made]
        stages.append(
            Stage(
                lane, name, len(made), sum(span.shots for span in made), times[lane].get(name, 0.0),
                float(np.mean(durations)), float(np.percentile(durations, 95)),
            )
        )  # fmt: skip
    return tuple(sorted(stages, key=lambda stage: stage.lane))


def _total(segments: Iterable[Segment]) -> dict[str, float]:
    times: dict[str, float] = {}
    for segment in segments:
        times[segment.stage] = times.get(segment.stage, 0.0) + segment.end_s - segment.begin_s
    return times


def _cut(segments: Sequence[Segment], windows: Iterable[Window]) -> list[Segment]:
    """Return what of a lane's course lies within windows that do not overlap."""
    ends = [segment.end_s for segment in segments]
    inside = []
    for begin_s, end_s in windows:
        for segment in segments[bisect_right(ends, begin_s) :]:
            if segment.begin_s >= end_s:
                break
            inside.append(Segment(max(segment.begin_s, begin_s), min(segment.end_s, end_s), segment.stage))
    return inside


def _last_decodes(spans: Iterable[Span]) -> float:
    """Return the time of the decodings that no further reading of the run follows."""
    bench = [span for span in spans if span.lane is Lane.BENCH]
    return sum(
        span.end_s - span.begin_s
        for span, following in pairwise([*bench, None])
        if span is not None and span.stage == _DECODE and (following is None or following.stage not in _READING)
    )
