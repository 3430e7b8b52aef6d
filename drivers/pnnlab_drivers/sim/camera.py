"""A simulated camera."""

from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import (
    Camera,
    DeviceOptions,
    Identity,
    Limits,
    RegionOfInterest,
    SettingValue,
    SimulatedClock,
    Stamps,
    Trigger,
)
from pnnlab.errors import AcquisitionError
from pnnlab.quantities import Seconds
from pnnlab_drivers.sim._detector import Detector
from pnnlab_drivers.sim._faults import CameraFaults, Transport, TriggerLine
from pnnlab_drivers.sim._frame_queue import ARRIVAL, Arrivals, FrameQueue
from pnnlab_drivers.sim._frame_run import FrameRun, RunPlan
from pnnlab_drivers.sim._panel_table import table_of

__all__ = ["SimCamera"]

Pixels = npt.NDArray[np.number]
_AT_ONCE: Final = 256
"""Frames that are worked out at once."""


class SimCameraOptions(DeviceOptions):
    """The options of the driver `sim-camera`.

    Attributes:
        sensor: Pixels `[h, w]`; as many as the plant's light falls on.
        bit_depth: Bits of a count.
        quantised: Whether counts are whole numbers; off for tests of gradients.
        quantum_efficiency: Electrons per photon.
        gain_counts_per_electron: Conversion gain.
        offset_counts: Black level.
        dark_electrons_per_s: Dark signal of a pixel.
        read_noise_electrons: Root mean square.
        noise: Scales shot noise (its variance's root), dark noise and read noise; 0 switches them off.
        exposure_s: Exposure after opening.
        exposure_range_s: Shortest and longest exposure.
        readout_s: From the end of an exposure to the next.
        trigger_latency_s: Longest time from a software trigger to its exposure; drawn evenly up to there.
        counts: Whether frames are numbered.
        counter_modulus: The frame counter returns to zero after this many frames.
        restarts_counter: Whether each run begins with number 0; otherwise the counter runs on from an unknown number.
        stamps: Whether frames have time stamps.
        stamp_error_s: Largest error of a time stamp; errors are drawn evenly up to there.
        stale_frames: So many frames from before a run come before its own: a queue that cannot be emptied.
        queue_frames: Frames that wait unread at most; further ones are lost.
        faults: What goes wrong, and how often; see `CameraFaults`.
        serial: What the camera reports.
    """

    sensor: tuple[int, int] = (64, 64)
    bit_depth: int = Field(default=10, ge=1, le=16)
    quantised: bool = True
    quantum_efficiency: float = Field(default=0.6, gt=0, le=1)
    gain_counts_per_electron: float = Field(default=0.1, gt=0)
    offset_counts: float = Field(default=0.0, ge=0)
    dark_electrons_per_s: float = Field(default=0.0, ge=0)
    read_noise_electrons: float = Field(default=0.0, ge=0)
    noise: float = Field(default=1.0, ge=0)
    exposure_s: Seconds = 2e-3
    exposure_range_s: tuple[Seconds, Seconds] = (10e-6, 10.0)
    readout_s: Seconds = 1e-3
    trigger_latency_s: Seconds = Field(default=0.0, ge=0)
    counts: bool = True
    counter_modulus: int = Field(default=65536, ge=2)
    restarts_counter: bool = True
    stamps: bool = True
    stamp_error_s: Seconds = Field(default=0.0, ge=0)
    stale_frames: int = Field(default=0, ge=0)
    queue_frames: int = Field(default=1_000_000, ge=1)
    faults: CameraFaults = CameraFaults()
    serial: str = "SIM-CAM-1"


