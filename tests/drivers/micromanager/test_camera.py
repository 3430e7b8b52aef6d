"""The Micro-Manager camera driver over MMCore and its own DemoCamera, and the sensor's physics through it."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.calibration import Repeatability, RepeatabilityOptions
from pnnlab.devices import Clock, Identity, RealClock, RegionOfInterest, SpatialLightModulator, State, Trigger
from pnnlab.errors import AcquisitionError, DeviceError, SetpointError
from pnnlab.systems import Facilities, SlmCamera
from pnnlab.testing import CameraConformance, DeviceArguments
from pnnlab_drivers.micromanager.camera import MicroManagerCamera

pytest.importorskip("pymmcore", reason="pymmcore is not installed: pip install pnnlab[micromanager]")
mm_test_adapters = pytest.importorskip("mm_test_adapters", reason="MMCore's test adapters are not installed")

ADAPTERS = Path(mm_test_adapters.device_adapter_path())
NOISE = {"Mode": "Noise", "PixelType": "16bit", "BitDepth": 16, "Offset": 100}


def options(**changes: Any) -> Any:
    known = {"adapters": ADAPTERS, "library": "DemoCamera", "device": "DCam", "hub": "DHub", **changes}
    return MicroManagerCamera.Options.model_validate(known)


def camera(**changes: Any) -> MicroManagerCamera:
    return MicroManagerCamera("camera", options(**changes), clock=RealClock())


class TestMicroManagerCamera(CameraConformance[MicroManagerCamera]):
    peer = "MMCore's DemoCamera"
    account_error = {"exposure": 1e-6}  # noqa: RUF012

    def make(self, **arguments: Unpack[DeviceArguments]) -> MicroManagerCamera:
        properties = {**NOISE, "BitDepth": 12}
        return MicroManagerCamera("camera", options(properties=properties, exposure_s=2e-3), **arguments)

    def clock(self) -> Clock:
        return RealClock()

    def gullible(self, device: MicroManagerCamera) -> AbstractContextManager[object]:
        return nullcontext()  # it takes an exposure of 1e9 ms without a word

    def instrument_has(self, device: MicroManagerCamera, quantity: str) -> npt.NDArray[np.number]:
        link = device._opened
        return np.array(float(link.core.getProperty(link.label, "Exposure")) * 1e-3)


def frames(device: MicroManagerCamera, n: int, trigger: Trigger = Trigger.INTERNAL) -> npt.NDArray[np.float64]:
    device.arm_frames(n, trigger=trigger)
    device.start()
    for _ in range(n if trigger is Trigger.SOFTWARE else 0):
        device.trigger()
    counts = device.read(n, timeout_s=20.0).counts.astype(np.float64)
    device.disarm()
    return counts


@pytest.mark.parametrize("trigger", [Trigger.INTERNAL, Trigger.SOFTWARE])
def test_mean_and_variance_are_those_of_the_sensor(trigger: Trigger) -> None:
    """The photon transfer of DemoCamera: 50 photons a ms, 2.5 electrons of read noise, 1 count an electron, offset 100.

    A Poisson variable plus read noise: mean flux x time, variance flux x time + 2.5 squared, as the adapter's source
    says. It cuts decimals off where it adds them up, so the mean is up to one count low, and the variance's third
    figure is rounding's.
    """
    with camera(properties=NOISE) as device:
        device.configure(roi=RegionOfInterest(0, 0, 128, 128))
        for exposure_s, n in ((1e-3, 12), (10e-3, 12), (50e-3, 12)):
            device.configure(exposure_s=exposure_s)
            counts, electrons = frames(device, n, trigger), 50e3 * exposure_s
            error = np.sqrt((electrons + 6.25) / counts.size)
            assert -1 - 5 * error <= counts.mean() - 100 - electrons <= 5 * error
            variance = counts.var(0, ddof=1).mean()
            # the relative standard error of a variance of n numbers is sqrt(2 / (n - 1)), here of 128 x 128 of them
            assert variance == pytest.approx(electrons + 6.25, rel=5 * np.sqrt(2 / (n - 1)) / 128 + 4e-3)


def test_eight_bits_saturate_at_255() -> None:
    with camera(properties={"Mode": "Noise", "PixelType": "8bit", "BitDepth": 8}, exposure_s=50e-3) as device:
        assert (device.bit_depth, device.dtype) == (8, np.uint8)
        assert (frames(device, 1) == 255).all()


def test_binning_and_regions_are_read_back() -> None:
    with camera(binning="2") as device:
        assert device.sensor_shape == (256, 256)
        device.configure(roi=RegionOfInterest(10, 20, 30, 40))
        assert frames(device, 2).shape == (2, 30, 40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"binning": "3"}, r"the property 'Binning' = 3 is asked for, allowed are 1, 2, 4, 8; nothing was sent"),
        ({"properties": {"Photon Flux": 1e9}}, r"'Photon Flux' = 1000000000.0 is asked for, allowed is 2 to 5000"),
        ({"properties": {"Flux": 1}}, r"the property 'Flux' = 1 is asked for, it has AllowMultiROI, "),
        ({"properties": {"PixelType": "32bitRGB"}}, r"choose grey counts of 8 to 16 bits by `properties`"),
    ],
)
def test_what_the_device_does_not_have_is_refused(changes: dict[str, Any], message: str) -> None:
    device = camera(**changes)
    with pytest.raises(SetpointError, match=message):
        device.open()
    assert device.state is State.CLOSED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "DCam2"}, r"Micro-Manager does not do loadDevice\('camera', 'DemoCamera', 'DCam2'\)"),
        ({"library": "Nothing"}, r"Micro-Manager does not do loadDevice\('camera hub', 'Nothing', 'DHub'\)"),
        ({"adapters": "/no/such/folder"}, r"there is no folder .*folder; write where Micro-Manager is installed"),
    ],
)
def test_a_device_that_is_not_there_is_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        camera(**changes).open()


def test_a_buffer_that_ran_over_is_told() -> None:
    with camera(buffer_mib=1, exposure_s=1e-3) as device:
        device.arm_frames(12, trigger=Trigger.INTERNAL)
        device.start()
        with pytest.raises(AcquisitionError, match=r"has stopped; the buffer ran over: read while it runs"):
            device.wait(0.5)


def test_two_cameras_of_one_configuration_file_share_what_it_loads(tmp_path: Path) -> None:
    config = tmp_path / "scope.cfg"
    lines = [
        "Property,Core,Initialize,0", "Device,Hub,DemoCamera,DHub", "Device,One,DemoCamera,DCam",
        "Device,Two,DemoCamera,DCam", "Parent,One,Hub", "Parent,Two,Hub", "Property,Core,Initialize,1",
        "Property,Two,PixelType,16bit", "Property,Two,BitDepth,12",
    ]  # fmt: skip
    config.write_text("\n".join(lines) + "\n")
    known = {"adapters": ADAPTERS, "config": config, "serial_property": ""}  # all of them say V1.0

    def named(label: str) -> MicroManagerCamera:
        chosen = MicroManagerCamera.Options.model_validate({**known, "label": label})
        return MicroManagerCamera(label.lower(), chosen, clock=RealClock())

    with named("One") as one, named("Two") as two:
        assert (one.bit_depth, two.bit_depth) == (8, 12)
        assert frames(one, 2).shape == frames(two, 2).shape == (2, 512, 512)
        with pytest.raises(DeviceError, match=r"scope.cfg has no device 'Three', it has .*One, Two"):
            named("Three").open()
        one.close()
        assert frames(two, 1).shape == (1, 512, 512)
    with pytest.raises(ValueError, match="either by `library` and `device`, or by `config` and `label`"):
        MicroManagerCamera.Options(adapters=ADAPTERS, library="DemoCamera")


class FluxPanel(SpatialLightModulator):
    """A panel of one pixel, which sets how many photons a ms reach the demo sensor: 50 to 350."""

    shape = (1, 1)
    levels = 16
    pitch_m = 1e-3
    frame_period_s = 1e-3
    settle_s = 0.0

    def __init__(self, device: MicroManagerCamera) -> None:
        super().__init__("panel", clock=device.clock)
        self._device = device
        self.flux_per_ms: list[float] = []

    def _open(self) -> None:
        pass

    def _identify(self) -> Identity:
        return Identity("pnnlab", "photon flux", "1")

    def _close(self) -> None:
        pass

    def _make_safe(self) -> None:
        pass

    def _write(self, levels: npt.NDArray[np.number]) -> None:
        self.flux_per_ms.append(50.0 + 20.0 * int(levels[0, 0]))
        self._device._opened.set_property("Photon Flux", self.flux_per_ms[-1])


def test_calibration_finds_the_noise_of_the_sensor() -> None:
    """`calibrate run repeatability` through the system and the driver, against the physics of a third party."""
    with camera(properties=NOISE) as device, FluxPanel(device) as panel:
        wiring = {
            "slm": "panel", "camera": "camera", "exposure_s": 2e-3,
            "encoder": {"macropixels": (1, 1)},
            "decoder": {"bins": (32, 32), "region": {"top": 0, "left": 0, "height": 32, "width": 32}},
        }  # fmt: skip
        config = SlmCamera.Config.model_validate(wiring)
        optics = SlmCamera("optics", config, {"slm": panel, "camera": device}, Facilities(device.clock))
        found = Repeatability().run(optics, RepeatabilityOptions(shots=3, repeats=32)).values
        # mean of the shots' variances: Poisson electrons in 2 ms and 2.5 electrons of read noise
        due = np.sqrt((2.0 * np.array(panel.flux_per_ms) + 6.25).mean()) / (2**16 - 1)
        # 96 readings of 1024 pixels: the standard deviation's relative error is 1 / sqrt(2 x 93 x 1024) = 0.2 %; the
        # adapter rounds photons and counts down, which adds up to two twelfths to variances of 100 to 700
        assert found["shot_std"].value == pytest.approx(due, rel=0.01)
