"""A device that takes pictures of light."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._sensor import Sensor
from pnnlab.devices._trigger import Stamps, Trigger
from pnnlab.errors import SetpointError

__all__ = ["Camera", "Frames", "RegionOfInterest"]

FrameArray = npt.NDArray[np.unsignedinteger] | npt.NDArray[np.floating]


@dataclass(frozen=True)
class RegionOfInterest:
    """The rectangle of the sensor that is read out, in sensor pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Return `(h, w)`."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of an armed run, in the order in which they came.

    Attributes:
        counts: Shape `(n, h, w)`: a view of the buffer that was armed, so copy what must survive its next use.
        stamps: The camera's own account of them.
    """

    counts: npt.NDArray[np.number]
    stamps: Stamps


class Camera(Sensor):
    """The role of a camera: light in, counts out.

    The caller may own the buffer that frames land in (`arm_frames(out=...)`), so that nothing is copied between
    the driver and the tensor.
    """

    quantities: ClassVar[Mapping[str, str]] = {"exposure": "s"}

    # What a driver tells

    @property
    @abstractmethod
    def sensor_shape(self) -> tuple[int, int]:
        """Return the sensor's pixels as `(h, w)`."""

    @property
    @abstractmethod
    def bit_depth(self) -> int:
        """Return the significant bits of a count: the largest is `2**bit_depth - 1`, right-justified."""

    @property
    @abstractmethod
    def readout_s(self) -> float:
        """Return the time from the end of an exposure until the next may begin in s."""

    @property
    @abstractmethod
    def exposure_s(self) -> float:
        """Return the exposure in force in s."""

    @property
    @abstractmethod
    def roi(self) -> RegionOfInterest:
        """Return the region of interest in force."""

    @property
    def dtype(self) -> np.dtype[np.number]:
        """Return the type of a count as the hardware gives it."""
        return np.dtype(np.uint8 if self.bit_depth <= 8 else np.uint16)

    @property
    def frames_at_once(self) -> int | None:
        """Return for how many frames a reading may wait; `None` where it is a matter of the time that they take.

        A camera whose waiting takes no time, and that makes many frames faster than a few, tells a number.
        """
        return None

    # What a user calls

    @final
    def configure(self, *, exposure_s: float | None = None, roi: RegionOfInterest | None = None) -> None:
        """Set exposure and region of interest; what is `None` stays. Read back what the camera made of it.

        Raises:
            SetpointError: Outside the limits or off the sensor; nothing was sent.
        """
        self._require_free(Sensor)
        if exposure_s is not None:
            self.limits("exposure").check(np.asarray(exposure_s), who=f"{self.name}: exposure", unit="s")
        if roi is not None:
            height, width = self.sensor_shape
            inside = (
                roi.top >= 0 and roi.left >= 0 and roi.height > 0 and roi.width > 0
                and roi.top + roi.height <= height and roi.left + roi.width <= width
            )  # fmt: skip
            if not inside:
                raise SetpointError(
                    f"{self.name}: region of interest {roi} is off the sensor of {height} x {width} pixels; "
                    "nothing was sent"
                )
        self._call(self._configure, exposure_s, roi)

    @final
    def arm_frames(
        self, n: int, *, trigger: Trigger, delay_s: float = 0.0, out: npt.NDArray[np.number] | None = None
    ) -> None:
        """Prepare to take `n` frames; exposures begin after `start`, one a trigger.

        Args:
            n: How many frames.
            trigger: What starts each exposure.
            delay_s: Time from a hardware trigger's edge to the exposure, kept by the camera, in s.
            out: Ring for them, shape `(rows, h, w)` with up to `n` rows, type `dtype`, C-contiguous: a frame stays
                until as many more were read as there are rows. Made here with `n` rows if `None`.

        Raises:
            AbilityError: The camera has no such trigger.
            SetpointError: `n`, the delay or the buffer does not fit; nothing was sent.
        """
        self._require_free(Sensor)
        self._require_trigger(trigger, self.triggers)
        if not 0 <= delay_s <= self.max_delay_s:
            raise SetpointError(
                f"{self.name}: a trigger delay of {delay_s:g} s is asked for, allowed is 0 to {self.max_delay_s:g} s; "
                "nothing was sent"
            )
        self._arm_readings(n, self.roi.shape, out, self._arm_frames, n, trigger, delay_s)

    @final
    def read(self, n: int, *, timeout_s: float) -> Frames:
        """Return the next `n` frames of the armed run.

        Args:
            n: How many frames.
            timeout_s: How long to wait for all of them, exposures included.

        Raises:
            AcquisitionError: A frame is late, lost, repeated, out of order or incomplete; none is returned.
        """
        return Frames(*self._take(n, timeout_s, all_or_none=True))

    @final
    def collect(self, n: int, *, timeout_s: float) -> Frames:
        """Return those of the next `n` frames that came in time, with all their faults; whoever asks must judge.

        Args:
            n: How many frames at most.
            timeout_s: How long to wait for all of them, exposures included.
        """
        return Frames(*self._take(n, timeout_s, all_or_none=False))

    @property
    def _row_dtype(self) -> np.dtype[np.number]:
        return self.dtype

    # Hooks of a driver

    @abstractmethod
    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        """Set what is not `None`; `exposure_s` and `roi` then tell what is in force."""

    @abstractmethod
    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int | None:
        """Be ready for `_start` and `n` exposures, each `delay_s` after its trigger; forget frames of earlier runs.

        Returns:
            The counter that the first exposure will have; `None` where that is not known.
        """
