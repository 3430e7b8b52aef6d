"""The numbers that a camera gives to its frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

__all__ = ["FrameIds"]

_WIDE: Final = 2**62
"""Numbers of 64 bits are told modulo this, so that they and their differences fit a signed one."""


@dataclass(frozen=True)
class FrameIds:
    """How a camera numbers its frames.

    Attributes:
        first: The lowest number there is.
        modulus: How many numbers there are; after the highest one comes `first` again.
        unknown: What stands in place of a number that is not known; `None` where all are.
    """

    first: int
    modulus: int
    unknown: int | None

    @classmethod
    def sixteen_bits(cls) -> Self:
        """Return those of GigE Vision (block ids, GVSP): 65535 is followed by 1, 0 means that there is none."""
        return cls(first=1, modulus=65535, unknown=0)

    @classmethod
    def extended(cls) -> Self:
        """Return those of GigE Vision 2 with extended ids: 64 bits, 0 means that there is none."""
        return cls(first=1, modulus=_WIDE, unknown=0)

    @classmethod
    def wide(cls) -> Self:
        """Return those of USB3 Vision: 64 bits from 0 on, the highest number means that there is none."""
        return cls(first=0, modulus=_WIDE, unknown=2**64 - 1)

    def counters(self, ids: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return counters from 0 on, modulo `modulus`; -1 for what is not known."""
        return np.array([-1 if i == self.unknown else (i - self.first) % self.modulus for i in ids], np.int64)
