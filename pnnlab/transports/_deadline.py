"""Until when somebody waits."""

import time
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Deadline", "Timeouts", "Wait"]


class Wait(StrEnum):
    """What kind of answer is waited for."""

    QUICK = "quick"
    """A setting or a reading that is there."""
    OPERATION = "operation"
    """Something that the instrument has to do first: a self-calibration, a sweep, `*OPC?`."""
    BULK = "bulk"
    """Many bytes."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for each kind of answer, in s."""

    quick_s: float = 2.0
    operation_s: float = 30.0
    bulk_s: float = 30.0

    def seconds(self, wait: Wait | float) -> float:
        """Return the seconds of a kind of answer; a number is already that."""
        if wait is Wait.QUICK:
            return self.quick_s
        if wait is Wait.OPERATION:
            return self.operation_s
        return self.bulk_s if isinstance(wait, Wait) else wait


class Deadline:
    """A moment on the computer's monotonic clock."""

    __slots__ = ("_end_s",)

    def __init__(self, timeout_s: float) -> None:
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return how much time is left in s; 0 once it has passed."""
        left_s = self._end_s - time.monotonic()
        return left_s if left_s > 0 else 0.0
