"""The calls to Windows; everything that is decided about their answers is in `_windows`."""

import ctypes
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from pnnlab_drivers.display._windows import Mode

__all__ = ["DeviceMode", "DisplayDevice", "User32"]

_ATTACHED_TO_DESKTOP: Final = 0x1
_ACTIVE: Final = 0x1
_MIRRORING_DRIVER: Final = 0x8
_INTERFACE_NAME: Final = 0x1
_CURRENT_SETTINGS: Final = 0xFFFFFFFF
_AWAKE: Final = 0x80000000 | 0x2 | 0x1
"""ES_CONTINUOUS, ES_DISPLAY_REQUIRED, ES_SYSTEM_REQUIRED."""
_PER_MONITOR: Final = 2
_PER_MONITOR_V2: Final = -4


class DisplayDevice(ctypes.Structure):
    """DISPLAY_DEVICEW."""

    _fields_ = (
        ("cb", ctypes.c_uint32), ("DeviceName", ctypes.c_uint16 * 32), ("DeviceString", ctypes.c_uint16 * 128),
        ("StateFlags", ctypes.c_uint32), ("DeviceID", ctypes.c_uint16 * 128), ("DeviceKey", ctypes.c_uint16 * 128),
    )  # fmt: skip


class DeviceMode(ctypes.Structure):
    """DEVMODEW, with the display's side of its union."""

    _fields_ = (
        ("dmDeviceName", ctypes.c_uint16 * 32), ("dmSpecVersion", ctypes.c_uint16),
        ("dmDriverVersion", ctypes.c_uint16), ("dmSize", ctypes.c_uint16), ("dmDriverExtra", ctypes.c_uint16),
        ("dmFields", ctypes.c_uint32), ("dmPositionX", ctypes.c_int32), ("dmPositionY", ctypes.c_int32),
        ("dmDisplayOrientation", ctypes.c_uint32), ("dmDisplayFixedOutput", ctypes.c_uint32),
        ("dmColor", ctypes.c_int16), ("dmDuplex", ctypes.c_int16), ("dmYResolution", ctypes.c_int16),
        ("dmTTOption", ctypes.c_int16), ("dmCollate", ctypes.c_int16), ("dmFormName", ctypes.c_uint16 * 32),
        ("dmLogPixels", ctypes.c_uint16), ("dmBitsPerPel", ctypes.c_uint32), ("dmPelsWidth", ctypes.c_uint32),
        ("dmPelsHeight", ctypes.c_uint32), ("dmDisplayFlags", ctypes.c_uint32), ("dmDisplayFrequency", ctypes.c_uint32),
        ("dmICMMethod", ctypes.c_uint32), ("dmICMIntent", ctypes.c_uint32), ("dmMediaType", ctypes.c_uint32),
        ("dmDitherType", ctypes.c_uint32), ("dmReserved1", ctypes.c_uint32), ("dmReserved2", ctypes.c_uint32),
        ("dmPanningWidth", ctypes.c_uint32), ("dmPanningHeight", ctypes.c_uint32),
    )  # fmt: skip


def text(units: "ctypes.Array[ctypes.c_uint16]") -> str:
    """Return a text of UTF-16 units that a zero ends."""
    return bytes(memoryview(units)).decode("utf-16-le", "replace").split("\0")[0]


if sys.platform == "win32":
    import winreg

    class User32:
        """The real Windows; see `WindowsApi`."""

        def __init__(self) -> None:
            self._user32 = ctypes.WinDLL("user32")
            self._gdi32 = ctypes.WinDLL("gdi32")
            self._kernel32 = ctypes.WinDLL("kernel32")
            self._gdi32.CreateDCW.restype = ctypes.c_void_p
            self._gdi32.CreateDCW.argtypes = [ctypes.c_wchar_p, ctypes.c_wchar_p, ctypes.c_wchar_p, ctypes.c_void_p]
            self._gdi32.GetDeviceGammaRamp.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
            self._gdi32.DeleteDC.argtypes = [ctypes.c_void_p]

        def adapters(self) -> Sequence[str]:
            """See `WindowsApi.adapters`."""
            return [
                text(found.DeviceName)
                for found in self._devices(None, 0)
                if found.StateFlags & _ATTACHED_TO_DESKTOP and not found.StateFlags & _MIRRORING_DRIVER
            ]

        def interfaces(self, adapter: str) -> Sequence[str]:
            """See `WindowsApi.interfaces`."""
            return [
                text(found.DeviceID) for found in self._devices(adapter, _INTERFACE_NAME) if found.StateFlags & _ACTIVE
            ]

        def mode(self, adapter: str) -> Mode | None:
            """See `WindowsApi.mode`."""
            found = DeviceMode(dmSize=ctypes.sizeof(DeviceMode))
            name = ctypes.c_wchar_p(adapter)
            if not self._user32.EnumDisplaySettingsW(name, ctypes.c_uint32(_CURRENT_SETTINGS), ctypes.byref(found)):
                return None
            return Mode(
                found.dmPositionX, found.dmPositionY, found.dmPelsWidth, found.dmPelsHeight,
                found.dmDisplayOrientation, found.dmDisplayFrequency,
            )  # fmt: skip

        def edid(self, product: str, instance: str) -> bytes:
            """See `WindowsApi.edid`."""
            path = rf"SYSTEM\CurrentControlSet\Enum\DISPLAY\{product}\{instance}\Device Parameters"
            try:
                with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                    return bytes(winreg.QueryValueEx(key, "EDID")[0])
            except (OSError, TypeError):
                return b""

        def gamma(self, adapter: str) -> Sequence[Sequence[int]]:
            """See `WindowsApi.gamma`."""
            context = self._gdi32.CreateDCW(adapter, adapter, None, None)
            if not context:
                return ()
            try:
                tables = (ctypes.c_uint16 * 256 * 3)()
                if not self._gdi32.GetDeviceGammaRamp(context, ctypes.byref(tables)):
                    return ()
                return [list(table) for table in tables]
            finally:
                self._gdi32.DeleteDC(context)

        def keep_awake(self) -> None:
            """See `WindowsApi.keep_awake`."""
            self._kernel32.SetThreadExecutionState(ctypes.c_uint32(_AWAKE))

        def be_dpi_aware(self) -> None:
            """See `WindowsApi.be_dpi_aware`; the newest way that this Windows has."""
            try:  # Windows 10 from version 1703 on
                if self._user32.SetProcessDpiAwarenessContext(ctypes.c_void_p(_PER_MONITOR_V2)):
                    return
            except AttributeError:
                pass
            try:  # Windows 8.1
                ctypes.WinDLL("shcore").SetProcessDpiAwareness(_PER_MONITOR)
            except (AttributeError, OSError):
                self._user32.SetProcessDPIAware()

        def _devices(self, adapter: str | None, flags: int) -> Iterator[DisplayDevice]:
            number = 0
            while True:
                found = DisplayDevice(cb=ctypes.sizeof(DisplayDevice))
                name = None if adapter is None else ctypes.c_wchar_p(adapter)
                if not self._user32.EnumDisplayDevicesW(name, number, ctypes.byref(found), flags):
                    return
                yield found
                number += 1
