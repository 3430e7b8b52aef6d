"""The legal values of one quantity of a device: the one place where a setpoint is refused."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pnnlab.errors import SetpointError

__all__ = ["UNLIMITED", "Limits"]


@dataclass(frozen=True)
class Limits:
    """The closed interval of legal values, and how fast they may change.

    Attributes:
        low: Lowest legal value, in the quantity's SI unit.
        high: Highest legal value.
        slew_per_s: Largest legal change per second, in the unit per s.
    """

    low: float = -math.inf
    high: float = math.inf
    slew_per_s: float = math.inf

    def intersect(self, other: "Limits") -> "Limits":
        """Return what both allow; it may be empty (`low > high`)."""
        return Limits(max(self.low, other.low), min(self.high, other.high), min(self.slew_per_s, other.slew_per_s))

    def check(self, values: npt.NDArray[np.number], *, who: str, unit: str) -> None:
        """Refuse values outside the limits, NaN and infinity, before anything is sent.

        Args:
            values: Any shape.
            who: Device and quantity, as `"dac: voltage"`, for the message.
            unit: Unit of the values, for the message.

        Raises:
            SetpointError: At least one value is not legal; the message counts them and names the first.
        """
        # min and max propagate NaN, so two reductions find every illegal value without a temporary
        low, high = float(values.min()), float(values.max())
        # single-precision values are held against the limit in single precision: 0.2 is 0.2 in either
        kind = values.dtype if np.issubdtype(values.dtype, np.floating) else np.dtype(np.float64)
        lowest, highest = (float(np.array(limit, kind)) for limit in (self.low, self.high))
        if low >= lowest and high <= highest and math.isfinite(low) and math.isfinite(high):
            return
        wide = values.astype(np.float64)
        illegal = ~((wide >= lowest) & (wide <= highest) & np.isfinite(wide))
        where = tuple(int(i) for i in np.argwhere(illegal)[0])
        at = f" at index {where}" if where else ""
        unit = f" {unit}" if unit else ""
        count = int(illegal.sum())
        raise SetpointError(
            f"{who} {values[where]:g}{unit}{at} is not allowed ({count} of {values.size} values); "
            f"allowed is {self.low:g} to {self.high:g}{unit}; nothing was sent"
        )

    def check_slew(self, start: npt.NDArray[np.floating], values: npt.NDArray[np.floating], step_s: float,
                   *, who: str, unit: str) -> None:  # fmt: skip
        """Refuse values that change faster than the slew limit.

        Args:
            start: The value before the first one, shape `(n_channels,)`.
            values: Successive values, shape `(n_samples, n_channels)`.
            step_s: Time from one value to the next, and from `start` to the first.
            who: As in `check`.
            unit: As in `check`.

        Raises:
            SetpointError: A step is too steep.
        """
        if math.isinf(self.slew_per_s):
            return
        steps = np.abs(np.diff(values, axis=0, prepend=start[None]))
        worst = float(steps.max())
        # one part in 1e9 above the limit is rounding of a ramp that runs exactly at the limit
        if worst <= self.slew_per_s * step_s * (1 + 1e-9):
            return
        sample, channel = (int(i) for i in np.unravel_index(int(steps.argmax()), steps.shape))
        raise SetpointError(
            f"{who} changes by {worst:g} {unit} within {step_s:g} s on channel {channel} at sample {sample}; "
            f"allowed is {self.slew_per_s:g} {unit}/s; ramp it, or raise `slew` in the bench file; nothing was sent"
        )


UNLIMITED = Limits()