class SimCamera(Camera):
    """A global-shutter sensor behind the optics of a `PanelTable`.

    Counts follow the linear camera model, see `Detector`; the light is what the exposure integrated. What truly
    happened to each frame, whatever the camera tells of it, is on the table's record (`PanelTable.exposures`,
    `PanelTable.deliveries`).
    """

    Options: ClassVar[type[DeviceOptions]] = SimCameraOptions
    needs_plant: ClassVar[bool] = True
    options: SimCameraOptions

    @property
    def sensor_shape(self) -> tuple[int, int]:
        """See `Camera.sensor_shape`."""
        return self.options.sensor

    @property
    def bit_depth(self) -> int:
        """See `Camera.bit_depth`."""
        return self.options.bit_depth

    @property
    def dtype(self) -> np.dtype[np.number]:
        """See `Camera.dtype`."""
        return super().dtype if self.options.quantised else np.dtype(np.float64)

    @property
    def frames_at_once(self) -> int | None:
        """See `Camera.frames_at_once`: a simulated clock does not wait, and light is worked out for many at once."""
        return _AT_ONCE if isinstance(self.clock, SimulatedClock) else None

    @property
    def readout_s(self) -> float:
        """See `Camera.readout_s`."""
        return self.options.readout_s

    @property
    def max_delay_s(self) -> float:
        """See `Camera.max_delay_s`."""
        return 10.0

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `Camera.triggers`."""
        return frozenset(Trigger)

    @property
    def exposure_s(self) -> float:
        """See `Camera.exposure_s`."""
        return self._exposure_s

    @property
    def roi(self) -> RegionOfInterest:
        """See `Camera.roi`."""
        return self._roi

    @property
    def counter_modulus(self) -> int | None:
        """See `Sensor.counter_modulus`."""
        return self.options.counter_modulus if self.options.counts else None

    @property
    def stamp_error_s(self) -> float | None:
        """See `Sensor.stamp_error_s`; a microsecond at the least."""
        return max(self.options.stamp_error_s, 1e-6) if self.options.stamps else None

    @property
    def trigger_latency_s(self) -> float:
        """See `Sensor.trigger_latency_s`."""
        return self.options.trigger_latency_s

    @property
    def stale_readings(self) -> int:
        """See `Sensor.stale_readings`."""
        return self.options.stale_frames

    def expected(self, levels: torch.Tensor) -> torch.Tensor:
        """See `pnnlab.devices.Oracle`: counts of settled grey levels, shape `(batch, h, w)`, before rounding."""
        photons = self._cut(self._table.settled(levels, self._exposure_s, self.options.sensor))
        return self._detector.expected(photons, self._exposure_s).to(levels.device, levels.dtype)

    def simulate(self, levels: torch.Tensor) -> torch.Tensor:
        """Return one frame of each settled pattern, computed on the plant's torch device without a detour to the host.

        For studies that need many frames of large panels: no time passes, nothing is armed or recorded, and none of
        the faults happens.

        Args:
            levels: Grey levels, shape `(batch, h, w)`.

        Returns:
            Counts with noise, rounding and saturation, shape `(batch, h, w)` of the region of interest, in the plant's
            floating-point type and on its device.
        """
        with torch.no_grad():
            photons = self._cut(self._table.settled(levels, self._exposure_s, self.options.sensor))
            noise = self._table.torch_noise(f"camera {self.name} simulate")
            return self._detector.read(photons, self._exposure_s, noise)

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        return {"exposure": Limits(*self.options.exposure_range_s)}

    def _open(self) -> None:
        options = self.options
        self._table = table_of(self)
        self._exposure_s = options.exposure_s
        self._roi = RegionOfInterest(0, 0, *options.sensor)
        self._detector = Detector(
            quantum_efficiency=options.quantum_efficiency, gain=options.gain_counts_per_electron,
            offset_counts=options.offset_counts, dark_electrons_per_s=options.dark_electrons_per_s,
            read_noise_electrons=options.read_noise_electrons, noise=options.noise,
            top_counts=2**options.bit_depth - 1, quantised=options.quantised,
        )  # fmt: skip
        self._n_exposed = 0
        if not options.restarts_counter:
            # a camera that was on before anybody looked
            who = self._table.specimen(f"camera {self.name} counter")
            self._n_exposed = int(torch.randint(options.counter_modulus, (), generator=who))
        self._queue = FrameQueue(options.queue_frames)
        self._run: FrameRun | None = None
        self._kept: dict[int, Pixels] = {}
        self._former: Arrivals = np.zeros(0, ARRIVAL)

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated camera", self.options.serial, "1")

    def _close(self) -> None:
        """Nothing holds the simulated sensor."""

    def _make_safe(self) -> None:
        """A camera sources nothing."""

    def _settings(self) -> dict[str, SettingValue]:
        roi = self._roi
        return {
            "exposure_s": self._exposure_s, "bit_depth": self.bit_depth, "readout_s": self.readout_s,
            "roi": [roi.top, roi.left, roi.height, roi.width], "sensor_shape": list(self.sensor_shape),
        }  # fmt: skip

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        self._exposure_s = self._exposure_s if exposure_s is None else exposure_s
        if roi is not None and roi != self._roi:
            # buffers of another size are new ones
            self._roi, self._former, self._kept = roi, self._former[:0], {}

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        options, table = self.options, self._table
        if options.restarts_counter:
            self._n_exposed = 0
        plan = RunPlan(
            self.name, n, trigger, delay_s=delay_s, exposure_s=self._exposure_s, readout_s=self.readout_s,
            height=self._roi.height, first_counter=self._n_exposed, counter_modulus=options.counter_modulus,
            stamp_error_s=options.stamp_error_s if options.stamps else 0.0,
        )  # fmt: skip

        def chance(fault: str) -> np.random.Generator:
            return table.noise(f"camera {self.name} {fault}")

        transport = Transport(options.faults, chance, plan.height)
        self._queue.restart(self._former)
        self._run = FrameRun(plan, table, self._queue, TriggerLine(options.faults, chance), transport)
        return 0 if options.counts and options.restarts_counter else None

    def _start(self) -> None:
        with self._table.lock:
            self._armed().start(self.clock.now_s())

    def _trigger(self) -> None:
        run = self._armed()
        if not run.running or run.plan.trigger is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        with self._table.lock:
            latency_s = self.options.trigger_latency_s
            if latency_s:
                latency_s *= self._table.noise(f"camera {self.name} trigger").random()
            run.fire(self.clock.now_s(), latency_s)

    def _wait(self, timeout_s: float) -> None:
        run, deadline_s = self._armed(), self.clock.now_s() + timeout_s
        self.clock.sleep_until(min(run.done_s, deadline_s))
        if run.done_s > deadline_s:
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the run is not done: {run.lateness()}")

    def _read(self, out: Pixels, timeout_s: float) -> Stamps:
        run, table, queue, n = self._armed(), self._table, self._queue, len(out)
        begin_s = self.clock.now_s()
        deadline_s = begin_s + timeout_s
        with table.lock:
            queue.admit(begin_s)
            frames = queue.due(n, deadline_s)
        while True:
            # computed before they are there: on a paced bench this takes none of the hardware's time
            noise, seen = table.torch_noise(f"camera {self.name}").get_state(), table.version
            kept = self._develop(frames, out)
            self.clock.sleep_until(float(frames["ready_s"][-1]) if len(frames) == n else deadline_s)
            with table.lock:
                known, frames = frames, queue.due(n, deadline_s)
                if table.version == seen and np.array_equal(frames, known):
                    queue.take(len(frames))
                    table.log.deliver(frames["number"].tolist(), now_s=self.clock.now_s())
                    break
            # somebody changed the panel or triggered meanwhile
            table.torch_noise(f"camera {self.name}").set_state(noise)
        self._kept = kept
        note = "" if len(frames) == n else run.lateness()
        intact = frames["rows"] == run.plan.height
        told = intact | (not self.options.faults.nameless)
        return Stamps(
            len(frames), run.plan.exposure_s, note=note, intact=None if intact.all() else intact,
            counters=np.where(told, frames["counter"], -1) if self.options.counts else None,
            start_s=np.where(told, frames["stamp_s"], np.nan) if self.options.stamps else None,
        )  # fmt: skip

    def _disarm(self) -> None:
        run, now_s = self._armed(), self.clock.now_s()
        with self._table.lock:
            run.end(now_s)
            self._queue.admit(now_s)
        self._n_exposed += run.n_begun
        if self.options.stale_frames:
            self._former = self._queue.newest(self.options.stale_frames, now_s)
            rows = np.zeros((len(self._former), *self._roi.shape), self.dtype)
            self._kept = self._develop(self._former, rows)
        self._run = None

    # Pictures

    def _armed(self) -> FrameRun:
        if self._run is None:
            raise AcquisitionError(f"{self.name}: no run is armed")
        return self._run

    def _cut(self, photons: torch.Tensor) -> torch.Tensor:
        roi = self._roi
        return photons[..., roi.top : roi.top + roi.height, roi.left : roi.left + roi.width]

    def _develop(self, frames: Arrivals, out: Pixels) -> dict[int, Pixels]:
        """Fill the first rows of `out` with what frames show; return pictures that may be wanted again."""
        again = self.options.stale_frames + (self.options.faults.repeat > 0)
        kept = dict(self._kept)
        whole = not again and bool((frames["rows"] == self._roi.height).all())
        if whole:
            self._picture(frames["start_s"], out[: len(frames)])
            return kept
        _, first = np.unique(frames["number"], return_index=True)
        new = [k for k in sorted(first.tolist()) if int(frames["number"][k]) not in kept]
        pictures = np.empty((len(new), *out.shape[1:]), out.dtype)
        self._picture(frames["start_s"][new], pictures)
        taken = dict(zip(new, pictures, strict=True))
        for k, (frame, row) in enumerate(zip(frames, out, strict=False)):
            number, height = int(frame["number"]), int(frame["rows"])
            if k not in taken:
                row[...] = kept[number]
                continue
            row[:height] = taken[k][:height]
            if frame["blank"]:
                row[height:] = 0
            if again:
                kept[number] = row.copy()
        return {number: kept[number] for number in list(kept)[len(kept) - again :]} if again else kept

    def _picture(self, starts_s: npt.NDArray[np.float64], out: Pixels) -> None:
        """Fill rows with what exposures show."""
        if not len(out):
            return
        with torch.no_grad():
            photons = self._cut(self._table.expose(starts_s, self._exposure_s, self.options.sensor))
            self._detector.read_into(out, photons, self._exposure_s, self._table.torch_noise(f"camera {self.name}"))
