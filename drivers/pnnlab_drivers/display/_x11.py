"""Monitors of an X display, by the RandR extension."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from Xlib import X
from Xlib.display import Display
from Xlib.error import DisplayConnectionError, DisplayNameError, XError
from Xlib.ext import randr

from pnnlab.errors import DeviceError
from pnnlab_drivers.display._edid import read_edid
from pnnlab_drivers.display._gamma import gamma_flaw
from pnnlab_drivers.display._monitor import Monitor

__all__ = ["XDesktop"]

_LOCAL: Final = re.compile(r":(\d+)(?:\.\d+)?")
_EDID_WORDS: Final = 32
"""128 bytes, in units of 4 as the protocol counts them."""


class XDesktop:
    """A connection to an X server.

    Args:
        name: Of the display, as `:0.1`; `None` takes the environment's.
    """

    def __init__(self, name: str | None = None) -> None:
        name = name or os.environ.get("DISPLAY", "")
        _require_server(name)
        try:
            self._display: Any = Display(name)
        except (DisplayConnectionError, DisplayNameError) as error:
            raise _no_server(name, str(error)) from error
        if not self._display.has_extension("RANDR"):
            raise DeviceError(f"the X display {name} has no RandR extension, which tells its monitors")
        self._root: Any = self._display.screen().root
        # has the server look at its cables; later on it hears of changes by itself
        self._root.xrandr_get_screen_resources()

    def monitors(self) -> Sequence[Monitor]:
        """See `Desktop.monitors`."""
        for _ in range(3):
            resources = self._root.xrandr_get_screen_resources_current()
            modes = {mode.id: mode for mode in resources.modes}
            try:
                found = [self._monitor(output, resources.config_timestamp, modes) for output in resources.outputs]
            except XError:
                continue  # plugged or unplugged while we asked
            return [monitor for monitor in found if monitor is not None]
        return ()

    def own_pixels(self) -> None:
        """See `Desktop.own_pixels`: nothing is scaled here but what `monitors` finds."""

    def keep_awake(self) -> None:
        """See `Desktop.keep_awake`."""
        self._display.force_screen_saver(X.ScreenSaverReset)
        self._display.flush()

    def close(self) -> None:
        """See `Desktop.close`."""
        self._display.close()

    def _monitor(self, output: int, timestamp: int, modes: dict[int, Any]) -> Monitor | None:
        """Return what an output shows; `None` where it is off."""
        info = self._display.xrandr_get_output_info(output, timestamp)
        # a cable that was pulled leaves the picture on, until somebody switches the output off
        if info.connection == randr.Disconnected or not info.crtc:
            return None
        crtc = self._display.xrandr_get_crtc_info(info.crtc, timestamp)
        mode = modes.get(crtc.mode)
        if mode is None:
            return None
        edid = read_edid(self._edid(output))
        flaw = ""
        if crtc.rotation != randr.Rotate_0:
            flaw = "is rotated or mirrored by RandR; set it to normal"
        elif (crtc.width, crtc.height) != (mode.width, mode.height):
            flaw = (
                f"is scaled by RandR from {crtc.width} x {crtc.height} to {mode.width} x {mode.height}; set scale 1x1"
            )
        elif edid is not None:
            flaw = edid.mode_flaw((mode.height, mode.width))
        return Monitor(
            info.name, *((edid.vendor, edid.model, edid.serial) if edid else ("", "", "")),
            left=crtc.x, top=crtc.y, width=crtc.width, height=crtc.height, refresh_hz=_refresh_hz(mode),
            flaw=flaw or self._gamma_flaw(info.crtc),
        )  # fmt: skip

    def _edid(self, output: int) -> bytes:
        atom = self._display.get_atom("EDID", only_if_exists=True)
        if not atom:
            return b""
        found = self._display.xrandr_get_output_property(output, atom, X.AnyPropertyType, 0, _EDID_WORDS)
        return bytes(found.value) if found.property_type else b""

    def _gamma_flaw(self, crtc: int) -> str:
        if not self._display.xrandr_get_crtc_gamma_size(crtc).size:
            return ""
        gamma = self._display.xrandr_get_crtc_gamma(crtc)
        return gamma_flaw(gamma.red, gamma.green, gamma.blue)


def _require_server(name: str) -> None:
    """Refuse a display of this computer that no server listens for, or a name that is none."""
    match = _LOCAL.fullmatch(name)
    if not name or (match and not Path(f"/tmp/.X11-unix/X{match[1]}").exists()):  # noqa: S108 (where X has its sockets)
        raise _no_server(name, "no server listens there" if name else "the environment names none")


def _no_server(name: str, why: str) -> DeviceError:
    return DeviceError(
        f"there is no X display {name or 'of this session'}: {why}; name it by the option `display`, or start it"
    )


def _refresh_hz(mode: Any) -> float:
    """Return the frames per second of a mode; 0 where it is of no real monitor."""
    lines = mode.h_total * mode.v_total
    if not lines or not mode.dot_clock:
        return 0.0
    rate_hz = mode.dot_clock / lines
    if mode.flags & randr.Interlace:
        rate_hz *= 2
    if mode.flags & randr.DoubleScan:
        rate_hz /= 2
    return round(float(rate_hz), 3)
