"""Broken cameras."""

from dataclasses import replace

import numpy as np

from pnnlab.devices import RegionOfInterest, Stamps
from tests.testing.broken import broken
from tests.testing.memory_devices import MemoryCamera, Numbers


@broken("test_counts_are_right_justified", "10 bits reach 1023")
class LeftJustifiedCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        out *= 2**6
        out += 2**15
        return stamps


@broken("test_its_facts_agree", "do not fit uint8")
class NarrowCamera(MemoryCamera):
    dtype = np.dtype(np.uint8)


@broken("test_a_frame_collects_for_the_exposure", "0.001 == 0.002")
class WrongDurationCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        return replace(stamps, duration_s=self.exposure_s / 2)


@broken("test_the_exposure_in_force_stays_when_it_is_asked_for", "asked again")
class CreepingCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi)
        self.exposure_s += self.step_s


@broken("test_the_exposure_in_force_stays_when_it_is_asked_for", "longer exposures gave")
class FixedExposureCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(2e-3, roi)


@broken("test_configure_leaves_what_it_is_not_told", "assert RegionOfInter")
class ForgettingRegionCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi or RegionOfInterest(0, 0, *self.sensor_shape))


@broken("test_the_whole_sensor_can_be_read", "assert RegionOfInter")
class CroppingCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi and RegionOfInterest(roi.top, roi.left, min(roi.height, 4), roi.width))


@broken("test_frames_have_the_shape_of_the_region_in_force", "asked again")
class MovingRegionCamera(MemoryCamera):
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        super()._configure(exposure_s, roi and RegionOfInterest(min(roi.top + 1, 3), roi.left, roi.height, roi.width))


@broken("test_what_does_not_fit_is_refused", "changed exposure")
class RestlessCamera(MemoryCamera):
    @property
    def exposure_s(self) -> float:
        self.asked = getattr(self, "asked", 0) + 1
        return self.asked * 1e-3

    @exposure_s.setter
    def exposure_s(self, value: float) -> None:
        pass


@broken("test_a_delay_that_it_cannot_keep_is_refused", "a delay of inf s reached _arm_frames()")
class EndlessDelayCamera(MemoryCamera):
    max_delay_s = np.inf
