"""Controls that can have a few values only."""

import torch
from torch import Tensor

from pnnlab.errors import RunError
from pnnlab.methods._controls import RAW_PER_CONTROL, ControlVector
from pnnlab.systems import ControlRange

__all__ = ["Levels"]

_END = 1e-3
"""How near to the end of its range a bounded control comes: beyond it, its logit would be infinite."""


class Levels:
    """The legal values of controls: evenly round the turn where they are phases, evenly from end to end elsewhere.

    Args:
        controls: The model's trained numbers.
        count: Levels of each; 2 is Boolean: a phase of 0 or half a turn, an end of a bounded range.

    Raises:
        RunError: Some numbers are digital, or move in groups.

    Attributes:
        values: In control units, shape `(count, n)`.
    """

    def __init__(self, controls: ControlVector, count: int) -> None:
        if controls.is_grouped or None in controls.ranges:
            why = "`groups` is set" if controls.is_grouped else "the model has trained digital parameters"
            raise RunError(
                f"`levels`: controls can have {count} levels only where each physical one moves alone, but {why}"
            )
        self._periodic = torch.tensor([kind is ControlRange.PERIODIC for kind in controls.ranges])
        turns = torch.arange(count, dtype=controls.dtype)[:, None] / count
        ends = torch.linspace(_END, 1 - _END, count, dtype=controls.dtype)[:, None]
        self.values = torch.where(self._periodic, turns, ends.logit() / RAW_PER_CONTROL)

    def numbers(self, z: Tensor) -> Tensor:
        """Return which level is nearest to each control, shape `(n,)`."""
        away = self.values - z
        away = torch.where(self._periodic, away - away.round(), away)
        return away.abs().argmin(0)

    def at(self, numbers: Tensor) -> Tensor:
        """Return controls, shape `(..., n)`, of the numbers of their levels."""
        return self.values[numbers, torch.arange(self.values.shape[1])]

    def nearest(self, z: Tensor) -> Tensor:
        """Return the nearest legal controls, shape `(n,)`."""
        return self.at(self.numbers(z))

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw controls at random, shape `(count, n)`."""
        return self.at(torch.randint(len(self.values), (count, self.values.shape[1]), generator=generator))
