"""Writing memristive cells by pulses with a reading after each, whatever the instrument that makes them."""

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Limits
from pnnlab.errors import DeviceError
from pnnlab.quantities import FrozenModel, Seconds, Volts

__all__ = ["PulseOptions", "pulse_limits", "report_missed", "write_cell"]

_LOG = logging.getLogger(__name__)


class PulseOptions(FrozenModel):
    """How a cell is written: pulses with a reading after each, until its conductance is near enough.

    Pulses begin at the lowest voltage and grow by a step as long as they go the same way; a change of direction begins
    anew. Which polarity sets is a matter of how the array is wired: a negative `set` voltage is allowed.

    Attributes:
        set_v: Lowest and highest voltage of pulses that raise the conductance.
        reset_v: The same for pulses that lower it.
        step_v: From one pulse to the next, without sign.
        pulse_s: How long a pulse lasts.
        tolerance: Part of the conductance by which it may be off.
        pulses: Pulses that a cell gets at most.
        missed_cells: Cells that may stay off; they are logged, and told in the settings.
    """

    set_v: tuple[Volts, Volts]
    reset_v: tuple[Volts, Volts]
    step_v: Volts = Field(gt=0)
    pulse_s: Seconds = Field(default=1e-3, gt=0)
    tolerance: float = Field(default=0.05, gt=0, lt=1)
    pulses: int = Field(default=100, gt=0)
    missed_cells: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _grows(self) -> "PulseOptions":
        for name, (first, last) in (("set", self.set_v), ("reset", self.reset_v)):
            if first * last <= 0 or abs(first) > abs(last):
                raise ValueError(f"{name} runs from {first:g} V to {last:g} V; it must grow and keep its sign")
        if self.set_v[0] * self.reset_v[0] > 0:
            raise ValueError("set and reset have the same sign; a bipolar cell needs both")
        return self

    @property
    def smallest_v(self) -> tuple[float, float]:
        """Return the voltages of the smallest pulses that raise the conductance, and that lower it."""
        return self.set_v[0], self.reset_v[0]

    @property
    def largest_v(self) -> float:
        """Return the highest voltage of a pulse, without sign."""
        return max(abs(self.set_v[1]), abs(self.reset_v[1]))

    def check_reading(self, read_v: float) -> None:
        """Refuse a read voltage that writes.

        Raises:
            ValueError: The lowest pulse is no higher.
        """
        lowest_v = min(abs(self.set_v[0]), abs(self.reset_v[0]))
        if lowest_v <= read_v:
            raise ValueError(f"pulses begin at {lowest_v:g} V, which is no more than the read voltage of {read_v:g} V")


def pulse_limits(options: PulseOptions) -> Limits:
    """Return the voltages that pulses may have."""
    ends = (*options.set_v, *options.reset_v)
    return Limits(min(ends), max(ends))


def write_cell(
    target: float, options: PulseOptions, *, read: Callable[[], float], pulse: Callable[[float], None]
) -> float:
    """Write one cell; return the conductance that it was read at last, in S.

    Args:
        target: The conductance in S.
        options: How.
        read: Reads the cell in S.
        pulse: Gives it a pulse of so many V.
    """
    found, raising, volts = read(), None, 0.0
    for _ in range(options.pulses):
        if abs(found - target) <= options.tolerance * target:
            break
        first, last = options.set_v if found < target else options.reset_v
        if raising is not (found < target):
            raising, volts = found < target, first
        else:
            volts = float(np.sign(last)) * min(abs(volts) + options.step_v, abs(last))
        pulse(volts)
        found = read()
    return found


def report_missed(
    who: str, found: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating], options: PulseOptions
) -> int:
    """Return how many cells are off, and log them.

    Args:
        who: The device's name.
        found: Conductances after writing in S.
        wanted: What was asked for, same shape.
        options: How they were written.

    Raises:
        DeviceError: More are off than may be.
    """
    off = np.argwhere(np.abs(found - wanted) > options.tolerance * wanted)
    texts = [f"({row}, {column}) at {found[row, column]:.4g} S, not {wanted[row, column]:.4g} S" for row, column in off]
    if len(off) > options.missed_cells:
        raise DeviceError(
            f"{who}: {len(off)} of {found.size} cells could not be written with {options.pulses} pulses each: "
            f"{'; '.join(texts[:4])}; look at them, or allow `write.missed_cells`"
        )
    for text in texts:
        _LOG.warning("%s: cell %s", who, text)
    return len(off)
