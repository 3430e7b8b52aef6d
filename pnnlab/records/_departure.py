"""How far a calibrated value has moved since it was calibrated before."""

import math
from dataclasses import dataclass

from pnnlab.records._value import Value

__all__ = ["Departure"]


@dataclass(frozen=True)
class Departure:
    """A value beside the same value of the newest former record.

    Attributes:
        value: The value now.
        former: The value then; `None` where that record has none of this name.
        former_id: Id of the former record.
    """

    value: Value
    former: Value | None
    former_id: str

    @property
    def sigmas(self) -> float:
        """Return the move in combined standard uncertainties, positive upwards.

        (new - old) / sqrt(u_new² + u_old²): the two uncertainties combined as those of independent measurements,
        JCGM 100:2008 (GUM), section 5.1.2. Errors that both calibrations share make the move look smaller than it is.

        Infinite where both are exact and differ; NaN where they cannot be compared: one is missing or not known, or
        the units differ.
        """
        if self.former is None or self.former.unit != self.value.unit:
            return math.nan
        move = self.value.value - self.former.value
        combined = math.hypot(self.value.uncertainty, self.former.uncertainty)
        if combined > 0 or math.isnan(combined):
            return move / combined
        return move * math.inf if move else 0.0

    def __str__(self) -> str:
        if math.isnan(self.sigmas):
            then = "not there" if self.former is None else str(self.former)
            return f"{self.value}, was {then}: not comparable"
        return f"{self.value}, was {self.former}: {self.sigmas:+.1f} standard uncertainties"
