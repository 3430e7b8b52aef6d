"""A vendor's library, imported when a device is opened."""

import importlib
from typing import Any

from pnnlab.errors import DeviceError

__all__ = ["vendor_module"]


def vendor_module(name: str, *, device: str, extra: str) -> Any:
    """Return a vendor's library; libraries of vendors have no types.

    Args:
        name: The module to import.
        device: Who needs it, for the message.
        extra: The extra of pnnlab that brings it.

    Raises:
        DeviceError: It is not installed, or does not start; nothing was sent.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        found = f"there is no module {error.name!r}"
    except Exception as error:  # an SDK may raise anything while it loads its own libraries
        found = f"{name} does not start: {type(error).__name__}: {error}"
    raise DeviceError(f"{device}: {found}; install pnnlab[{extra}]; nothing was sent")
