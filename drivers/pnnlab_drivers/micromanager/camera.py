"""A camera by Micro-Manager."""

import time
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Camera, DeviceOptions, Identity, Limits, RegionOfInterest, SettingValue, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError, SetpointError
from pnnlab.quantities import Seconds
from pnnlab_drivers._sdk import vendor_module
from pnnlab_drivers.micromanager._core import CoreDevice, MicroManagerOptions, Properties

__all__ = ["MicroManagerCamera"]

Pixels = npt.NDArray[np.number]
_MODULUS: Final = 2**62
_MS: Final = 1e-3
_SHORTEST_S: Final = 1e-6
_POLL_S: Final = 0.5e-3
_EXPOSURE_GRAIN: Final = (0.1, 100e-6)
"""Exposures come in steps of a line's time: a camera may be off by a tenth, or by this in s."""


class MicroManagerCameraOptions(MicroManagerOptions):
    """The options of the driver `micromanager-camera`, besides those of all devices of Micro-Manager.

    Attributes:
        exposure_s: Exposure after opening.
        exposure_range_s: Shortest and longest exposure, where Micro-Manager knows no closer ones.
        binning: As Micro-Manager calls it, such as `1` or `2x2`; regions are then counted in binned pixels.
        serial_property: The property that tells the serial number; adapters differ, and for some it is no such thing.
        readout_s: From the end of an exposure to the next: Micro-Manager does not tell.
        internal_trigger: Properties by which the camera is told to run on its own timer.
        external_trigger: Properties by which it is told to wait for edges on its trigger line; without any it has no
            hardware trigger.
        buffer_mib: Memory for frames that wait unread, in MiB.
    """

    exposure_s: Seconds = Field(default=10e-3, gt=0)
    exposure_range_s: tuple[Seconds, Seconds] = (_SHORTEST_S, 100.0)
    binning: str = "1"
    serial_property: str = "CameraID"
    readout_s: Seconds = Field(default=0.0, ge=0)
    internal_trigger: Properties = Field(default_factory=dict)
    external_trigger: Properties = Field(default_factory=dict)
    buffer_mib: int = Field(default=64, ge=1)


