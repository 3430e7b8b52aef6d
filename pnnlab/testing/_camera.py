"""The rules for a camera."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Camera, RegionOfInterest, Stamps, Trigger
from pnnlab.errors import SetpointError
from pnnlab.testing._checks import Check, quiet, shows
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._loss import LossRules
from pnnlab.testing._reading import Rows
from pnnlab.testing._subject import Call

__all__ = ["CameraConformance"]

C = TypeVar("C", bound=Camera)


class CameraConformance(LossRules[C], DeviceConformance[C]):
    """What every camera keeps; see `DeviceConformance` for its use."""

    hooks: ClassVar[tuple[str, ...]] = ("_configure", "_arm_frames")

    def calls(self, like: C) -> Mapping[str, Call[C]]:
        """See `Subject.calls`."""
        trigger = self.preferred(like)
        return {
            "configure": lambda device: device.configure(),
            "arm_frames": lambda device: device.arm_frames(1, trigger=trigger),
        }

    def senders(self, like: C) -> Mapping[str, Callable[[C, float], object]]:
        """See `Subject.senders`."""
        return {"exposure": lambda device, value: device.configure(exposure_s=value)}

    def told(self, device: C, quantity: str, sent: object) -> npt.NDArray[np.number]:
        """See `TroubleRules.told`."""
        return np.array(device.exposure_s)

    def misfits(self, like: C) -> Mapping[str, Call[C]]:
        """See `Subject.misfits`."""
        h, w = like.sensor_shape
        regions = {
            "a region above the sensor": RegionOfInterest(-1, 0, h, w),
            "a region left of the sensor": RegionOfInterest(0, -1, h, w),
            "a region with a row too many": RegionOfInterest(0, 0, h + 1, w),
            "a region with a column too many": RegionOfInterest(0, 0, h, w + 1),
            "a region that is moved down": RegionOfInterest(1, 0, h, w),
            "a region that is moved right": RegionOfInterest(0, 1, h, w),
            "a region without rows": RegionOfInterest(0, 0, 0, w),
            "a region without columns": RegionOfInterest(0, 0, h, 0),
            "a region of negative size": RegionOfInterest(h, w, -h, -w),
        }
        calls: dict[str, Call[C]] = {what: _framing(roi) for what, roi in regions.items()}
        return {**super().misfits(like), **calls}

    def readback(self, device: C) -> dict[str, object]:
        """See `Subject.readback`."""
        known = super().readback(device)
        if not known:
            return known
        roi = device.roi
        return {**known, "exposure": device.exposure_s, "roi": (roi.top, roi.left, roi.height, roi.width)}

    def triggers(self, device: C) -> frozenset[Trigger]:
        """See `RunRules.triggers`."""
        return device.triggers

    def step_s(self, device: C) -> float:
        """See `RunRules.step_s`."""
        return device.exposure_s + device.readout_s

    def arm_readings(self, device: C, n: int, trigger: Trigger, out: Rows | None = None) -> None:
        """See `ReadingRules.arm_readings`."""
        device.arm_frames(n, trigger=trigger, out=out)

    def read(self, device: C, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """See `ReadingRules.read`."""
        frames = device.read(n, timeout_s=timeout_s)
        return frames.counts, frames.stamps

    def collect(self, device: C, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """See `ReadingRules.collect`."""
        found = device.collect(n, timeout_s=timeout_s)
        return found.counts, found.stamps

    def row_type(self, device: C) -> tuple[tuple[int, ...], np.dtype[np.number]]:
        """See `ReadingRules.row_type`."""
        return device.roi.shape, device.dtype

    @quiet
    def test_its_facts_agree(self, device: C) -> None:
        assert len(device.sensor_shape) == 2 and min(device.sensor_shape) > 0
        assert device.bit_depth >= 1 and device.readout_s >= 0 and device.max_delay_s >= 0
        if np.issubdtype(device.dtype, np.integer):
            bits = 8 * device.dtype.itemsize - (device.dtype.kind == "i")
            assert device.bit_depth <= bits, (
                f"{device.name}: counts of {device.bit_depth} bits do not fit {device.dtype}"
            )
        assert self.limits_of(device, "exposure")[0] >= 0
        assert device.limits("exposure").low <= device.exposure_s <= device.limits("exposure").high

    def test_counts_are_right_justified(self, device: C) -> None:
        self.begin(device, 3)
        counts, _ = self.read(device, 3, self.patience_s)
        top = 2**device.bit_depth - 1
        assert counts.min() >= 0 and counts.max() <= top, (
            f"{device.name}: counts from {counts.min()} to {counts.max()}, {device.bit_depth} bits reach {top}"
        )

    def test_a_frame_collects_for_the_exposure(self, device: C) -> None:
        self.begin(device, 1)
        _, stamps = self.read(device, 1, self.patience_s)
        assert stamps.duration_s == pytest.approx(device.exposure_s, rel=1e-2)

    @shows(Check.REALISED)
    def test_the_exposure_in_force_stays_when_it_is_asked_for(self, device: C) -> None:
        low, high = self.limits_of(device, "exposure")
        found = []
        for exposure_s in np.geomspace(max(low, high * 1e-6), high, 9).tolist():
            device.configure(exposure_s=min(exposure_s, high))
            once_s = device.exposure_s
            assert once_s > 0
            if low <= once_s <= high:
                device.configure(exposure_s=once_s)
                assert device.exposure_s == once_s, (
                    f"{device.name}: {once_s} s in force, asked again {device.exposure_s} s"
                )
            found.append(once_s)
        assert found == sorted(found) and found[0] < found[-1], f"{device.name}: longer exposures gave {found} s"

    def test_configure_leaves_what_it_is_not_told(self, device: C) -> None:
        low, high = self.limits_of(device, "exposure")
        device.configure(roi=self._part(device))
        roi = device.roi
        device.configure(exposure_s=math.sqrt(max(low, high * 1e-6) * high))
        assert device.roi == roi
        exposure_s = device.exposure_s
        device.configure()
        assert (device.exposure_s, device.roi) == (exposure_s, roi)
        device.configure(roi=roi)
        assert (device.exposure_s, device.roi) == (exposure_s, roi)

    def test_the_whole_sensor_can_be_read(self, device: C) -> None:
        device.configure(roi=self._part(device))
        whole = RegionOfInterest(0, 0, *device.sensor_shape)
        device.configure(roi=whole)
        assert device.roi == whole

    @shows(Check.REALISED)
    def test_frames_have_the_shape_of_the_region_in_force(self, device: C) -> None:
        device.configure(roi=self._part(device))
        roi, (h, w) = device.roi, device.sensor_shape
        assert min(roi.top, roi.left) >= 0 and roi.top + roi.height <= h and roi.left + roi.width <= w
        device.configure(roi=roi)
        assert device.roi == roi, f"{device.name}: {roi} in force, asked again {device.roi}"
        self.begin(device, 2)
        counts, _ = self.read(device, 2, self.patience_s)
        assert counts.shape == (2, *roi.shape)

    def test_a_delay_that_it_cannot_keep_is_refused(self, device: C) -> None:
        trigger = self.preferred(device)
        for delay_s in (-1e-6, 1.01 * device.max_delay_s + 1e-6, math.nan, math.inf):
            self.assert_refused(device, f"a delay of {delay_s:g} s", _delaying(trigger, delay_s), SetpointError)

    def _part(self, device: C) -> RegionOfInterest:
        h, w = device.sensor_shape
        return RegionOfInterest(h // 4, w // 4, max(1, h // 2), max(1, w // 2))


def _framing(roi: RegionOfInterest) -> Call[C]:
    return lambda device: device.configure(roi=roi)


def _delaying(trigger: Trigger, delay_s: float) -> Call[C]:
    return lambda device: device.arm_frames(1, trigger=trigger, delay_s=delay_s)
