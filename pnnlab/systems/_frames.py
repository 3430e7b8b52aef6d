"""Frames of patterns: three ways from panel to camera, the fastest that both devices are able to."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Camera, Clock, Frames, Setpoint, SpatialLightModulator, Trigger
from pnnlab.systems._newest import newest_fault
from pnnlab.systems._pairing import Pairs, TriggeredRun, match_windows, quorum
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._timing import Timing
from pnnlab.systems._trace import Lane, Trace

__all__ = ["BLOCK_S", "HOST_S", "PATIENCE_S", "FrameSink", "FrameTaker", "frame_taker"]

Ints = npt.NDArray[np.int64]
Pattern = npt.NDArray[np.number]
_RING_BYTES: Final = 64 << 20
"""Frames wait for decoding in a ring of this size, or of one frame."""
BLOCK_S: Final = 0.25
"""No call waits for longer than this for frames that are due, so that the bench can be stopped."""
HOST_S: Final = 1e-3
"""A call to a device that starts at once takes the host no longer than this, as a rule."""
PATIENCE_S: Final = 1.0
"""How much later than the devices' own times a frame may come, for transfer and a busy computer."""


class FrameSink(Protocol):
    """Where frames go."""

    def shown(self, shots: Ints, setpoint: Setpoint) -> None:
        """Take note of what the panel makes of the shots' patterns."""
        ...

    def decode(self, counts: Pattern) -> FloatArray:
        """Return outputs, shape `(n, n_out)`, of frames; they do not share memory with them."""
        ...

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        """Take outputs that are proven to be those of the shots."""
        ...

    def until_edge(self, shot: int) -> int:
        """Return how many shots the host wants to have at once from this one on."""
        ...


