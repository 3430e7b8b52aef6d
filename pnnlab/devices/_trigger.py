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
    """The device's own account of `n` readings.

    Attributes:
        counters: The device's reading counter, shape `(n,)`; consecutive readings differ by one modulo
            `counter_modulus`. Empty where the device has none.
        start_s: Bench time at which each reading began to collect signal, shape `(n,)`.
        duration_s: For how long it collected.
        counter_modulus: The counter returns to zero after this many readings.
    """

    counters: npt.NDArray[np.int64]
    start_s: npt.NDArray[np.float64]
    duration_s: float
    counter_modulus: int = 2**63 - 1