class MicroManagerCamera(Camera):
    """A camera that Micro-Manager has an adapter for.

    A software trigger is one `snap` of the core, which exposes before it returns. Runs on the camera's own timer and on
    hardware triggers are its sequences: frames are numbered by the core as it gets them, so what the camera loses
    before that is not seen. Micro-Manager has no time stamps of exposures, so systems read it strictly after each
    step. The core hands out copies, so a frame is copied twice.
    """

    Options: ClassVar[type[DeviceOptions]] = MicroManagerCameraOptions
    options: MicroManagerCameraOptions

    _link: CoreDevice | None = None
    _sensor_shape = (0, 0)
    _roi = RegionOfInterest(0, 0, 0, 0)
    _exposure_s = 0.0
    _bit_depth = 8
    _started = False

    # What it tells

    @property
    def sensor_shape(self) -> tuple[int, int]:
        """See `Camera.sensor_shape`; in binned pixels."""
        return self._sensor_shape

    @property
    def bit_depth(self) -> int:
        """See `Camera.bit_depth`."""
        return self._bit_depth

    @property
    def exposure_s(self) -> float:
        """See `Camera.exposure_s`."""
        return self._exposure_s

    @property
    def roi(self) -> RegionOfInterest:
        """See `Camera.roi`."""
        return self._roi

    @property
    def readout_s(self) -> float:
        """See `Camera.readout_s`."""
        return self.options.readout_s

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `Sensor.triggers`."""
        own = {Trigger.INTERNAL, Trigger.SOFTWARE}
        return frozenset(own | {Trigger.HARDWARE} if self.options.external_trigger else own)

    @property
    def counter_modulus(self) -> int | None:
        """See `Sensor.counter_modulus`."""
        return _MODULUS

    # Hooks

    def _claims(self) -> Sequence[str]:
        options = self.options
        where = options.config.resolve() if options.config else f"{options.library} {options.before}"
        return (f"Micro-Manager {where} {options.label or options.device}",)

    def _hard_limits(self) -> dict[str, Limits]:
        low, high = self._opened.limits("Exposure")
        least, most = self.options.exposure_range_s
        return {"exposure": Limits(max(low * _MS, least), min(high * _MS, most))}

    @property
    def _opened(self) -> CoreDevice:
        if self._link is None:
            raise DeviceError(f"{self.name}: it is not open; open it first")
        return self._link

    def _open(self) -> None:
        options = self.options
        self._link = link = CoreDevice(self.name, options)
        core, ask, label = link.core, link.ask, link.label
        self._metadata = vendor_module("pymmcore", device=self.name, extra="micromanager").Metadata
        ask(core.setCameraDevice, label)
        if link.has("Binning"):
            link.set_property("Binning", options.binning)
        ask(core.clearROI)
        ask(core.setCircularBufferMemoryFootprint, options.buffer_mib)
        if ask(core.getNumberOfComponents) != 1 or ask(core.getBytesPerPixel) not in (1, 2):
            raise SetpointError(
                f"{self.name}: the camera gives {core.getNumberOfComponents()} colours of {core.getBytesPerPixel()} "
                "bytes in all; choose grey counts of 8 to 16 bits by `properties` in the bench file"
            )
        self._bit_depth = min(int(ask(core.getImageBitDepth)), 8 * int(ask(core.getBytesPerPixel)))
        self._sensor_shape = int(ask(core.getImageHeight)), int(ask(core.getImageWidth))
        self._roi = RegionOfInterest(0, 0, *self._sensor_shape)
        self._armed_for: Trigger | None = None
        self._n = self._n_read = self._n_snapped = 0
        self._snapped: deque[Pixels] = deque()
        self._expose_for(options.exposure_s)

    def _identify(self) -> Identity:
        link, options = self._opened, self.options
        library = str(link.ask(link.core.getDeviceLibrary, link.label))
        model = link.read_property("CameraName") if link.has("CameraName") else ""
        tells = options.serial_property
        serial = link.read_property(tells) if tells and link.has(tells) else ""
        return Identity(library, model.strip() or options.device or options.label, serial.strip())

    def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _make_safe(self) -> None:
        """A camera sources nothing."""

    def _settings(self) -> dict[str, SettingValue]:
        roi, link = self._roi, self._opened
        return {
            "exposure_s": link.ask(link.core.getExposure, link.label) * _MS, "bit_depth": self.bit_depth,
            "roi": [roi.top, roi.left, roi.height, roi.width], "sensor_shape": list(self.sensor_shape),
            "readout_s": self.readout_s, "binning": self.options.binning,
            "properties": link.told({**self.options.before, **self.options.properties}),
        }  # fmt: skip

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        link = self._opened
        if roi is not None:
            link.ask(link.core.setROI, link.label, roi.left, roi.top, roi.width, roi.height)
            left, top, width, height = link.ask(link.core.getROI, link.label)
            self._roi = RegionOfInterest(top, left, height, width)
            inside = top + height <= self._sensor_shape[0] and left + width <= self._sensor_shape[1]
            if not inside or (link.core.getImageHeight(), link.core.getImageWidth()) != (height, width):
                raise DeviceError(f"{self.name}: {roi} was sent, the camera took it without a word and has {self._roi}")
        if exposure_s is not None:
            self._expose_for(exposure_s)

    def _expose_for(self, exposure_s: float) -> None:
        link = self._opened
        link.ask(link.core.setExposure, link.label, exposure_s / _MS)
        self._exposure_s = found_s = link.ask(link.core.getExposure, link.label) * _MS
        share, least_s = _EXPOSURE_GRAIN
        if abs(found_s - exposure_s) > max(share * exposure_s, least_s):
            raise DeviceError(
                f"{self.name}: an exposure of {exposure_s:g} s was sent, the camera took it without a word and exposes "
                f"for {found_s:g} s; ask for one that it keeps"
            )

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        link, options = self._opened, self.options
        if trigger is not self._armed_for:
            self._armed_for = None
            wanted = options.external_trigger if trigger is Trigger.HARDWARE else options.internal_trigger
            for name, value in wanted.items():
                link.set_property(name, value)
            self._armed_for = trigger
        link.ask(link.core.setCameraDevice, link.label)
        link.ask(link.core.clearCircularBuffer)
        self._n, self._n_read, self._n_snapped, self._started = n, 0, 0, False
        self._snapped.clear()
        return 0

    def _start(self) -> None:
        if self._armed_for is not Trigger.SOFTWARE:
            link = self._opened
            link.ask(link.core.startSequenceAcquisition, link.label, self._n, 0.0, True)
        self._started = True

    def _trigger(self) -> None:
        if not self._started or self._armed_for is not Trigger.SOFTWARE or self._n_snapped >= self._n:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them, and trigger it "
                f"no more than the {self._n} times that it is armed for"
            )
        link = self._opened
        link.ask(link.core.snapImage)
        self._snapped.append(link.ask(link.core.getImage))
        self._n_snapped += 1

    @property
    def _n_waiting(self) -> int:
        link = self._opened
        return len(self._snapped) + int(link.ask(link.core.getRemainingImageCount))

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        while not self._started or self._n_read + self._n_waiting < self._n:
            if self.clock.now_s() >= deadline_s:
                raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the run is not done: {self._lateness()}")
            time.sleep(_POLL_S)

    def _read(self, out: Pixels, timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        counters: list[int] = []
        intact: list[bool] = []
        for row in out:
            while not self._n_waiting and self.clock.now_s() < deadline_s:
                time.sleep(_POLL_S)
            if not self._n_waiting:
                break
            counter, pixels = self._next()
            whole = pixels.shape == row.shape and pixels.dtype == row.dtype
            row[...] = pixels if whole else 0
            counters.append(counter)
            intact.append(whole)
            self._n_read += 1
        flags = np.array(intact, bool)
        return Stamps(
            len(counters), self._exposure_s, counters=np.array(counters, np.int64),
            intact=None if flags.all() else flags, note="" if len(counters) == len(out) else self._lateness(),
        )  # fmt: skip

    def _next(self) -> tuple[int, Pixels]:
        """Return number and pixels of a frame that waits."""
        if self._snapped:
            return self._n_read, self._snapped.popleft()
        link, told = self._opened, self._metadata()
        pixels = link.ask(link.core.popNextImageMD, told)
        number = told.GetSingleTag("ImageNumber").GetValue() if "ImageNumber" in told.GetKeys() else self._n_read
        return int(number), pixels

    def _lateness(self) -> str:
        """Return what to look at where frames are missing."""
        if not self._started:
            return "the run was not started"
        link = self._opened
        full = "; the buffer ran over: read while it runs, or raise `buffer_mib`" * bool(link.core.isBufferOverflowed())
        running = "runs" if link.core.isSequenceRunning(link.label) else "has stopped"
        if self._armed_for is Trigger.SOFTWARE:
            running = f"was triggered {self._n_snapped} times"
        return f"{self._n_read} of {self._n} frames were read, the camera {running}{full}"

    def _disarm(self) -> None:
        link, started = self._opened, self._started
        self._started = False
        if started and self._armed_for is not Trigger.SOFTWARE:
            link.ask(link.core.stopSequenceAcquisition, link.label)
        link.ask(link.core.clearCircularBuffer)
        self._snapped.clear()
