"""The Basler driver against the vendor's own camera emulation."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pnnlab.devices import Clock, ExpectedIdentity, RealClock, RegionOfInterest, State, Trigger
from pnnlab.errors import AcquisitionError, DeviceError, IdentityError, SetpointError
from pnnlab.testing import CameraConformance, DeviceArguments, does_not_apply
from pnnlab_drivers.basler.camera import BaslerCamera

pytest.importorskip("pypylon.pylon", reason="pypylon is not installed: pip install pnnlab[basler]")

SERIAL = "0815-0000"
"""Of the first of the cameras that are emulated."""


def camera(expected: ExpectedIdentity | None = None, **changes: Any) -> BaslerCamera:
    """Return a closed driver of a small emulated sensor."""
    features = {"WidthMax": 1024, "HeightMax": 1040, **changes.pop("features", {})}
    options = BaslerCamera.Options.model_validate({"features": features, **changes})
    who = expected or ExpectedIdentity(serial=SERIAL)
    return BaslerCamera("camera", options, clock=RealClock(), expected=who)


class TestBaslerCamera(CameraConformance[BaslerCamera]):
    peer = "pypylon's camera emulation"
    dimensionless_settings = frozenset({"gain"})
    impatience_s = 0.05
    account_error = {"exposure": 1e-6}  # noqa: RUF012

    def make(self, **arguments: Unpack[DeviceArguments]) -> BaslerCamera:
        expected = arguments.pop("expected", ExpectedIdentity())
        wanted = ExpectedIdentity(**{"serial": SERIAL, **expected.model_dump(exclude_none=True)})
        features = {"WidthMax": 1024, "HeightMax": 1040}
        options = BaslerCamera.Options.model_validate({"features": features})
        return BaslerCamera("camera", options, expected=wanted, **arguments)

    def clock(self) -> Clock:
        return RealClock()

    @contextmanager
    def unplugged(self, device: BaslerCamera) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYLON_CAMEMU", "0")
            if device.state is not State.CLOSED:
                device._camera.FirePnPCallback.Execute()
            yield

    @contextmanager
    def losing(self, device: BaslerCamera) -> Iterator[None]:
        device._camera.ForceFailedBufferCount.Value = 3
        device._camera.ForceFailedBuffer.Execute()
        yield

    def gullible(self, device: BaslerCamera) -> Any:
        does_not_apply("the vendor's library itself refuses what is out of range")


def grab(device: BaslerCamera, n: int = 1) -> npt.NDArray[np.number]:
    device.arm_frames(n, trigger=Trigger.INTERNAL)
    device.start()
    counts = device.read(n, timeout_s=3.0).counts
    device.disarm()
    return counts


def scene(folder: Path, levels: npt.NDArray[np.unsignedinteger]) -> dict[str, str]:
    """Write a picture; return the features by which the emulated camera shows it."""
    Image.fromarray(levels).save(folder / "scene.png")
    return {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(folder / "scene.png")}


@pytest.mark.parametrize(("pixel_format", "shift"), [("Mono8", 8), ("Mono10", 6), ("Mono12", 4), ("Mono16", 0)])
def test_frames_are_the_scene_bit_for_bit(pixel_format: str, shift: int, tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 2**16, (40, 60), dtype=np.uint16)
    with camera(features=scene(tmp_path, levels), pixel_format=pixel_format) as device:
        assert device.bit_depth == 16 - shift and device.dtype == (np.uint8 if shift == 8 else np.uint16)
        device.configure(roi=RegionOfInterest(0, 0, 40, 60))
        if shift == 8:
            Image.fromarray((levels >> 8).astype(np.uint8)).save(tmp_path / "scene.png")
        np.testing.assert_array_equal(grab(device, 2), np.stack([levels >> shift] * 2))


def test_a_region_is_the_part_of_the_sensor_that_was_asked_for(tmp_path: Path) -> None:
    """The emulation lays the picture into the region, so only the region's place is asked of the camera."""
    with camera() as device:
        device.configure(roi=RegionOfInterest(10, 20, 30, 50))
        nodes = device._camera
        assert [nodes.OffsetY.Value, nodes.OffsetX.Value, nodes.Height.Value, nodes.Width.Value] == [10, 20, 30, 50]
        assert grab(device).shape == (1, 30, 50)


def test_automatic_changes_are_off() -> None:
    with camera(features={"Gamma": 1.0}) as device:
        nodes = device._camera
        nodes.ExposureAuto.Value, nodes.GainAuto.Value, nodes.ReverseX.Value = "Continuous", "Once", True
        nodes.DigitalShift.Value, nodes.TriggerMode.Value = 2, "On"
        device.close()
        device.open()
        nodes = device._camera
        found = (nodes.ExposureAuto.Value, nodes.GainAuto.Value, nodes.ReverseX.Value, nodes.DigitalShift.Value)
        assert found == ("Off", "Off", False, 0) and nodes.TriggerMode.Value == "Off"


