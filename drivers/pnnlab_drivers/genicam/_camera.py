"""What the drivers of GenICam cameras share: everything but the way to the camera and its stream of frames."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Camera, DeviceOptions, Limits, RegionOfInterest, SettingValue, Stamps, Trigger
from pnnlab.errors import SetpointError
from pnnlab_drivers.genicam._camera_clock import CameraClock, Latch, host_latch
from pnnlab_drivers.genicam._features import Features, FeatureValue
from pnnlab_drivers.genicam._frame_ids import FrameIds
from pnnlab_drivers.genicam._options import GenicamOptions
from pnnlab_drivers.genicam._pixel_format import PixelFormat, pixel_format
from pnnlab_drivers.genicam._region import set_region

__all__ = ["GenicamCamera"]

_EXPOSURE: Final = ("ExposureTime", "ExposureTimeAbs")
_DELAY: Final = ("TriggerDelay", "TriggerDelayAbs")
_GAIN: Final = ("Gain", "GainRaw")
_RATE: Final = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
_TOP_RATE: Final = (
    "ResultingFrameRate", "BslResultingAcquisitionFrameRate", "AcquisitionResultingFrameRate", "ResultingFrameRateAbs",
)  # fmt: skip
_PLAIN: Final[dict[str, FeatureValue]] = {
    "ExposureAuto": "Off", "GainAuto": "Off", "BalanceWhiteAuto": "Off", "BlackLevelAuto": "Off",
    "GammaEnable": False, "Gamma": 1.0, "LUTEnable": False, "DigitalShift": 0, "ReverseX": False, "ReverseY": False,
    "TestPattern": "Off", "ExposureMode": "Timed", "AcquisitionMode": "Continuous",
}  # fmt: skip
"""Counts shall be proportional to light, and pixels lie where they are on the sensor."""
_LATCHES: Final = (("TimestampLatch", "TimestampLatchValue"), ("GevTimestampControlLatch", "GevTimestampValue"))
_US: Final = 1e-6
_EXPOSURE_GRAIN: Final = (0.1, 100e-6)
"""Exposures come in steps of a line's time: a camera may be off by a tenth, or by this in s."""


