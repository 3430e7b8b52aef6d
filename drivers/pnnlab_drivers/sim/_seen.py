"""What was observed of readings before they are converted."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

__all__ = ["Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of readings that are not converted yet, one row each.

    Attributes:
        numbers: Which readings, increasing.
        starts_s: When they begin.
        rows: What they see.
        revision: Of the world in which they see it.
    """

    numbers: tuple[int, ...] = ()
    starts_s: tuple[float, ...] = ()
    rows: Tensor = field(default_factory=lambda: torch.empty(0))
    revision: int = 0

    def still_true(self, starts_s: list[float], revision: int) -> "Seen":
        """Return what can be kept: readings that still begin when they did, in a world that has not changed."""
        kept = 0
        if revision == self.revision:
            for number, start_s in zip(self.numbers, self.starts_s, strict=True):
                if number >= len(starts_s) or starts_s[number] != start_s:
                    break
                kept += 1
        return Seen(self.numbers[:kept], self.starts_s[:kept], self.rows[:kept], revision)

    def with_more(self, numbers: list[int], starts_s: list[float], rows: Tensor) -> "Seen":
        """Return it with later readings added."""
        joined = torch.cat([self.rows, rows]) if self.numbers else rows
        return Seen((*self.numbers, *numbers), (*self.starts_s, *starts_s), joined, self.revision)

    def split(self, stop: int) -> tuple[tuple[list[int], list[float], Tensor], "Seen"]:
        """Return readings before number `stop` and the rest."""
        k = int(np.searchsorted(self.numbers, stop))
        rest = Seen(self.numbers[k:], self.starts_s[k:], self.rows[k:], self.revision)
        return (list(self.numbers[:k]), list(self.starts_s[:k]), self.rows[:k]), rest
