"""The region of a sensor that a GenICam camera reads."""

import math

from pnnlab.devices import RegionOfInterest
from pnnlab_drivers.genicam._features import Bounds, Features

__all__ = ["set_region"]


def set_region(features: Features, roi: RegionOfInterest, sensor_shape: tuple[int, int]) -> RegionOfInterest:
    """Read the smallest region that the camera can read and that holds the one asked for; return it.

    Cameras begin and end regions in steps of some pixels. The offsets go to zero first, for size and offset limit each
    other.

    Args:
        features: The camera's.
        roi: What is asked for, on the sensor.
        sensor_shape: Pixels `(h, w)`, binned ones where the camera bins.
    """
    found: list[tuple[int, int]] = []
    axes = (("Height", "OffsetY", roi.top, roi.height), ("Width", "OffsetX", roi.left, roi.width))
    for (size, offset, begin, length), pixels in zip(axes, sensor_shape, strict=True):
        movable = features.one_of(offset) is not None
        if movable:
            features.set(offset, 0)
        step = max(1, round(features.bounds(offset).step)) if movable else 0
        begin, length = _span(begin, length, pixels, features.bounds(size), step)
        features.set(size, length)
        if movable:
            features.set(offset, begin)
        found.append((begin, length))
    (top, height), (left, width) = found
    return RegionOfInterest(top, left, height, width)


def _span(begin: int, length: int, pixels: int, sizes: Bounds, offset_step: int) -> tuple[int, int]:
    """Return begin and length of the shortest legal span that holds one, of `pixels` in all."""
    step, shortest = max(1, round(sizes.step)), math.ceil(sizes.low)
    # where a span that begins as late as it may ends beyond the sensor, a longer one begins earlier
    firsts = range(begin // offset_step * offset_step, -1, -offset_step) if offset_step else (0,)
    for first in firsts:
        longer = shortest + math.ceil(max(begin + length - first - shortest, 0) / step) * step
        if first + longer <= pixels:
            return first, longer
    return 0, shortest + (pixels - shortest) // step * step
