"""A GigE Vision or USB3 Vision camera."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Candidate, DeviceOptions, Identity, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.quantities import Seconds
from pnnlab_drivers._choice import choose
from pnnlab_drivers.aravis._library import aravis
from pnnlab_drivers.aravis._nodes import AravisTree
from pnnlab_drivers.genicam._camera import GenicamCamera
from pnnlab_drivers.genicam._features import Features
from pnnlab_drivers.genicam._frame_ids import FrameIds
from pnnlab_drivers.genicam._options import GenicamOptions

__all__ = ["AravisCamera"]

_PIECE_S: Final = 0.2
"""No call of the library waits longer than this, so that a signal is answered."""
_POLL_S: Final = 0.5e-3
_NS: Final = 1e-9


class AravisCameraOptions(GenicamOptions):
    """The options of the driver `aravis-camera`, besides those of all GenICam cameras.

    Attributes:
        address: IP address of a GigE camera that does not answer a broadcast; not needed otherwise.
        packet_timeout_s: GigE: a packet that is so late is asked for again.
        frame_retention_s: GigE: so long after its last packet a frame is given up as incomplete.
        resend: GigE: whether lost packets are asked for again.
    """

    address: str = ""
    packet_timeout_s: Seconds = Field(default=20e-3, gt=0)
    frame_retention_s: Seconds = Field(default=100e-3, gt=0)
    resend: bool = True


class AravisCamera(GenicamCamera):
    """A GigE Vision or USB3 Vision camera of any vendor, by Aravis."""

    Options: ClassVar[type[DeviceOptions]] = AravisCameraOptions
    options: AravisCameraOptions

    _camera: Any = None
    _handle: Any = None
    _stream: Any = None
    _on_loss: int | None = None
    _buffers: dict[Any, npt.NDArray[np.uint8]]
    _lost = False
    _started = False

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`."""
        try:
            library = aravis("aravis-camera")
            library.update_device_list()
            count = library.get_n_devices()
        except Exception:  # nothing that goes wrong here is anybody's error
            return ()
        return [
            Candidate(
                _identity(library, k), note=f"{library.get_device_protocol(k)} at {library.get_device_address(k)}"
            )
            for k in range(count)
        ]

    # Hooks

    def _claims(self) -> Sequence[str]:
        who = self._expected.serial or self.options.address or "that is found alone"
        return (f"GenICam camera {who}",)

    def _connect(self) -> Features:
        self._library = library = aravis(self.name)
        self._who, way = Identity("", "", ""), self.options.address
        if not way:
            library.update_device_list()
            found = [_identity(library, k) for k in range(library.get_n_devices())]
            chosen = choose(found, self._expected, device=self.name, kind="GigE Vision or USB3 Vision camera")
            self._who, way = found[chosen], library.get_device_id(chosen)
        try:
            self._camera = library.Camera.new(way)
        except Exception as error:
            raise DeviceError(
                f"{self.name}: the camera {way} does not open: {error}; look at its address, its cable and its power"
            ) from error
        self._handle = handle = self._camera.get_device()
        self._lost, self._started, self._stream, self._buffers = False, False, None, {}
        if self._camera.is_gv_device():
            if not handle.is_controller():
                raise DeviceError(
                    f"{self.name}: the camera {way} is controlled by another program or computer; close it there and "
                    "open it again; nothing was sent"
                )
            if self.options.packet_bytes is not None:
                handle.set_packet_size_adjustment(library.GvPacketSizeAdjustment.NEVER)
        self._on_loss = handle.connect("control-lost", self._lose)
        return Features(self.name, AravisTree(self.name, library, handle, self._lose))

    def _lose(self, *_: object) -> None:
        """Take note that the camera is gone; called by the library's own thread, too."""
        self._lost = True

    def _identify(self) -> Identity:
        features, who = self._features, self._who
        firmware = features.one_of("DeviceFirmwareVersion", "DeviceVersion")
        texts = {
            "vendor": who.vendor or self._text("DeviceVendorName"),
            "model": who.model or self._text("DeviceModelName"),
            "serial": who.serial or self._text("DeviceSerialNumber", "DeviceID"),
        }
        return Identity(**texts, firmware="" if firmware is None else str(features.read(firmware)).strip())

    def _text(self, *names: str) -> str:
        name = self._features.one_of(*names)
        return "" if name is None else str(self._features.read(name)).strip()

    def _frame_ids(self) -> FrameIds:
        if self._camera.is_uv_device():
            return FrameIds.wide()
        extended = self._features.one_of("GevGVSPExtendedIDMode")
        is_extended = extended is not None and self._features.read(extended) == "On"
        return FrameIds.extended() if is_extended else FrameIds.sixteen_bits()

    def _tick_s(self) -> float:
        return _NS  # the library tells the stamps of frames in ns, whatever the camera's unit

    def _ticks_of_latch(self, latched: int) -> int:
        rate_hz = self._features.number("GevTimestampTickFrequency")
        return round(latched * 1e9 / rate_hz) if rate_hz else latched

    def _close(self) -> None:
        if self._handle is None:
            return
        if self._on_loss is not None:
            self._handle.disconnect(self._on_loss)
        if not self._lost:
            with suppress(Exception):  # it may be gone for all we know, and is let go anyway
                if self._started:
                    self._camera.stop_acquisition()
                if self._camera.is_gv_device() and self._handle.is_controller():
                    self._handle.leave_control()
        features = vars(self).pop("_features", None)  # there are none after a half-done opening
        gone = [self._stream, self._buffers, self._camera_clock, features, self._camera, self._handle]
        del features
        self._stream = self._camera = self._handle = self._on_loss = self._camera_clock = None
        self._buffers, self._started = {}, False
        if self._lost:
            # the library takes leave of a camera by asking it, and asks one that is gone for seconds
            threading.Thread(target=gone.clear, name=f"{self.name} takes leave", daemon=True).start()

    def _check_link(self) -> None:
        if self._lost:
            raise DeviceError(
                f"{self.name}: the camera no longer answers: it was unplugged, lost its power, or another program took "
                "it; look at it, close the device and open it again"
            )

    def _prepare_stream(self, n: int) -> int | None:
        self._n, self._n_read, self._n_triggers, self._started = n, 0, 0, False
        self._stream = None  # the stream before must be gone first
        try:
            self._stream = stream = self._camera.create_stream(None, None)
        except Exception as error:
            raise DeviceError(
                f"{self.name}: no stream of frames can be made: {error}; look at the cable, at the firewall and, by "
                "USB, at the rights to use the port; close the device and open it again"
            ) from error
        if self._camera.is_gv_device():
            never, always = self._library.GvStreamPacketResend.NEVER, self._library.GvStreamPacketResend.ALWAYS
            stream.set_property("packet-resend", always if self.options.resend else never)
            stream.set_property("packet-timeout", round(1e6 * self.options.packet_timeout_s))
            stream.set_property("frame-retention", round(1e6 * self.options.frame_retention_s))
        for buffer in self._make_buffers(min(n, self.options.buffers)):
            self._push(buffer)
        return None

    def _push(self, buffer: Any) -> None:
        """Hand a buffer to the stream; without its first packet, a frame would tell of the one before."""
        buffer.set_frame_id(self._ids.unknown)
        buffer.set_timestamp(0)
        self._stream.push_buffer(buffer)

    def _make_buffers(self, count: int) -> Sequence[Any]:
        """Return buffers for frames; their memory is ours, so that a frame is copied once."""
        size = self._camera.get_payload()
        if any(len(data) != size for data in self._buffers.values()):
            self._buffers = {}
        while len(self._buffers) < count:
            data = np.empty(size, np.uint8)
            self._buffers[self._library.Buffer.new(size, data.ctypes.data)] = data
        return list(self._buffers)[:count]

    def _start(self) -> None:
        self._check_link()
        self._camera.start_acquisition()
        self._started = True

    def _trigger(self) -> None:
        self._check_link()
        listens = self._started and self._armed_for is not None and self._armed_for[0] is Trigger.SOFTWARE
        if not listens or self._n_triggers >= self._n:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them, and trigger it "
                f"no more than the {self._n} times that it is armed for"
            )
        self._camera.software_trigger()
        self._n_triggers += 1

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        while not self._started or self._n_read + self._n_waiting < self._n:
            if self.clock.now_s() >= deadline_s:
                self._check_link()
                raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the run is not done: {self._lateness()}")
            time.sleep(_POLL_S)

    @property
    def _n_waiting(self) -> int:
        return int(self._stream.get_n_buffers()[1])

    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        ids: list[int] = []
        ticks: list[int] = []
        intact: list[bool] = []
        for row in out:
            buffer = self._next_buffer(deadline_s)
            if buffer is None:
                break
            # rarely the library takes a frame for whole although it never had the packet with its number
            whole = (
                buffer.get_status() == self._library.BufferStatus.SUCCESS
                and buffer.get_frame_id() != self._ids.unknown
                and (buffer.get_image_height(), buffer.get_image_width()) == row.shape
            )
            if whole:
                self._format.put(self._buffers[buffer], row, buffer.get_image_padding().x_padding)
            else:
                row[...] = 0
            ids.append(buffer.get_frame_id())
            ticks.append(buffer.get_timestamp())
            intact.append(whole)
            self._push(buffer)
        self._n_read += len(ids)
        if len(ids) < len(out) and self._started:
            self._features.read("Width")  # whether it answers at all
        self._check_link()
        if self._camera_clock is not None:
            self._camera_clock.sync()
        return self._account(ids, ticks, intact, "" if len(ids) == len(out) else self._lateness())

    def _next_buffer(self, deadline_s: float) -> Any:
        """Return the next frame; `None` if none comes in time."""
        if not self._started:
            self.clock.sleep_until(deadline_s)
            return None
        while True:
            left_s = max(deadline_s - self.clock.now_s(), 0.0)
            buffer = self._stream.timeout_pop_buffer(round(1e6 * min(left_s, _PIECE_S)))
            if buffer is not None or left_s <= _PIECE_S:
                return buffer
            self._check_link()

    def _lateness(self) -> str:
        """Return what to look at where frames are missing."""
        if not self._started:
            return "the run was not started"
        stream = self._stream
        names = ("n_failures", "n_underruns", "n_missing_frames", "n_missing_packets", "n_resent_packets")
        known = {stream.get_info_name(k) for k in range(stream.get_n_infos())}
        told = ", ".join(f"{name[2:].replace('_', ' ')} {stream.get_info_uint64_by_name(name)}"
                         for name in names if name in known)  # fmt: skip
        trigger = "" if self._armed_for is None else f"{self._armed_for[0]} "
        return f"{self._n_read} of {self._n} frames were read ({told}); look at the {trigger}trigger and at the network"

    def _disarm(self) -> None:
        started, self._started = self._started, False
        try:
            if started:
                self._camera.stop_acquisition()
        finally:
            self._stream = None


def _identity(library: Any, k: int) -> Identity:
    told = (library.get_device_vendor(k), library.get_device_model(k), library.get_device_serial_nbr(k))
    return Identity(*((text or "").strip() for text in told))
