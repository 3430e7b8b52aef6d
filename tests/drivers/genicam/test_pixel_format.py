"""Pixel formats against the vendor's own converter, and against counts that lie in memory as they are."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab_drivers.genicam._pixel_format import PixelFormatName, pixel_format

PACKED = ("Mono10p", "Mono12p", "Mono10Packed", "Mono12Packed")


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("shape", [(4, 8), (3, 10), (1, 2), (5, 6)])
def test_packed_counts_are_those_of_pylon(name: PixelFormatName, shape: tuple[int, int]) -> None:
    pylon = pytest.importorskip("pypylon.pylon", reason="pypylon is not installed: pip install pnnlab[basler]")
    kind = pixel_format(name)
    data = np.random.default_rng(0).integers(0, 256, kind.size(shape), dtype=np.uint8)
    image = pylon.PylonImage()
    kept = data.tobytes()  # the library keeps no reference
    image.AttachBytesObject(kept, getattr(pylon, f"PixelType_{name.replace('P', 'p')}"), shape[1], shape[0], 0)
    converter = pylon.ImageFormatConverter()
    converter.OutputPixelFormat = pylon.PixelType_Mono16
    converter.OutputBitAlignment.Value = "LsbAligned"
    expected = converter.Convert(image).GetArray()
    found = np.zeros(shape, kind.dtype)
    kind.put(data, found)
    np.testing.assert_array_equal(found, expected)


def test_lines_may_be_padded() -> None:
    counts = np.arange(12, dtype="<u2").reshape(3, 4) * 1000
    lines = np.pad(counts.view(np.uint8), ((0, 0), (0, 2)), constant_values=255)
    found = np.zeros((3, 4), np.uint16)
    pixel_format("Mono16").put(lines.ravel(), found, 2)
    np.testing.assert_array_equal(found, counts)


@given(st.sampled_from(get_args(PixelFormatName)), st.integers(1, 9), st.integers(1, 9))
def test_every_format_fills_every_shape_within_its_depth(name: PixelFormatName, height: int, width: int) -> None:
    kind = pixel_format(name)
    found = np.zeros((height, width), kind.dtype)
    kind.put(np.full(kind.size((height, width)), 255, np.uint8), found)
    top = 2 ** (8 * kind.dtype.itemsize if kind.unpack is None else kind.bit_depth) - 1
    # the last pixel of an odd number shares its last byte with nothing
    assert (found.ravel()[: math.floor(found.size / 4) * 4] == top).all() and found.max() <= top