def test_software_triggers_are_answered_one_by_one() -> None:
    with camera() as device:
        device.configure(roi=RegionOfInterest(0, 0, 64, 64))
        device.arm_frames(3, trigger=Trigger.SOFTWARE)
        with pytest.raises(AcquisitionError, match="does not listen to software triggers now"):
            device.trigger()
        device.start()
        for k in range(3):
            device.trigger()
            counters = device.read(1, timeout_s=1.0).stamps.counters
            assert counters is not None and counters.tolist() == [k]
        with pytest.raises(AcquisitionError, match="no more than the 3 times"):
            device.trigger()


def test_a_hardware_trigger_that_is_not_wired_is_told() -> None:
    with camera() as device:
        device.arm_frames(2, trigger=Trigger.HARDWARE, delay_s=2e-3)
        assert device._camera.TriggerSource.Value == "Line1"
        assert device._camera.TriggerDelay.Value == pytest.approx(2000)
        device.start()
        with pytest.raises(AcquisitionError, match=r"0 of 2 readings came.* look at the hardware trigger"):
            device.read(2, timeout_s=0.1)


def test_incomplete_frames_are_told_and_the_others_are_good() -> None:
    with camera() as device:
        device._camera.ForceFailedBufferCount.Value = 2
        device._camera.ForceFailedBuffer.Execute()
        device.arm_frames(5, trigger=Trigger.INTERNAL)
        device.start()
        frames = device.collect(5, timeout_s=2.0)
        assert frames.stamps.intact is not None and frames.stamps.intact.tolist() == [False] * 2 + [True] * 3
        assert frames.stamps.counters is not None and frames.stamps.counters.tolist() == list(range(5))
        assert not frames.counts[:2].any() and frames.counts[2:].any()


def test_unplugged_while_a_run_goes_on_is_a_fault_although_frames_still_come() -> None:
    """The library goes on delivering frames after a removal; only asking tells."""
    with camera() as device:
        device.arm_frames(1000, trigger=Trigger.INTERNAL, out=np.empty((4, 1040, 1024), np.uint8))
        device.start()
        device.read(3, timeout_s=1.0)
        device._camera.FirePnPCallback.Execute()
        with pytest.raises(DeviceError, match=r"was unplugged .* plug it in, close the device and open it again"):
            for _ in range(3):
                device.read(3, timeout_s=1.0)
        assert device.state is State.FAULT
        device.close()
        device.open()
        assert grab(device).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_format": "Mono14"}, r"PixelFormat 'Mono14' is asked for, the camera has Mono8, Mono10, "),
        ({"gain": 99.0}, r"Gain 99 is asked for, the camera allows 0 to 48"),
        ({"exposure_s": 60.0}, r"ExposureTime 6e\+07 is asked for, the camera allows 1 to 1e\+07"),
        ({"binning": (9, 1)}, r"BinningVertical 9 is asked for, the camera allows 1 to 4"),
        ({"trigger_line": "Line9"}, r"trigger line 'Line9' is asked for, the camera has Software, Line1, "),
        ({"features": {"NoSuchThing": 1}}, r"the camera has no feature NoSuchThing"),
        ({"frame_rate_hz": 1e6}, r"AcquisitionFrameRate 1e\+06 is asked for, the camera allows"),
    ],
)
def test_an_option_that_the_camera_does_not_have_is_refused(changes: dict[str, Any], message: str) -> None:
    device = camera(**changes)
    with pytest.raises(SetpointError, match=message):
        device.open()
    assert device.state is State.CLOSED


def test_the_bench_file_says_which_camera_is_meant() -> None:
    found = {each.identity.serial: each for each in BaslerCamera.discover()}
    assert {SERIAL, "0815-0001"} <= found.keys() and found[SERIAL].note == "emulated by pypylon"
    with camera(ExpectedIdentity(serial="0815-0001")) as device:
        assert device.identity.serial == "0815-0001" and device.identity.vendor == "Basler"
    with pytest.raises(DeviceError, match=r"2 Basler cameras fit .* write the `serial` of one below `identity`"):
        camera(ExpectedIdentity(model="Emulation")).open()
    with pytest.raises(IdentityError, match=r"serial '42' is asked for, connected are Emulation serial 0815-0000"):
        camera(ExpectedIdentity(serial="42")).open()


def test_without_a_camera_the_error_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYLON_CAMEMU", "0")
    with pytest.raises(DeviceError, match=r"no Basler camera is found; look at its cable"):
        camera().open()
    assert BaslerCamera.discover() == []


def test_waiting_for_more_frames_than_wait_unread_is_told() -> None:
    with camera(buffers=2) as device:
        device.arm_frames(5, trigger=Trigger.INTERNAL)
        device.start()
        begin_s = time.monotonic()
        with pytest.raises(AcquisitionError, match=r"after 0.2 s the run is not done: 0 of 5 frames were read"):
            device.wait(0.2)
        assert time.monotonic() - begin_s < 5.0
