"""A spatial light modulator that is driven as a second display."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Candidate, DeviceOptions, Identity, SettingValue, SpatialLightModulator
from pnnlab.errors import DeviceError, StateError
from pnnlab.quantities import Hertz, Metres, Seconds
from pnnlab_drivers.display._desktop import open_desktop
from pnnlab_drivers.display._link import WindowLink
from pnnlab_drivers.display._monitor import Monitor, Wanted, choose

__all__ = ["DisplaySlm", "DisplaySlmOptions"]

_NEEDED: Final = ("glfw", "OpenGL")
_RATE_GRAIN_HZ: Final = 1.0
"""Rates are told as whole numbers by some systems."""


class DisplaySlmOptions(DeviceOptions):
    """The options of the driver `display-slm`.

    The monitor is named by `connector`, or by what its EDID says (`vendor`, `model`, `serial`); all that is given must
    be right, and one monitor only may fit. `index` is the last resort: it counts from left to right and changes when
    monitors are moved on the desktop.

    Attributes:
        connector: The output's name, as `DP-2`; on Windows the target of the port, as `UID4352`.
        vendor: The monitor's maker by its EDID, three letters.
        model: The monitor's name by its EDID.
        serial: The monitor's serial number by its EDID.
        index: The monitor's place from left to right, from 0 on.
        display: X display, as `:0.1`; the session's if not given.
        pitch_m: Distance of neighbouring pixels, by the panel's data sheet.
        settle_s: From a new pattern to settled light, by the panel's data sheet.
        latency_s: Least and most time that the panel's own electronics add from the cable to the light, by its data
            sheet; what display and cable take is counted apart.
        levels: Grey levels over the panel's full scale.
        blank_level: What all pixels show where nothing is to be shown.
        vsync: Whether patterns wait for the display's refresh, so that none is shown in parts.
        frame_rate_hz: Refreshes per second, where the system does not tell them.
    """

    connector: str | None = Field(default=None, min_length=1)
    vendor: str | None = Field(default=None, min_length=1)
    model: str | None = Field(default=None, min_length=1)
    serial: str | None = Field(default=None, min_length=1)
    index: int | None = Field(default=None, ge=0)
    display: str | None = Field(default=None, min_length=1)
    pitch_m: Metres = Field(gt=0)
    settle_s: Seconds = Field(ge=0)
    latency_s: tuple[Seconds, Seconds] = (0.0, 0.0)
    levels: int = Field(default=256, ge=2, le=256)
    blank_level: int = Field(default=0, ge=0)
    vsync: bool = True
    frame_rate_hz: Hertz | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wanted == Wanted():
            raise ValueError("no monitor is named; write its connector, or vendor, model and serial of its EDID")
        least_s, most_s = self.latency_s
        if not 0 <= least_s <= most_s:
            raise ValueError(f"latency is {least_s:g} s to {most_s:g} s; write the least first, neither below 0")
        if self.blank_level >= self.levels:
            raise ValueError(f"blank_level {self.blank_level} is none of {self.levels} levels")
        return self

    @property
    def wanted(self) -> Wanted:
        """Return which monitor is meant."""
        return Wanted(self.connector, self.vendor, self.model, self.serial, self.index)


class DisplaySlm(SpatialLightModulator):
    """A panel on a display output of the graphics card, with 8 bits a pixel.

    A process of its own keeps a borderless window of the monitor's native size; level k is sent as k in red, green and
    blue. Opening covers the desktop with the blank level, and fails unless what the graphics card draws reads back
    pixel for pixel. A monitor that is unplugged or set to another mode is noticed within a quarter of a second: the
    window goes blank, and the next call fails and puts the device into fault.

    When the device is closed or this process dies the window goes blank and then away, and the monitor shows the
    desktop: let that be black. `pnnlab calibrate run settling` and `latency` replace the times of the data sheets.
    HDR and automatic colour management of Windows and macOS must be off for the monitor: they are not seen from here.
    """

    Options: ClassVar[type[DeviceOptions]] = DisplaySlmOptions
    options: DisplaySlmOptions

    _link: WindowLink | None = None
    _found: Monitor | None = None

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`: every monitor that could be opened."""
        try:
            desktop = open_desktop(None)
        except (ImportError, DeviceError, OSError):
            return ()
        try:
            in_order = sorted(desktop.monitors(), key=lambda monitor: (monitor.left, monitor.top))
            return [_candidate(monitor, number) for number, monitor in enumerate(in_order)]
        finally:
            desktop.close()

    @property
    def shape(self) -> tuple[int, int]:
        """See `SpatialLightModulator.shape`: the monitor's mode; known once the device was opened."""
        monitor = self._monitor()
        return monitor.height, monitor.width

    @property
    def levels(self) -> int:
        """See `SpatialLightModulator.levels`."""
        return self.options.levels

    @property
    def pitch_m(self) -> float:
        """See `SpatialLightModulator.pitch_m`."""
        return self.options.pitch_m

    @property
    def frame_period_s(self) -> float:
        """See `SpatialLightModulator.frame_period_s`: one refresh."""
        return 1 / (self._monitor().refresh_hz or self.options.frame_rate_hz or np.nan)

    @property
    def settle_s(self) -> float:
        """See `SpatialLightModulator.settle_s`."""
        return self.options.settle_s

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `SpatialLightModulator.latency_s`.

        What the panel's electronics take, and up to one refresh for the scan from the first row to the last; with
        `vsync` one more, as graphics drivers differ in whether the call returns before the refresh or after it.
        """
        least_s, most_s = self.options.latency_s
        return least_s, most_s + (1 + self.options.vsync) * self.frame_period_s

    # Hooks

    def _claims(self) -> Sequence[str]:
        if self._link is None:
            self._found = self._choose()
        monitor = self._monitor()
        return [f"display {self.options.display or ''} {monitor.connector} at {monitor.left},{monitor.top}"]

    def _open(self) -> None:
        missing = [module for module in _NEEDED if find_spec(module) is None]
        if missing:
            raise _missing(self.name, missing[0])
        monitor = self._monitor()
        self._check_rate(monitor)
        self._free_s = -np.inf
        self._link = WindowLink(
            self.name, monitor, display=self.options.display, blank_level=self.options.blank_level,
            vsync=self.options.vsync,
        )  # fmt: skip

    def _identify(self) -> Identity:
        monitor = self._monitor()
        return Identity(monitor.vendor, monitor.model or f"monitor on {monitor.connector}", monitor.serial)

    def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _make_safe(self) -> None:
        self._window().blank()

    def _settings(self) -> dict[str, SettingValue]:
        monitor = self._monitor()
        return {
            "connector": monitor.connector, "position_px": [monitor.left, monitor.top], "shape": list(self.shape),
            "levels": self.levels, "blank_level": self.options.blank_level, "pitch_m": self.pitch_m,
            "frame_period_s": self.frame_period_s, "settle_s": self.settle_s, "latency_s": list(self.latency_s),
            "vsync": self.options.vsync, "renderer": self._window().renderer,
        }  # fmt: skip

    def _write(self, levels: npt.NDArray[np.number]) -> None:
        link = self._window()
        number = link.reserve()
        self.clock.sleep_until(self._free_s)
        if not link.show(levels.astype(np.uint8, copy=False), number):
            raise StateError(f"{self.name}: it was made safe while a pattern was written; the pattern is not shown")
        self._free_s = self.clock.now_s() + self.frame_period_s

    def _choose(self) -> Monitor:
        try:
            desktop = open_desktop(self.options.display)
        except ImportError as error:
            raise _missing(self.name, error.name or str(error)) from error
        except DeviceError as error:
            raise DeviceError(f"{self.name}: {error}") from error
        try:
            return choose(desktop.monitors(), self.options.wanted, who=self.name)
        finally:
            desktop.close()

    def _check_rate(self, monitor: Monitor) -> None:
        told_hz, asked_hz = monitor.refresh_hz, self.options.frame_rate_hz
        if not told_hz and asked_hz is None:
            raise DeviceError(
                f"{self.name}: the system does not tell how often {monitor} is refreshed; write the option `frame_rate`"
            )
        if told_hz and asked_hz is not None and abs(told_hz - asked_hz) > _RATE_GRAIN_HZ:
            raise DeviceError(
                f"{self.name}: {monitor} is refreshed {told_hz:g} times a second, `frame_rate` says {asked_hz:g}; "
                "set that mode, or leave the option out"
            )

    def _monitor(self) -> Monitor:
        if self._found is None:
            raise StateError(f"{self.name}: what monitor it is on is known once the device has been opened")
        return self._found

    def _window(self) -> WindowLink:
        if self._link is None:
            raise StateError(f"{self.name}: its window is not open")
        return self._link


def _candidate(monitor: Monitor, number: int) -> Candidate:
    options: dict[str, SettingValue] = {"connector": monitor.connector} if monitor.connector else {}
    if not options:
        told = {"vendor": monitor.vendor, "model": monitor.model, "serial": monitor.serial}
        options = {key: value for key, value in told.items() if value} or {"index": number}
    size = f"{monitor.width} x {monitor.height} pixels"
    note = (
        f"{size}, which {monitor.flaw}" if monitor.flaw else f"{size}; add pitch and settle of the panel's data sheet"
    )
    return Candidate(Identity(monitor.vendor, monitor.model, monitor.serial), options, note)


def _missing(who: str, module: str) -> DeviceError:
    return DeviceError(f"{who}: there is no module {module!r}; install pnnlab[display]; nothing was sent")
