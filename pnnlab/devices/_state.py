"""Where a device is in its life."""

from enum import StrEnum

__all__ = ["State"]


class State(StrEnum):
    """Where a device is in its life."""

    CLOSED = "closed"
    OPEN = "open"
    ARMED = "armed"
    SAFE = "safe"
    FAULT = "fault"