class GenicamCamera(Camera):
    """A camera that has the features of the GenICam standard (SFNC).

    A driver writes how it gets to them (`_connect`) and how frames come (`_prepare_stream`, `_start`, `_trigger`,
    `_wait`, `_read`, `_disarm`).
    """

    Options: ClassVar[type[DeviceOptions]] = GenicamOptions
    options: GenicamOptions

    _features: Features
    _format: PixelFormat = pixel_format("Mono8")
    _ids: FrameIds = FrameIds.wide()
    _triggers: frozenset[Trigger] = frozenset()
    _sensor_shape = (0, 0)
    _roi = RegionOfInterest(0, 0, 0, 0)
    _exposure_s = _readout_s = _max_delay_s = 0.0
    _camera_clock: CameraClock | None = None
    _armed_for: tuple[Trigger, float] | None = None

    # What it tells

    @property
    def sensor_shape(self) -> tuple[int, int]:
        """See `Camera.sensor_shape`; in binned pixels."""
        return self._sensor_shape

    @property
    def bit_depth(self) -> int:
        """See `Camera.bit_depth`."""
        return self._format.bit_depth

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
        return self._readout_s

    @property
    def max_delay_s(self) -> float:
        """See `Sensor.max_delay_s`."""
        return self._max_delay_s

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `Sensor.triggers`."""
        return self._triggers

    @property
    def trigger_latency_s(self) -> float:
        """See `Sensor.trigger_latency_s`."""
        return self.options.trigger_latency_s

    @property
    def counter_modulus(self) -> int | None:
        """See `Sensor.counter_modulus`."""
        return self._ids.modulus

    @property
    def stamp_error_s(self) -> float | None:
        """See `Sensor.stamp_error_s`."""
        return None if self._camera_clock is None else self._camera_clock.error_s

    # For the drivers

    @abstractmethod
    def _connect(self) -> Features:
        """Open the camera; called in `_open`, before anything else."""

    @abstractmethod
    def _prepare_stream(self, n: int) -> int | None:
        """Be ready for `_start` and `n` frames; see `Camera._arm_frames`."""

    @abstractmethod
    def _frame_ids(self) -> FrameIds:
        """Return how the camera numbers frames."""

    @abstractmethod
    def _check_link(self) -> None:
        """Raise a `DeviceError` that tells what to do if the camera is gone."""

    def _account(self, ids: Sequence[int], ticks: Sequence[int], intact: Sequence[bool], note: str) -> Stamps:
        """Return the stamps of frames: their numbers, the camera's time of each, and whether all of it came."""
        whole = np.array(intact, bool)
        counters = self._ids.counters(ids)
        start_s: npt.NDArray[np.float64] | None = None
        if self._camera_clock is not None:
            start_s = self._camera_clock.to_bench(np.array(ticks, np.int64))
            if self.options.stamp_at == "end":
                start_s = start_s - self._exposure_s
            # what a frame's first packet would have told is not known where that was lost
            start_s[~whole & ((counters < 0) | (np.array(ticks) == 0))] = np.nan
        return Stamps(
            len(ids), self._exposure_s, counters=counters, start_s=start_s, intact=None if whole.all() else whole,
            note=note,
        )  # fmt: skip

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        bounds = self._features.bounds(self._name_of(_EXPOSURE))
        return {"exposure": Limits(bounds.low * _US, bounds.high * _US)}

    def _open(self) -> None:
        options = self.options
        self._features = features = self._connect()
        self._ids = self._frame_ids()
        self._armed_for = None
        for name, value in options.features.items():
            features.set(name, value)
        for name, plain in _PLAIN.items():
            if name not in options.features:
                features.set_if_there(name, plain)
        for selector in features.entries("TriggerSelector"):
            features.set("TriggerSelector", selector)
            features.set_if_there("TriggerMode", "Off")
        features.set("PixelFormat", options.pixel_format)
        self._format = pixel_format(options.pixel_format)
        for name, pixels in zip(("BinningVertical", "BinningHorizontal"), options.binning, strict=True):
            if pixels != 1 or features.one_of(name):
                features.set(name, pixels)
        self._set_number(_GAIN, options.gain)
        if options.packet_bytes is not None:
            features.set("GevSCPSPacketSize", options.packet_bytes)
        self._sensor_shape = self._find_sensor_shape()
        self._roi = set_region(features, RegionOfInterest(0, 0, *self._sensor_shape), self._sensor_shape)
        self._expose_for(options.exposure_s)
        self._set_rate(options.frame_rate_hz)
        self._triggers = self._find_triggers()
        delay = features.one_of(*_DELAY)
        self._max_delay_s = 0.0 if delay is None else features.bounds(delay).high * _US
        self._readout_s = self._find_readout_s()
        self._camera_clock = self._find_clock()

    def _make_safe(self) -> None:
        """A camera sources nothing."""

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        self._check_link()
        if roi is not None:
            self._roi = set_region(self._features, roi, self._sensor_shape)
        if exposure_s is not None:
            self._expose_for(exposure_s)
        if (exposure_s, roi) != (None, None):
            self._readout_s = self._find_readout_s()

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        self._check_link()
        self._set_trigger(trigger, delay_s)
        first = self._prepare_stream(n)
        if self._camera_clock is not None:
            self._camera_clock.restart()
        return first

    def _settings(self) -> dict[str, SettingValue]:
        self._check_link()
        roi, features = self._roi, self._features
        found: dict[str, SettingValue] = {
            "exposure_s": self._exposure_s, "bit_depth": self.bit_depth, "readout_s": self.readout_s,
            "roi": [roi.top, roi.left, roi.height, roi.width], "sensor_shape": list(self.sensor_shape),
            "pixel_format": self._format.name, "binning": list(self.options.binning), "gain": features.number(*_GAIN),
            "frame_rate_hz": self.options.frame_rate_hz, "trigger_latency_s": self.trigger_latency_s,
            "stamp_error_s": self.stamp_error_s,
        }  # fmt: skip
        if (celsius := features.number("DeviceTemperature")) is not None:
            found["temperature_kelvin"] = celsius + 273.15
        return found

    # Parts of these

    def _name_of(self, names: tuple[str, ...]) -> str:
        name = self._features.one_of(*names)
        if name is None:
            raise SetpointError(f"{self.name}: the camera has no feature {' or '.join(names)}; nothing was sent")
        return name

    def _set_number(self, names: tuple[str, ...], value: float) -> None:
        """Set a number that need not be there to be zero."""
        name = self._features.one_of(*names)
        if name is None and value == 0:
            return
        name = self._name_of(names)
        bounds = self._features.bounds(name)
        self._features.set_near(name, value, within=max(bounds.step, 0.02 * (bounds.high - bounds.low)))

    def _expose_for(self, exposure_s: float) -> None:
        share, least_s = _EXPOSURE_GRAIN
        within = max(share * exposure_s, least_s) / _US
        self._exposure_s = float(
            self._features.set_near(self._name_of(_EXPOSURE), exposure_s / _US, within=within)
        ) * _US  # fmt: skip

    def _set_rate(self, rate_hz: float | None) -> None:
        features = self._features
        features.set_if_there("AcquisitionFrameRateEnable", rate_hz is not None)
        if rate_hz is not None:
            features.set_near(self._name_of(_RATE), rate_hz, within=0.1 * rate_hz)

    def _set_trigger(self, trigger: Trigger, delay_s: float) -> None:
        if self._armed_for == (trigger, delay_s):
            return
        features, options = self._features, self.options
        self._armed_for = None
        if "FrameStart" in features.entries("TriggerSelector"):
            features.set("TriggerSelector", "FrameStart")
        if trigger is Trigger.INTERNAL:
            features.set_if_there("TriggerMode", "Off")
        else:
            # some cameras need the mode before the source
            features.set("TriggerMode", "On")
            features.set("TriggerSource", "Software" if trigger is Trigger.SOFTWARE else self._line())
        if trigger is Trigger.HARDWARE:
            features.set("TriggerActivation", "RisingEdge" if options.trigger_edge == "rising" else "FallingEdge")
        if trigger is not Trigger.INTERNAL and (name := features.one_of(*_DELAY)) is not None:
            features.set_near(name, delay_s / _US, within=max(1.0, features.bounds(name).step))
        self._armed_for = trigger, delay_s

    def _line(self) -> str:
        lines = [each for each in self._features.entries("TriggerSource") if each.startswith("Line")]
        return self.options.trigger_line or (lines[0] if lines else "")

    def _find_triggers(self) -> frozenset[Trigger]:
        features, found = self._features, {Trigger.INTERNAL}
        sources = features.entries("TriggerSource")
        if "Software" in sources and features.one_of("TriggerSoftware"):
            found.add(Trigger.SOFTWARE)
        if self.options.trigger_line and self.options.trigger_line not in sources:
            raise SetpointError(
                f"{self.name}: the trigger line {self.options.trigger_line!r} is asked for, the camera has "
                f"{', '.join(sources) or 'none'}; correct `trigger_line` in the bench file; nothing was sent"
            )
        if self._line():
            found.add(Trigger.HARDWARE)
        return frozenset(found)

    def _find_sensor_shape(self) -> tuple[int, int]:
        features, (down, across) = self._features, self.options.binning
        height, width = features.number("HeightMax"), features.number("WidthMax")
        if height is None or width is None:
            height = features.integer("SensorHeight") // down
            width = features.integer("SensorWidth") // across
        return int(height), int(width)

    def _find_readout_s(self) -> float:
        if self.options.readout_s is not None:
            return self.options.readout_s
        rate_hz = self._features.number(*_TOP_RATE)
        return max(1 / rate_hz - self._exposure_s, 0.0) if rate_hz else 0.0

    def _find_clock(self) -> CameraClock | None:
        features, options = self._features, self.options
        if options.stamps == "host":
            return CameraClock(self.clock, lambda: host_latch(self.clock), tick_s=1e-9, doubt_s=options.stamp_doubt_s)
        latches = [pair for pair in _LATCHES if all(features.one_of(name) for name in pair)]
        if options.stamps == "off" or not latches:
            return None
        command, value = latches[0]

        def latch() -> Latch:
            before_s = self.clock.now_s()
            features.run(command)
            after_s = self.clock.now_s()
            return Latch(before_s, after_s, self._ticks_of_latch(features.integer(value)))

        return CameraClock(self.clock, latch, tick_s=self._tick_s(), doubt_s=options.stamp_doubt_s)

    def _tick_s(self) -> float:
        """Return the unit of the time stamps that come with frames, in s."""
        rate_hz = self._features.number("GevTimestampTickFrequency")
        return 1 / rate_hz if rate_hz else 1e-9

    def _ticks_of_latch(self, latched: int) -> int:
        """Return the latched value in the unit of the time stamps that come with frames."""
        return latched
