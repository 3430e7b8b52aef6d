"""What starts one step of an armed device, and how its readings are told apart."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

__all__ = ["Setpoint", "Stamps", "Trigger"]


class Trigger(StrEnum):
    """What makes an armed device take its next step (show a pattern, take a frame, play a waveform)."""

    INTERNAL = "internal"
    """The device's own timer, from `start` on."""
    SOFTWARE = "software"
    """One call of `trigger` a step."""
    HARDWARE = "hardware"
    """One edge on the trigger line a step."""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """What was asked of an output device, and what it made of it.

    Attributes:
        tokens: The setpoint's number in the order of this device's setpoints; a sequence has one token a step.
        commanded: What was asked for, in the role's unit.
        realised: What the hardware does of it after quantisation, same shape.
        time_s: The bench's time at which it was handed to the device.
    """

    tokens: range
    commanded: npt.NDArray[np.number]
    realised: npt.NDArray[np.number]
    time_s: float


@dataclass(frozen=True, slots=True)
class Stamps:
    """The device's own account of readings, in the order in which they came.

    Attributes:
        count: How many came.
        duration_s: For how long each collected signal.
        counters: The device's number of each reading, shape `(count,)`, modulo the device's `counter_modulus`; -1 for
            an incomplete reading that does not tell; `None` where the device does not count.
        start_s: Bench time at which each began to collect, shape `(count,)`, right to the device's `stamp_error_s`;
            NaN for an incomplete reading that does not tell; `None` where the device has no clock.
        intact: Whether all of it arrived, shape `(count,)`; `None` where all are.
        note: The driver's word on readings that did not come, for the message.
    """

    count: int
    duration_s: float
    counters: npt.NDArray[np.int64] | None = None
    start_s: npt.NDArray[np.float64] | None = None
    intact: npt.NDArray[np.bool_] | None = None
    note: str = ""
