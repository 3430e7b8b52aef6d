"""Arrays in the IDX format, in which MNIST and its successors are kept."""

import gzip
import struct
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import RunError

__all__ = ["read_idx"]

_BYTES: Final = 0x08
"""Type code of unsigned bytes, the only one that images and classes have."""


def read_idx(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    """Return an array of unsigned bytes from a file in the IDX format, compressed (`.gz`) or not.

    The format: two zero bytes, a type, the number of dimensions, each dimension as a big-endian integer of four bytes,
    then the numbers (LeCun, Cortes & Burges 1998, http://yann.lecun.com/exdb/mnist).

    Raises:
        RunError: There is no such file, or it holds something else.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    try:
        data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        zero, kind, n_dimensions = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{n_dimensions}I", data[4 : 4 + 4 * n_dimensions])
        values = np.frombuffer(data, np.uint8, offset=4 + 4 * n_dimensions)
        if zero or kind != _BYTES or values.size != int(np.prod(shape)):
            raise RunError(f"{folder / name}: it holds no array of bytes in the IDX format; download it again")
    except (OSError, EOFError, struct.error) as error:
        raise RunError(
            f"{folder / name}: it cannot be read, with or without .gz ({error}); the folder should hold the files of "
            "MNIST as they are published"
        ) from error
    return values.reshape(shape)
