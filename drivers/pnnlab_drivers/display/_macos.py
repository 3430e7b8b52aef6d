"""Monitors of a macOS desktop, by Quartz Display Services."""

import ctypes
from collections.abc import Sequence
from ctypes.util import find_library
from typing import Any, Final

from pnnlab.errors import DeviceError
from pnnlab_drivers.display._gamma import gamma_flaw
from pnnlab_drivers.display._monitor import Monitor

__all__ = ["MacDesktop", "Rectangle", "vendor_text"]

_MOST: Final = 32
_TABLE: Final = 256


class Rectangle(ctypes.Structure):
    """CGRect."""

    _fields_ = (
        ("x", ctypes.c_double), ("y", ctypes.c_double), ("width", ctypes.c_double), ("height", ctypes.c_double),
    )  # fmt: skip


class MacDesktop:
    """The desktop of this session.

    A monitor has no connector here, only the numbers of its EDID. macOS lets no program switch off what it does to
    colours, but what it does shows in the gamma table, and the window reads back what it has drawn.

    Args:
        quartz: The CoreGraphics library; `None` takes the system's.
    """

    def __init__(self, quartz: Any = None) -> None:
        if quartz is None:
            path = find_library("CoreGraphics")
            if path is None:
                raise DeviceError("macOS has no CoreGraphics here; log in to a desktop")
            quartz = ctypes.CDLL(path)
        quartz.CGDisplayBounds.restype = Rectangle
        quartz.CGDisplayCopyDisplayMode.restype = ctypes.c_void_p
        for name in ("CGDisplayModeGetPixelWidth", "CGDisplayModeGetPixelHeight", "CGDisplayModeGetRefreshRate"):
            getattr(quartz, name).argtypes = [ctypes.c_void_p]
        quartz.CGDisplayModeGetPixelWidth.restype = quartz.CGDisplayModeGetPixelHeight.restype = ctypes.c_size_t
        quartz.CGDisplayModeGetRefreshRate.restype = quartz.CGDisplayRotation.restype = ctypes.c_double
        quartz.CGDisplayModeRelease.argtypes = [ctypes.c_void_p]
        for name in ("CGDisplayVendorNumber", "CGDisplayModelNumber", "CGDisplaySerialNumber"):
            getattr(quartz, name).restype = ctypes.c_uint32
        self._quartz = quartz

    def monitors(self) -> Sequence[Monitor]:
        """See `Desktop.monitors`."""
        numbers, count = (ctypes.c_uint32 * _MOST)(), ctypes.c_uint32()
        if self._quartz.CGGetActiveDisplayList(_MOST, numbers, ctypes.byref(count)):
            return ()
        return [self._monitor(number) for number in numbers[: count.value]]

    def own_pixels(self) -> None:
        """See `Desktop.own_pixels`: nothing is scaled here but what `monitors` finds."""

    def keep_awake(self) -> None:
        """See `Desktop.keep_awake`: the system's own power settings hold here."""

    def close(self) -> None:
        """See `Desktop.close`."""

    def _monitor(self, number: int) -> Monitor:
        quartz = self._quartz
        display = ctypes.c_uint32(number)
        bounds, mode = quartz.CGDisplayBounds(display), quartz.CGDisplayCopyDisplayMode(display)
        width, height, rate_hz = round(bounds.width), round(bounds.height), 0.0
        flaw = "is rotated; set it to standard" if quartz.CGDisplayRotation(display) else ""
        if mode:
            pixels = quartz.CGDisplayModeGetPixelWidth(mode), quartz.CGDisplayModeGetPixelHeight(mode)
            rate_hz = float(quartz.CGDisplayModeGetRefreshRate(mode))
            quartz.CGDisplayModeRelease(mode)
            if pixels != (width, height) and not flaw:
                flaw = f"is scaled from {width} x {height} to {pixels[0]} x {pixels[1]}; set a mode without HiDPI"
        serial = int(quartz.CGDisplaySerialNumber(display))
        return Monitor(
            "", vendor_text(int(quartz.CGDisplayVendorNumber(display))), f"{quartz.CGDisplayModelNumber(display):04X}",
            str(serial) if serial else "", left=round(bounds.x), top=round(bounds.y), width=width, height=height,
            refresh_hz=rate_hz, flaw=flaw or gamma_flaw(*self._gamma(display)),
        )  # fmt: skip

    def _gamma(self, display: ctypes.c_uint32) -> Sequence[Sequence[int]]:
        tables, count = [(ctypes.c_float * _TABLE)() for _ in range(3)], ctypes.c_uint32()
        if self._quartz.CGGetDisplayTransferByTable(display, _TABLE, *tables, ctypes.byref(count)):
            return ()
        return [[round(65535 * value) for value in table[: count.value]] for table in tables]


def vendor_text(number: int) -> str:
    """Return the three letters of a maker's number, as an EDID packs them; empty where it is none."""
    letters = "".join(chr(ord("@") + (number >> shift & 0x1F)) for shift in (10, 5, 0))
    return letters if letters.isalpha() and number < 1 << 15 else ""
