"""Monitors of a Windows desktop."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pnnlab_drivers.display._edid import Edid, read_edid
from pnnlab_drivers.display._gamma import gamma_flaw
from pnnlab_drivers.display._monitor import Monitor

__all__ = ["InterfaceName", "Mode", "WindowsApi", "WindowsDesktop", "parse_interface"]

_INTERFACE: Final = re.compile(r"\\\\\?\\DISPLAY#(?P<product>[A-Z]{3}[0-9A-F]{4})#(?P<instance>[^#]+)#\{[^}]+\}", re.I)
_TARGET: Final = re.compile(r"UID\d+", re.I)
_UNKNOWN_RATE_HZ: Final = 1
"""0 and 1 stand for the hardware's default rate (DEVMODEW, dmDisplayFrequency)."""


@dataclass(frozen=True)
class Mode:
    """What `EnumDisplaySettingsW` says of an adapter's output: physical pixels, whatever the scaling of windows is.

    Attributes:
        left: First column on the desktop.
        top: First row on the desktop.
        width: Columns.
        height: Rows.
        rotation: Quarter turns.
        refresh_hz: Whole frames per second; 0 or 1 where it is not known.
    """

    left: int
    top: int
    width: int
    height: int
    rotation: int
    refresh_hz: int


class WindowsApi(Protocol):
    r"""What is asked of Windows; adapters are named as `\\.\DISPLAY1`."""

    def adapters(self) -> Sequence[str]:
        """Return the adapters that show a part of the desktop (`EnumDisplayDevicesW`)."""
        ...

    def interfaces(self, adapter: str) -> Sequence[str]:
        """Return the interface names of an adapter's active monitors (`EDD_GET_DEVICE_INTERFACE_NAME`)."""
        ...

    def mode(self, adapter: str) -> Mode | None:
        """Return the mode in force; `None` where the adapter has gone."""
        ...

    def edid(self, product: str, instance: str) -> bytes:
        """Return what the registry keeps of a monitor's EDID; empty where it keeps none."""
        ...

    def gamma(self, adapter: str) -> Sequence[Sequence[int]]:
        """Return the three gamma tables of the adapter (`GetDeviceGammaRamp`); none where it does not tell."""
        ...

    def keep_awake(self) -> None:
        """Put off screen saver and power saving (`SetThreadExecutionState`)."""
        ...

    def be_dpi_aware(self) -> None:
        """Have windows of this process in physical pixels on every monitor."""
        ...


@dataclass(frozen=True)
class InterfaceName:
    """The parts of a monitor's interface name.

    Attributes:
        product: Maker and product code of its EDID, as `HOL1234`.
        instance: Where it is plugged in; a key of the registry.
        target: The output of the graphics card in it, as `UID4352`; empty where it is not told.
    """

    product: str
    instance: str
    target: str


def parse_interface(name: str) -> InterfaceName | None:
    r"""Return the parts of a name as `\\?\DISPLAY#HOL1234#5&2f8e&0&UID4352#{e6f0...}`; `None` where it is none."""
    match = _INTERFACE.fullmatch(name)
    if match is None:
        return None
    target = _TARGET.search(match["instance"])
    return InterfaceName(match["product"].upper(), match["instance"], target[0].upper() if target else "")


class WindowsDesktop:
    """The desktop of this session.

    A monitor's connector is the target number of its interface name (`UID4352`), which belongs to a port of the
    graphics card; the numbers of `DISPLAY1`, `DISPLAY2` change when Windows starts.

    Args:
        api: Windows.
    """

    def __init__(self, api: WindowsApi) -> None:
        self._api = api

    def own_pixels(self) -> None:
        """See `Desktop.own_pixels`."""
        self._api.be_dpi_aware()

    def monitors(self) -> Sequence[Monitor]:
        """See `Desktop.monitors`."""
        return list(self._monitors())

    def keep_awake(self) -> None:
        """See `Desktop.keep_awake`."""
        self._api.keep_awake()

    def close(self) -> None:
        """See `Desktop.close`."""

    def _monitors(self) -> Iterator[Monitor]:
        for adapter in self._api.adapters():
            mode = self._api.mode(adapter)
            if mode is None:
                continue
            gamma = gamma_flaw(*self._api.gamma(adapter))
            # several where the desktop is duplicated: they share their place, and are refused for that
            for name in self._api.interfaces(adapter):
                parts = parse_interface(name)
                edid = read_edid(self._api.edid(parts.product, parts.instance)) if parts else None
                rate_hz = float(mode.refresh_hz) if mode.refresh_hz > _UNKNOWN_RATE_HZ else 0.0
                yield Monitor(
                    parts.target if parts else "", *_who(edid, parts), left=mode.left, top=mode.top, width=mode.width,
                    height=mode.height, refresh_hz=rate_hz, flaw=_flaw(mode, edid) or gamma,
                )  # fmt: skip


def _who(edid: Edid | None, parts: InterfaceName | None) -> tuple[str, str, str]:
    if edid is not None:
        return edid.vendor, edid.model, edid.serial
    return (parts.product[:3], parts.product[3:], "") if parts else ("", "", "")


def _flaw(mode: Mode, edid: Edid | None) -> str:
    if mode.rotation:
        return "is rotated in the display settings; set it to landscape as the panel is built"
    return edid.mode_flaw((mode.height, mode.width)) if edid is not None else ""