class FrameTaker(ABC):
    """Shows patterns and takes one frame of each.

    Args:
        slm: The panel.
        camera: The camera.
        timing: What calibration or the data sheet say of the panel.
        clock: The bench's time.
        trace: What is done when.
    """

    mode: ClassVar[str]

    def __init__(
        self, slm: SpatialLightModulator, camera: Camera, timing: Timing, *, clock: Clock, trace: Trace
    ) -> None:
        self._slm, self._camera, self._timing = slm, camera, timing
        self._clock, self._trace = clock, trace
        self._ring: Pattern = np.empty(0, np.uint8)

    @property
    @abstractmethod
    def period_s(self) -> float:
        """Return the time that the devices need for a pattern of a long run, in s."""

    @abstractmethod
    def take(self, patterns: Pattern, wanted: Ints, sink: FrameSink) -> str:
        """Take one frame of each wanted pattern once; return what was wrong with those that the sink was not given."""

    @property
    def _hold_s(self) -> float:
        """How long a pattern must stand: until it has settled and was exposed."""
        return self._timing.latency_s[1] + self._timing.settle_s + self._exposed_s

    @property
    def _exposed_s(self) -> float:
        """From a software trigger to the end of its exposure, at the most."""
        return self._camera.trigger_latency_s + self._camera.exposure_s

    @property
    def _doubt_s(self) -> float:
        """How far a true time must keep from a limit, so that a stamp which is off proves it nevertheless."""
        return 2 * (self._camera.stamp_error_s or 0.0) + 1e-9

    def _rows(self, n: int) -> Pattern:
        """Return a ring for a run of `n` frames."""
        shape, dtype = self._camera.roi.shape, self._camera.dtype
        rows = min(n, max(1, _RING_BYTES // (int(np.prod(shape)) * dtype.itemsize)))
        if self._ring.shape[1:] != shape or self._ring.dtype != dtype or len(self._ring) < rows:
            self._ring = np.empty((rows, *shape), dtype)
        return self._ring[:rows]


class Triggered(FrameTaker):
    """The panel plays patterns from its memory, its pulses trigger the camera: one call for a whole batch."""

    mode: ClassVar[str] = "sequence"

    @property
    def period_s(self) -> float:
        """See `FrameTaker.period_s`."""
        return self._period_s(self._timing.settle_s, self._timing.latency_spread_s)

    def take(self, patterns: Pattern, wanted: Ints, sink: FrameSink) -> str:
        """See `FrameTaker.take`."""
        size, fault = self._slm.max_sequence, ""
        for begin in range(0, len(wanted), size):
            fault = self._play(patterns, wanted[begin : begin + size], sink) or fault
        return fault

    def _period_s(self, delay_s: float, slack_s: float) -> float:
        camera = self._camera
        rest_s = max(camera.readout_s, slack_s + 2 * (camera.stamp_error_s or 0.0))
        return max(self._slm.frame_period_s, delay_s + camera.exposure_s + rest_s)

    def _play(self, patterns: Pattern, shots: Ints, sink: FrameSink) -> str:
        slm, camera, timing, n = self._slm, self._camera, self._timing, len(shots)
        delay_s, period_s, margin_s = timing.settle_s, self.period_s, 0.0
        if n < quorum(period_s, camera.stamp_error_s or 0.0):
            # too few frames do not tell when the run began, so the uncertainty of its start is waited out
            margin_s = timing.latency_spread_s + HOST_S
            delay_s += margin_s
            period_s = self._period_s(delay_s, margin_s)
        with self._trace.span(Lane.BENCH, "upload", n):
            camera.arm_frames(n, trigger=Trigger.HARDWARE, delay_s=delay_s, out=self._rows(n))
        try:
            with self._trace.span(Lane.BENCH, "upload", n):
                setpoint = slm.arm_sequence(_chosen(patterns, shots), trigger=Trigger.INTERNAL, period_s=period_s)
            try:
                sink.shown(shots, setpoint)
                camera.start()
                earliest_s = self._clock.now_s() + timing.latency_s[0]
                slm.start()
                latest_s = self._clock.now_s() + timing.latency_s[1]
                run = TriggeredRun(
                    n, period_s=period_s, delay_s=delay_s, duration_s=camera.exposure_s,
                    begun_s=(earliest_s, latest_s), error_s=camera.stamp_error_s or 0.0, margin_s=margin_s,
                )  # fmt: skip
                self._read_out(run, shots, np.asarray(setpoint.tokens), sink, latest_s + delay_s, period_s)
                slm.wait(n * period_s + PATIENCE_S)
            finally:
                slm.disarm()
        finally:
            camera.disarm()
        return run.fault()

    def _read_out(
        self, run: TriggeredRun, shots: Ints, tokens: Ints, sink: FrameSink, first_s: float, period_s: float
    ) -> None:
        camera, n, taken = self._camera, len(shots), 0
        block = max(1, min(len(self._ring), camera.frames_at_once or int(BLOCK_S / period_s)))
        ys: FloatArray | None = None
        starts_s = np.empty(n)
        came = True
        while came and taken < n:
            size = min(block, n - taken, sink.until_edge(int(shots[taken])))
            due_s = first_s + (taken + size) * period_s + camera.exposure_s + camera.readout_s
            with self._trace.span(Lane.BENCH, "expose", size):
                frames = camera.collect(size, timeout_s=max(due_s - self._clock.now_s(), 0.0) + PATIENCE_S)
            with self._trace.span(Lane.BENCH, "decode", size):
                y, count = sink.decode(frames.counts), frames.stamps.count
                ys = np.empty((n, y.shape[1]), y.dtype) if ys is None else ys
                assert frames.stamps.start_s is not None  # noqa: S101 (this way is only taken where there are stamps)
                ys[taken : taken + count], starts_s[taken : taken + count] = y, frames.stamps.start_s
                taken, came = taken + count, count == size
                run.add(frames.stamps)
                pairs = run.decide(final=not came or taken == n)
                if len(pairs):
                    sink.put(shots[pairs.steps], ys[pairs.readings], tokens[pairs.steps], starts_s[pairs.readings])


class Overlapped(FrameTaker):
    """The camera is triggered by software; while a pattern settles, the frame of the one before is read out."""

    mode: ClassVar[str] = "overlapped"

    @property
    def period_s(self) -> float:
        """See `FrameTaker.period_s`."""
        return max(self._slm.frame_period_s, self._hold_s)

    def take(self, patterns: Pattern, wanted: Ints, sink: FrameSink) -> str:
        """See `FrameTaker.take`."""
        slm, camera, clock, n = self._slm, self._camera, self._clock, len(wanted)
        windows_s = np.full((n, 2), np.inf)
        tokens = np.empty(n, np.int64)
        taken, faults = np.zeros(n, bool), ""

        def collect(count: int) -> str:
            with self._trace.span(Lane.BENCH, "read out", 1):
                wait_s = self._exposed_s + camera.readout_s + PATIENCE_S
                frames = camera.collect(1, timeout_s=wait_s)
            if not frames.stamps.count:
                return f"a frame never came ({frames.stamps.note})"
            return self._pair(frames, windows_s[:count], taken, wanted, tokens, sink)

        camera.arm_frames(n, trigger=Trigger.SOFTWARE, out=self._rows(n))
        try:
            camera.start()
            for k, shot in enumerate(wanted):
                windows_s[k - 1, 1] = clock.now_s() if k else np.inf
                with self._trace.span(Lane.BENCH, "show", 1):
                    setpoint = slm.write(patterns[shot])
                settled_s = clock.now_s() + self._timing.latency_s[1] + self._timing.settle_s
                windows_s[k, 0], tokens[k] = settled_s, setpoint.tokens[0]
                sink.shown(wanted[k : k + 1], setpoint)
                if k:
                    faults = collect(k) or faults
                with self._trace.span(Lane.BENCH, "settle", 1):
                    clock.sleep_until(settled_s + self._doubt_s)
                with self._trace.span(Lane.BENCH, "expose", 1):
                    camera.trigger()
                    clock.sleep_until(clock.now_s() + self._exposed_s + self._doubt_s)
            faults = collect(n) or faults
        finally:
            camera.disarm()
        return faults

    def _pair(
        self, frames: Frames, windows_s: npt.NDArray[np.float64], taken: npt.NDArray[np.bool_], wanted: Ints,
        tokens: Ints, sink: FrameSink,
    ) -> str:  # fmt: skip
        pairs, fault = match_windows(frames.stamps, windows_s, self._camera.stamp_error_s or 0.0)
        pairs = Pairs(*(a[~taken[pairs.steps]] for a in (pairs.readings, pairs.steps)))
        if len(pairs) and frames.stamps.start_s is not None:
            taken[pairs.steps] = True
            y = sink.decode(frames.counts[pairs.readings])
            steps = pairs.steps
            sink.put(wanted[steps], y, tokens[steps], frames.stamps.start_s[pairs.readings])
        return fault


class Alternating(FrameTaker):
    """Nothing overlaps: show, settle, arm, expose, read. For cameras that do not tell when a frame was exposed.

    A frame that began after arming and came before the next pattern was shown can be of this pattern only; frames that
    a queue may have kept from before are thrown away first, as many as the driver declares.
    """

    mode: ClassVar[str] = "alternating"

    @property
    def period_s(self) -> float:
        """See `FrameTaker.period_s`."""
        frames = 1 + self._camera.stale_readings
        return max(
            self._slm.frame_period_s,
            self._hold_s + self._camera.readout_s + (frames - 1) * (self._exposed_s + self._camera.readout_s),
        )

    def take(self, patterns: Pattern, wanted: Ints, sink: FrameSink) -> str:
        """See `FrameTaker.take`."""
        fault = ""
        for k, shot in enumerate(wanted):
            with self._trace.span(Lane.BENCH, "show", 1):
                setpoint = self._slm.write(patterns[shot])
            sink.shown(wanted[k : k + 1], setpoint)
            settled_s = self._clock.now_s() + self._timing.latency_s[1] + self._timing.settle_s
            with self._trace.span(Lane.BENCH, "settle", 1):
                self._clock.sleep_until(settled_s + self._doubt_s)
            with self._trace.span(Lane.BENCH, "expose", 1):
                frames, wrong = self._expose(settled_s)
            if wrong:
                fault = wrong
                continue
            exposed_s = np.nan if frames.stamps.start_s is None else float(frames.stamps.start_s[0])
            sink.put(wanted[k : k + 1], sink.decode(frames.counts), np.asarray(setpoint.tokens), exposed_s)
        return fault

    def _expose(self, settled_s: float) -> tuple[Frames, str]:
        """Return the newest frame, and what is wrong with it."""
        camera, n = self._camera, 1 + self._camera.stale_readings
        trigger = Trigger.SOFTWARE if Trigger.SOFTWARE in camera.triggers else Trigger.INTERNAL
        camera.arm_frames(n, trigger=trigger, out=self._rows(1))
        try:
            camera.start()
            for _ in range(n):
                if trigger is Trigger.SOFTWARE:
                    camera.trigger()
                frames = camera.collect(1, timeout_s=self._exposed_s + camera.readout_s + PATIENCE_S)
                if not frames.stamps.count:
                    return frames, f"a frame never came ({frames.stamps.note})"
            return frames, newest_fault(camera, frames.stamps, n, settled_s, what="frame", of="pattern")
        finally:
            camera.disarm()


def frame_taker(slm: SpatialLightModulator, camera: Camera) -> type[FrameTaker]:
    """Return the fastest way that both devices are able to."""
    if camera.stamp_error_s is None or camera.stale_readings:
        return Alternating
    if slm.max_sequence > 0 and Trigger.INTERNAL in slm.triggers and Trigger.HARDWARE in camera.triggers:
        return Triggered
    return Overlapped if Trigger.SOFTWARE in camera.triggers else Alternating


def _chosen(patterns: Pattern, shots: Sequence[int] | Ints) -> Pattern:
    """Return some of the patterns; a view where they are neighbours."""
    first, last = int(shots[0]), int(shots[-1])
    return patterns[first : last + 1] if last - first + 1 == len(shots) else patterns[shots]
