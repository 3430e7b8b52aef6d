"""A Basler camera."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Candidate, DeviceOptions, Identity, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab_drivers._choice import choose
from pnnlab_drivers._sdk import vendor_module
from pnnlab_drivers.basler._nodes import PylonTree
from pnnlab_drivers.genicam._camera import GenicamCamera
from pnnlab_drivers.genicam._features import Features
from pnnlab_drivers.genicam._frame_ids import FrameIds
from pnnlab_drivers.genicam._options import GenicamOptions

__all__ = ["BaslerCamera"]

_LINK_S: Final = 0.5
"""The library is asked this often whether the camera is still there; asking takes a millisecond."""
_READY_S: Final = 1.0
"""So much longer than exposure and read-out may a camera take until it waits for a trigger again."""
_POLL_S: Final = 0.5e-3


class BaslerCamera(GenicamCamera):
    """A Basler camera by GigE, USB3 or CoaXPress, or one that the vendor's library emulates.

    The library emulates as many cameras as the environment variable `PYLON_CAMEMU` says when it is loaded.
    An emulated camera shows a picture file, read anew for every frame, with the options
    `features: {TestImageSelector: Off, ImageFileMode: On, ImageFilename: scene.png}`.
    """

    Options: ClassVar[type[DeviceOptions]] = GenicamOptions
    options: GenicamOptions

    _camera: Any = None
    _watcher: Any = None
    _removed = False
    _started = False

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`."""
        try:
            pylon = vendor_module("pypylon.pylon", device="basler-camera", extra="basler")
            found = pylon.TlFactory.GetInstance().EnumerateDevices()
        except Exception:  # nothing that goes wrong here is anybody's error
            return ()
        return [Candidate(_identity(each), note=_note(each)) for each in found]

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (f"Basler camera {self._expected.serial or 'that is found alone'}",)

    def _connect(self) -> Features:
        self._pylon = pylon = vendor_module("pypylon.pylon", device=self.name, extra="basler")
        genicam = vendor_module("pypylon.genicam", device=self.name, extra="basler")
        factory = pylon.TlFactory.GetInstance()
        self._info = info = self._find(factory)
        self._camera = camera = pylon.InstantCamera()
        try:
            camera.Attach(factory.CreateDevice(info))
            self._watch(camera)
            camera.Open()
        except genicam.GenericException as error:
            raise DeviceError(
                f"{self.name}: {info.GetFriendlyName()} is there and does not open: {_first_line(error)}; if another "
                "program or computer uses it, close it there; else look at its network address and its cable"
            ) from error
        features = Features(self.name, PylonTree(genicam, camera.GetNodeMap()))
        if info.GetDeviceClass() != "BaslerCamEmu" and "TestImageSelector" not in self.options.features:
            features.set_if_there("TestImageSelector", "Off")
        self._started, self._asked_s = False, self.clock.now_s()
        return features

    def _find(self, factory: Any) -> Any:
        """Return the camera that is meant; the network, which takes its time to answer, is asked last."""
        quick = []
        for layer in factory.EnumerateTls():
            if layer.GetDeviceClass() != "BaslerGigE":
                quick.append(self._pylon.DeviceInfo())
                quick[-1].SetDeviceClass(layer.GetDeviceClass())
        found = factory.EnumerateDevices(quick) if quick else ()
        if self._expected.serial not in [each.GetSerialNumber() for each in found]:
            found = factory.EnumerateDevices()
        who = [_identity(each) for each in found]
        return found[choose(who, self._expected, device=self.name, kind="Basler camera")]

    def _watch(self, camera: Any) -> None:
        """Take note if the camera is unplugged; a grab that runs goes on without a word."""
        device, pylon = self, self._pylon

        class Watcher(pylon.ConfigurationEventHandler):  # type: ignore[misc,name-defined]
            def OnCameraDeviceRemoved(self, _camera: object) -> None:  # noqa: N802 (the vendor's name)
                device._removed = True

        # the library keeps no reference, and calls what has been collected
        self._removed, self._watcher = False, Watcher()
        camera.RegisterConfiguration(self._watcher, pylon.RegistrationMode_Append, pylon.Cleanup_None)

    def _identify(self) -> Identity:
        return _identity(self._info, firmware=str(self._features.read("DeviceVersion")))

    def _frame_ids(self) -> FrameIds:
        if not self._camera.IsGigE():
            return FrameIds.wide()
        extended = self._features.one_of("GevGVSPExtendedIDMode")
        is_extended = extended is not None and self._features.read(extended) == "On"
        return FrameIds.extended() if is_extended else FrameIds.sixteen_bits()

    def _close(self) -> None:
        camera, watcher = self._camera, self._watcher
        self._camera = self._watcher = None
        if camera is None:
            return
        try:
            if camera.IsGrabbing():
                camera.StopGrabbing()
            if watcher is not None:
                camera.DeregisterConfiguration(watcher)
            camera.Close()
        finally:
            camera.DestroyDevice()

    def _check_link(self) -> None:
        now_s = self.clock.now_s()
        if not self._removed and now_s - self._asked_s > _LINK_S:
            self._ask_link()
        if self._removed:
            raise DeviceError(
                f"{self.name}: the camera was unplugged or lost its power; plug it in, close the device and open it "
                "again"
            )

    def _ask_link(self) -> None:
        self._asked_s = self.clock.now_s()
        self._removed = self._removed or bool(self._camera.IsCameraDeviceRemoved())

    def _prepare_stream(self, n: int) -> int | None:
        self._n, self._started, self._n_read = n, False, 0
        self._camera.MaxNumBuffer.Value = min(n, self.options.buffers)
        # emulated cameras number the frames of each run from 0 on
        return 0 if self._info.GetDeviceClass() == "BaslerCamEmu" else None

    def _start(self) -> None:
        self._check_link()
        self._camera.StartGrabbingMax(self._n, self._pylon.GrabStrategy_OneByOne)
        self._started = True

    def _trigger(self) -> None:
        self._check_link()
        camera = self._camera
        listens = self._started and self._armed_for is not None and self._armed_for[0] is Trigger.SOFTWARE
        if not listens or not camera.IsGrabbing():
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them, and trigger it "
                f"no more than the {self._n} times that it is armed for"
            )
        wait_ms = round(1e3 * (self.exposure_s + self.readout_s + _READY_S))
        if not camera.WaitForFrameTriggerReady(wait_ms, self._pylon.TimeoutHandling_Return):
            self._ask_link()
            self._check_link()
            raise AcquisitionError(
                f"{self.name}: within {wait_ms} ms it was not ready for a trigger; take the run again"
            )
        camera.ExecuteSoftwareTrigger()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        ready = self._camera.NumReadyBuffers
        while not self._started or self._n_read + ready.Value < self._n:
            if self.clock.now_s() >= deadline_s:
                self._check_link()
                raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the run is not done: {self._lateness()}")
            time.sleep(_POLL_S)

    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        ids: list[int] = []
        ticks: list[int] = []
        intact: list[bool] = []
        for row in out:
            result = self._next_result(deadline_s)
            if result is None:
                break
            try:
                whole = bool(result.GrabSucceeded()) and (result.Height, result.Width) == row.shape
                if whole:
                    data = np.frombuffer(result.GetImageMemoryView(), np.uint8)
                    self._format.put(data, row, result.PaddingX)
                    del data
                else:
                    row[...] = 0
                ids.append(result.BlockID)
                ticks.append(result.TimeStamp)
                intact.append(whole)
            finally:
                result.Release()
        if len(ids) < len(out):
            self._ask_link()
        self._check_link()
        self._n_read += len(ids)
        if self._camera_clock is not None:
            self._camera_clock.sync()
        return self._account(ids, ticks, intact, "" if len(ids) == len(out) else self._lateness())

    def _next_result(self, deadline_s: float) -> Any:
        """Return the next grab result; `None` if none comes in time."""
        camera, handling = self._camera, self._pylon.TimeoutHandling_Return
        if not self._started:
            self.clock.sleep_until(deadline_s)
            return None
        while True:
            left_s = max(deadline_s - self.clock.now_s(), 0.0)
            if not camera.IsGrabbing() and not camera.NumReadyBuffers.Value:
                self.clock.sleep_until(deadline_s)  # all frames that there will be were read
                return None
            # in pieces, so that an unplugged camera is told of and a signal is answered
            result = camera.RetrieveResult(round(1e3 * min(left_s, _LINK_S)), handling)
            if result.IsValid():
                return result
            self._check_link()
            if left_s <= _LINK_S:
                return None

    def _lateness(self) -> str:
        """Return what to look at where frames are missing."""
        if not self._started:
            return "the run was not started"
        trigger = "" if self._armed_for is None else f"{self._armed_for[0]} "
        return (
            f"{self._n_read} of {self._n} frames were read; look at the {trigger}trigger, at its rate (exposure and "
            f"read-out take {self.exposure_s + self.readout_s:g} s) and at the load of the link"
        )

    def _disarm(self) -> None:
        self._started = False
        self._camera.StopGrabbing()


def _identity(info: Any, firmware: str = "") -> Identity:
    return Identity(info.GetVendorName(), info.GetModelName(), info.GetSerialNumber(), firmware)


def _note(info: Any) -> str:
    kind = {"BaslerCamEmu": "emulated by pypylon", "BaslerGigE": "GigE", "BaslerUsb": "USB3"}
    device_class = info.GetDeviceClass()
    return kind.get(device_class, str(device_class))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].partition(" : ")[0]
