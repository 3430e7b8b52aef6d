"""The desktop of this session, on whichever system."""

import sys
from collections.abc import Sequence
from typing import Protocol

from pnnlab_drivers.display._monitor import Monitor

__all__ = ["Desktop", "open_desktop"]


class Desktop(Protocol):
    """A connection to the system that shows windows."""

    def monitors(self) -> Sequence[Monitor]:
        """Return the monitors that show a part of the desktop now."""
        ...

    def own_pixels(self) -> None:
        """Have windows of this process in physical pixels, whatever the scaling; to be called before the first."""
        ...

    def keep_awake(self) -> None:
        """Put off the screen saver and power saving; to be called again within a minute."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


def open_desktop(display: str | None) -> Desktop:
    """Connect to the desktop of this session.

    Args:
        display: Name of an X display, as `:0.1`; `None` takes the session's.

    Raises:
        DeviceError: There is none.
        ImportError: The package for this system is not installed.
    """
    if sys.platform == "win32":
        from pnnlab_drivers.display._user32 import User32
        from pnnlab_drivers.display._windows import WindowsDesktop

        return WindowsDesktop(User32())
    if sys.platform == "darwin":
        from pnnlab_drivers.display._macos import MacDesktop

        return MacDesktop()
    from pnnlab_drivers.display._x11 import XDesktop

    return XDesktop(display)
