"""The options that all GenICam cameras have."""

from typing import Literal

from pydantic import Field

from pnnlab.devices import DeviceOptions
from pnnlab.quantities import Hertz, Seconds
from pnnlab_drivers.genicam._pixel_format import PixelFormatName

__all__ = ["GenicamOptions"]


class GenicamOptions(DeviceOptions):
    """The options that all GenICam cameras have.

    Which camera is meant is told by the `serial` of `identity` in the bench file; it may be left out where only one is
    connected. Automatic exposure, gain, white balance and gamma, look-up tables and test pictures are switched off.

    Attributes:
        exposure_s: Exposure after opening.
        gain: As the camera's own feature counts it, in dB for most.
        pixel_format: How a count is sent; packed formats are unpacked.
        binning: Pixels that are read as one, `[down, across]`; regions are then counted in binned pixels.
        frame_rate_hz: Frames on the camera's own timer; if not given as fast as it can, or, where a camera cannot do
            without, at the rate that it is set to.
        trigger_line: Where a hardware trigger comes in, as `Line1`; the camera's first line if not given.
        trigger_edge: Which edge of it counts.
        readout_s: From the end of an exposure until the next may begin; what the camera tells if not given.
        trigger_latency_s: Longest time from a software trigger to its exposure.
        stamps: What clock the camera's time stamps are of: its own, which is compared with the bench's where the
            camera can latch it; this computer's time of day, for cameras that are set by it (PTP); or none is used.
        stamp_at: Whether a time stamp marks the begin or the end of an exposure.
        stamp_doubt_s: By how much a stamp may be off besides the comparison of the clocks.
        packet_bytes: Size of a GigE Vision packet; what the camera or the library thinks best if not given.
        buffers: Frames that wait unread at most; further ones are lost.
        features: Further features by their GenICam names, set before all others, in their order.
    """

    exposure_s: Seconds = Field(default=10e-3, gt=0)
    gain: float = 0.0
    pixel_format: PixelFormatName = "Mono8"
    binning: tuple[int, int] = (1, 1)
    frame_rate_hz: Hertz | None = Field(default=None, gt=0)
    trigger_line: str = ""
    trigger_edge: Literal["rising", "falling"] = "rising"
    readout_s: Seconds | None = Field(default=None, ge=0)
    trigger_latency_s: Seconds = Field(default=0.0, ge=0)
    stamps: Literal["camera", "host", "off"] = "camera"
    stamp_at: Literal["begin", "end"] = "begin"
    stamp_doubt_s: Seconds = Field(default=20e-6, ge=0)
    packet_bytes: int | None = Field(default=None, ge=46, le=65535)
    buffers: int = Field(default=64, ge=2)
    features: dict[str, bool | int | float | str] = Field(default_factory=dict)
