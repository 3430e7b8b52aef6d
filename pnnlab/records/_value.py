"""A number that was calibrated, with its uncertainty and its unit."""

import math
from dataclasses import dataclass

from pnnlab.errors import RecordError
from pnnlab.records._unit import require_unit

__all__ = ["Value"]


@dataclass(frozen=True)
class Value:
    """One calibrated number; NaN says that it could not be determined.

    Attributes:
        value: In `unit`.
        uncertainty: Standard uncertainty (k = 1) in `unit`; 0 for a number that was counted.
        unit: SI unit as a symbol, `"1"` for a pure number.

    Raises:
        RecordError: The uncertainty is negative, or the unit is none.
    """

    value: float
    uncertainty: float
    unit: str

    def __post_init__(self) -> None:
        require_unit(self.unit, "a calibrated value")
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "uncertainty", float(self.uncertainty))
        if self.uncertainty < 0:
            raise RecordError(
                f"a calibrated value has the uncertainty {self.uncertainty!r} {self.unit}; "
                "a standard uncertainty is 0 or larger, NaN where it is not known"
            )

    @property
    def is_finite(self) -> bool:
        """Return whether the number and its uncertainty are both known."""
        return math.isfinite(self.value) and math.isfinite(self.uncertainty)

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        uncertainty = f"{self.uncertainty:#.2g}".rstrip(".") if self.uncertainty else "0"
        return f"({_to_digit_of(self.value, self.uncertainty)} ± {uncertainty}){unit}"


def _to_digit_of(value: float, uncertainty: float) -> str:
    """Return a number down to the last of the two digits that its uncertainty is written with."""
    if not (math.isfinite(value) and math.isfinite(uncertainty)) or value == 0 or uncertainty == 0:
        return f"{value:.6g}"
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 2
    return f"{value:#.{min(max(digits, 1), 15)}g}".rstrip(".")
