"""What the graphics card's table makes of levels on their way to the cable."""

from collections.abc import Sequence
from typing import Final

import numpy as np

__all__ = ["gamma_flaw"]

_LEVELS: Final = np.arange(256)
_FLAW: Final = (
    "has a gamma table in the graphics card that changes levels; turn off night light, colour profiles and display "
    "calibration for it"
)


def gamma_flaw(*tables: Sequence[int]) -> str:
    """Return why gamma tables change levels of 8 bits; empty where they do not.

    A level of an 8-bit link takes the nearest entry, and what is sent is its upper byte or, by other cards, the nearest
    level; systems write level k as 256 k or as 257 k.

    Args:
        tables: Entries from 0 to 65535, evenly over all levels; one that is empty or all zeros is none: servers without
            a graphics card tell such ones.
    """
    for table in tables:
        if not any(table):
            continue
        nearest = np.rint(_LEVELS * (len(table) - 1) / _LEVELS[-1]).astype(np.intp)
        entries = np.asarray(table, np.int64)[nearest]
        if ((entries >> 8 != _LEVELS) & (np.rint(entries / 257) != _LEVELS)).any():
            return _FLAW
    return ""
