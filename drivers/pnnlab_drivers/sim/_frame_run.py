"""The exposures of an armed run of frames."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Trigger
from pnnlab_drivers.sim._faults import Transport, TriggerLine
from pnnlab_drivers.sim._frame_queue import ARRIVAL, FrameQueue
from pnnlab_drivers.sim._panel_table import PanelTable

__all__ = ["FrameRun", "RunPlan"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_EPS_S = 1e-9
"""Times closer than this are one: rounding of a clock that has run for months."""


@dataclass(frozen=True)
class RunPlan:
    """What a camera was armed for.

    Attributes:
        camera: Its name.
        n: How many frames.
        trigger: What starts each.
        delay_s: From a hardware trigger to the exposure.
        exposure_s: How long each collects light.
        readout_s: From the end of an exposure to the frame in the host, and to the next exposure.
        height: Rows of a frame.
        first_counter: Of the first frame, before the modulus.
        counter_modulus: Of the counter.
        stamp_error_s: By how much a stamp may be off.
    """

    camera: str
    n: int
    trigger: Trigger
    delay_s: float
    exposure_s: float
    readout_s: float
    height: int
    first_counter: int
    counter_modulus: int
    stamp_error_s: float


class FrameRun:
    """Takes triggers, tells the table of exposures and puts their frames on the way to the queue.

    Mutable: `start`, `fire`, `pulse`, `cut` and `end` move it on.

    Args:
        plan: What it was armed for.
        table: Where the light is.
        queue: Where frames go.
        line: What becomes of triggers.
        transport: What becomes of frames.
    """

    def __init__(
        self, plan: RunPlan, table: PanelTable, queue: FrameQueue, line: TriggerLine, transport: Transport
    ) -> None:
        self.plan = plan
        self.running = False
        self._table, self._queue, self._line, self._transport = table, queue, line, transport
        self._edges_s: FloatArray = np.zeros(0)
        self._starts_s: FloatArray = np.zeros(0)
        self._numbers: IntArray = np.zeros(0, np.int64)
        self._last_edge_s = 0.0

    @property
    def n_begun(self) -> int:
        """Return how many exposures were started."""
        return len(self._starts_s)

    @property
    def busy_s(self) -> float:
        """Return how long a frame occupies the sensor in s."""
        return self.plan.exposure_s + self.plan.readout_s

    @property
    def done_s(self) -> float:
        """Return when the last frame of the run is read out; infinity while triggers are missing."""
        return float(self._starts_s[-1]) + self.busy_s if self.n_begun == self.plan.n else math.inf

    def lateness(self) -> str:
        """Return what to look at where frames are missing."""
        if not self.running:
            return "the run was not started"
        return (
            f"{self.n_begun} of {self.plan.n} {self.plan.trigger} triggers started an exposure; look at the trigger "
            "line, at what loses frames on their way, and whether triggers come faster than exposure and read-out "
            f"allow ({self.busy_s:g} s)"
        )

    def start(self, now_s: float) -> None:
        """Listen to triggers, or expose one frame right after the other."""
        self.running = True
        self._last_edge_s = now_s
        if self.plan.trigger is Trigger.INTERNAL:
            starts_s = np.asarray(now_s + self.busy_s * np.arange(self.plan.n), np.float64)
            self._expose(starts_s, starts_s, now_s)
        elif self.plan.trigger is Trigger.HARDWARE:
            self._table.listen(self)

    def fire(self, now_s: float, latency_s: float = 0.0) -> None:
        """Take a software trigger that starts an exposure after `latency_s`."""
        self._take(np.array([now_s]), latency_s, now_s)

    def pulse(self, times_s: FloatArray, now_s: float) -> None:
        """See `PulseInput.pulse`."""
        self._take(times_s, self.plan.delay_s, now_s)

    def cut(self, time_s: float) -> None:
        """See `PulseInput.cut`."""
        self._withdraw(self._edges_s >= time_s - _EPS_S)

    def end(self, now_s: float) -> None:
        """Stop listening; what has not begun by now never does."""
        if self.running and self.plan.trigger is Trigger.HARDWARE:
            self._table.unlisten(self)
        self.running = False
        self._withdraw(self._starts_s > now_s)

    def _take(self, edges_s: FloatArray, delay_s: float, now_s: float) -> None:
        seen_s, late_s = self._line.distort(edges_s, self._last_edge_s)
        self._last_edge_s = float(edges_s[-1])
        self._expose(seen_s, seen_s + delay_s + late_s, now_s)

    def _expose(self, edges_s: FloatArray, starts_s: FloatArray, now_s: float) -> None:
        taken = self._free(starts_s)
        edges_s, starts_s = edges_s[taken], starts_s[taken]
        n = len(starts_s)
        if not n:
            return
        plan = self.plan
        counters = (plan.first_counter + self.n_begun + np.arange(n)) % plan.counter_modulus
        numbers = self._table.log.add(
            plan.camera, starts_s=starts_s, duration_s=plan.exposure_s, counters=counters, now_s=now_s
        )
        self._edges_s = np.concatenate([self._edges_s, edges_s])
        self._starts_s = np.concatenate([self._starts_s, starts_s])
        self._numbers = np.concatenate([self._numbers, numbers])
        frames = np.zeros(n, ARRIVAL)
        frames["number"], frames["counter"] = numbers, counters
        frames["start_s"], frames["stamp_s"] = starts_s, starts_s
        frames["ready_s"], frames["rows"] = starts_s + self.busy_s, plan.height
        if plan.stamp_error_s:
            noise = self._table.noise(f"camera {plan.camera} stamps")
            frames["stamp_s"] += noise.uniform(-plan.stamp_error_s, plan.stamp_error_s, n)
        self._queue.put(self._transport.deliver(frames, last=self.n_begun == plan.n))

    def _free(self, starts_s: FloatArray) -> npt.NDArray[np.intp]:
        """Return which exposures the sensor is free for; a trigger that comes while it is busy is lost."""
        left = self.plan.n - self.n_begun
        busy_s = self.busy_s * (1 - 1e-9)
        free_s = self._starts_s[-1] + busy_s if self.n_begun else -np.inf
        if (np.diff(starts_s) >= busy_s).all() and (starts_s[:1] >= free_s).all():
            return np.arange(min(len(starts_s), left))
        taken: list[int] = []
        for k, start_s in enumerate(starts_s.tolist()):
            if start_s >= free_s and len(taken) < left:
                taken.append(k)
                free_s = start_s + busy_s
        return np.array(taken, np.intp)

    def _withdraw(self, which: npt.NDArray[np.bool_]) -> None:
        if not which.any():
            return
        numbers = self._numbers[which]
        self._table.log.withdraw(self.plan.camera, numbers)
        self._queue.withdraw(numbers)
        self._transport.withdraw(numbers)
        self._edges_s, self._starts_s = self._edges_s[~which], self._starts_s[~which]
        self._numbers = self._numbers[~which]
