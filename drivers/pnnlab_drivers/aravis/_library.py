"""Aravis, by GObject introspection."""

from typing import Any, Final

from pnnlab.errors import DeviceError
from pnnlab_drivers._sdk import vendor_module

__all__ = ["aravis"]

_VERSIONS: Final = ("0.8", "0.10")


def aravis(device: str) -> Any:
    """Return the library.

    Args:
        device: Who needs it, for the message.

    Raises:
        DeviceError: It is not installed; nothing was sent.
    """
    gi = vendor_module("gi", device=device, extra="aravis")
    for version in _VERSIONS:
        try:
            gi.require_version("Aravis", version)
        except ValueError:
            continue
        return vendor_module("gi.repository.Aravis", device=device, extra="aravis")
    raise DeviceError(
        f"{device}: the library Aravis {' or '.join(_VERSIONS)} is not there; install it from your system's packages "
        "(Debian and Ubuntu: gir1.2-aravis-0.8), besides pnnlab[aravis]; nothing was sent"
    )
