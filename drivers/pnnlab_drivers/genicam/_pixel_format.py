"""How counts lie in a camera's memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["PixelFormat", "PixelFormatName", "pixel_format"]

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.uint16]
PixelFormatName = Literal[
    "Mono8", "Mono10", "Mono12", "Mono14", "Mono16", "Mono10p", "Mono12p", "Mono10Packed", "Mono12Packed"
]


def _mono10p(data: Bytes) -> Counts:
    groups = data.reshape(-1, 5).astype(np.uint16)
    low, high = groups[:, :4], groups[:, 1:]
    shift = np.arange(0, 8, 2, dtype=np.uint16)
    return np.asarray(low >> shift | high << (8 - shift) & 0x3FF, np.uint16).reshape(-1)


def _mono12p(data: Bytes) -> Counts:
    a, b, c = data.reshape(-1, 3).astype(np.uint16).T
    return np.stack([a | (b & 0xF) << 8, b >> 4 | c << 4], axis=1).reshape(-1)


def _mono10_packed(data: Bytes) -> Counts:
    a, b, c = data.reshape(-1, 3).astype(np.uint16).T
    return np.stack([a << 2 | b & 0x3, c << 2 | b >> 4 & 0x3], axis=1).reshape(-1)


def _mono12_packed(data: Bytes) -> Counts:
    a, b, c = data.reshape(-1, 3).astype(np.uint16).T
    return np.stack([a << 4 | b & 0xF, c << 4 | b >> 4], axis=1).reshape(-1)


@dataclass(frozen=True)
class PixelFormat:
    """A pixel format of one channel, as GenICam's naming convention (PFNC) and GigE Vision define it.

    Attributes:
        name: As cameras call it.
        bit_depth: Significant bits; counts are right-justified.
        bits: Bits that a pixel takes in memory.
        group: Bytes that hold whole pixels together.
        unpack: Makes counts of a packed format's bytes; `None` where they lie in memory as they are.
    """

    name: PixelFormatName
    bit_depth: int
    bits: int
    group: int = 1
    unpack: Callable[[Bytes], Counts] | None = None

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Return the type of a count."""
        return np.dtype(np.uint8 if self.bit_depth <= 8 else np.uint16)

    def size(self, shape: tuple[int, int]) -> int:
        """Return how many bytes of a frame of `(h, w)` pixels hold pixels."""
        return -(-shape[0] * shape[1] * self.bits // 8)

    def put(self, data: Bytes, out: npt.NDArray[np.number], padding: int = 0) -> None:
        """Copy a frame as it came, bytes of shape `(n,)`, into a row of shape `(h, w)`.

        Args:
            data: At least `size` bytes.
            out: Of type `dtype`.
            padding: Bytes at the end of each line that hold no pixels; packed formats have none.
        """
        height, width = out.shape
        if self.unpack is None:
            line = width * self.dtype.itemsize
            lines = data[: height * (line + padding)].reshape(height, line + padding)[:, :line]
            out[...] = lines.view(self.dtype.newbyteorder("<"))
            return
        n = height * width
        whole = -(-self.size((height, width)) // self.group) * self.group
        padded = data[:whole] if len(data) >= whole else np.pad(data, (0, whole - len(data)))
        out[...] = self.unpack(padded)[:n].reshape(height, width)


_FORMATS: Final = (
    PixelFormat("Mono8", 8, 8), PixelFormat("Mono10", 10, 16), PixelFormat("Mono12", 12, 16),
    PixelFormat("Mono14", 14, 16), PixelFormat("Mono16", 16, 16), PixelFormat("Mono10p", 10, 10, 5, _mono10p),
    PixelFormat("Mono12p", 12, 12, 3, _mono12p), PixelFormat("Mono10Packed", 10, 12, 3, _mono10_packed),
    PixelFormat("Mono12Packed", 12, 12, 3, _mono12_packed),
)  # fmt: skip


def pixel_format(name: PixelFormatName) -> PixelFormat:
    """Return a format by its name."""
    return next(each for each in _FORMATS if each.name == name)
