"""The monitors of a desktop, and which of them is meant."""

from collections.abc import Sequence
from dataclasses import dataclass

from pnnlab.errors import DeviceError

__all__ = ["Monitor", "Wanted", "choose"]


@dataclass(frozen=True)
class Monitor:
    """One monitor that shows a part of the desktop.

    Attributes:
        connector: The output's name on the graphics card, as `DP-2`; empty where the system does not tell.
        vendor: Its maker by its EDID, as `HOL`; empty where it has none.
        model: Its name by its EDID.
        serial: Its serial number by its EDID.
        left: First column on the desktop in physical pixels.
        top: First row on the desktop in physical pixels.
        width: Columns of the mode in force.
        height: Rows of the mode in force.
        refresh_hz: Frames per second of the mode in force; 0 where the system does not tell.
        flaw: Why a pixel of a window would not be a pixel of the panel with its own level; empty where it would.
    """

    connector: str
    vendor: str
    model: str
    serial: str
    left: int
    top: int
    width: int
    height: int
    refresh_hz: float = 0.0
    flaw: str = ""

    def __str__(self) -> str:
        who = " ".join(part for part in (self.vendor, self.model) if part)
        serial = f" serial {self.serial}" if self.serial else ""
        return (
            f"{self.connector or 'a monitor'} ({who or 'without EDID'}{serial}, {self.width} x {self.height} "
            f"at {self.left},{self.top})"
        )

    def overlaps(self, other: "Monitor") -> bool:
        """Return whether both show one part of the desktop."""
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.top < other.top + other.height
            and other.top < self.top + self.height
        )


@dataclass(frozen=True)
class Wanted:
    """Which monitor is meant; what is `None` does not matter.

    Attributes:
        connector: The output's name.
        vendor: The maker by the EDID.
        model: The name by the EDID.
        serial: The serial number by the EDID.
        index: Number on the desktop from left to right, then from top to bottom, from 0 on.
    """

    connector: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    index: int | None = None

    def __str__(self) -> str:
        asked = {key: value for key, value in vars(self).items() if value is not None}
        return " and ".join(f"{key} {value!r}" for key, value in asked.items())

    def fits(self, monitor: Monitor) -> bool:
        """Return whether a monitor is as asked, its index aside."""
        return all(
            asked is None or asked == getattr(monitor, key) for key, asked in vars(self).items() if key != "index"
        )


def choose(monitors: Sequence[Monitor], wanted: Wanted, *, who: str) -> Monitor:
    """Return the one monitor that is meant.

    Args:
        monitors: All of them.
        wanted: Which one.
        who: The device, for messages.

    Raises:
        DeviceError: None fits, or several do, or its pixels would not be the window's.
    """
    there = f"monitors there are: {'; '.join(map(str, monitors)) or 'none'}"
    found = [monitor for monitor in monitors if wanted.fits(monitor)]
    if wanted.index is not None:
        found = sorted(found, key=lambda monitor: (monitor.left, monitor.top))
        if any(one.overlaps(other) for k, one in enumerate(found) for other in found[:k]):
            raise DeviceError(
                f"{who}: {wanted} is asked for, and monitors that mirror each other have no order; name it by "
                f"connector or serial; {there}"
            )
        found = found[wanted.index : wanted.index + 1]
    if len(found) != 1:
        many = "several monitors fit; add connector or serial" if found else "no monitor fits; look at its cable"
        raise DeviceError(f"{who}: a monitor with {wanted} is asked for, {many}; {there}")
    (monitor,) = found
    flaw = monitor.flaw
    for other in monitors:
        if other is not monitor and other.overlaps(monitor):
            flaw = f"shows the same part of the desktop as {other}; extend the desktop instead of mirroring it"
    if flaw:
        raise DeviceError(f"{who}: {monitor} {flaw}")
    return monitor
