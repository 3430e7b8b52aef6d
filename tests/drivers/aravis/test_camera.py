"""The Aravis driver over GigE Vision, against Aravis's fake camera in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Clock, ExpectedIdentity, RealClock, RegionOfInterest, State, Trigger
from pnnlab.errors import DeviceError, IdentityError
from pnnlab.testing import CameraConformance, DeviceArguments
from pnnlab_drivers.aravis.camera import AravisCamera
from scripts.peers import ADDRESS, EXPOSURE_REGISTER, FakeCamera
from tests.drivers.aravis.needs import name_of, needs_aravis

needs_aravis()

POLLING_S = 105e-3
"""The fake camera looks for the first software trigger of a run within 100 ms, for later ones 25 times a second."""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeCamera]:
    with FakeCamera() as server:
        yield server


class TestAravisCamera(CameraConformance[AravisCamera]):
    peer = "Aravis's fake camera over GigE Vision"
    dimensionless_settings = frozenset({"gain"})
    account_error = {"exposure": 1e-6}  # noqa: RUF012
    stamp_error_s = 5e-3  # a frame is made at its stamp at once, without an exposure

    @pytest.fixture(autouse=True)
    def serve(self, server: FakeCamera) -> None:
        self.server = server

    def make(self, **arguments: Unpack[DeviceArguments]) -> AravisCamera:
        options = {
            "address": ADDRESS, "gain": 1, "exposure_s": 1e-3, "readout_s": POLLING_S, "trigger_latency_s": POLLING_S,
            "binning": (16, 16), "frame_rate_hz": 100.0, "stamps": "host",
        }  # fmt: skip
        return AravisCamera("camera", AravisCamera.Options.model_validate(options), **arguments)

    def clock(self) -> Clock:
        return RealClock()

    @contextmanager
    def silent(self, device: AravisCamera) -> Iterator[None]:
        self.server.freeze(True)
        try:
            yield
        finally:
            self.server.freeze(False)

    @contextmanager
    def unplugged(self, device: AravisCamera) -> Iterator[None]:
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    @contextmanager
    def losing(self, device: AravisCamera) -> Iterator[None]:
        self.restart(device, lost_per_mille=300)
        try:
            yield
        finally:
            self.restart(device)

    def gullible(self, device: AravisCamera) -> AbstractContextManager[object]:
        return nullcontext()  # its registers take every number

    def instrument_has(self, device: AravisCamera, quantity: str) -> npt.NDArray[np.number]:
        return np.array(self.server.register(EXPOSURE_REGISTER) * 1e-6)

    def readings_to_wrap(self, device: AravisCamera) -> int:
        self.restart(device)
        return 135

    def restart(self, device: AravisCamera, lost_per_mille: int = 0) -> None:
        """Let the camera be another one, which starts at the number 65401 and loses some packets."""
        device.close()
        self.server.kill()
        self.server.start(lost_per_mille)
        device.open()


def camera(**changes: Any) -> AravisCamera:
    options = {"address": ADDRESS, "gain": 1, "exposure_s": 1e-3, "frame_rate_hz": 250.0, "stamps": "host", **changes}
    return AravisCamera("camera", AravisCamera.Options.model_validate(options), clock=RealClock())


def test_frames_name_themselves_through_the_wrap_of_the_counter(server: FakeCamera) -> None:
    server.kill()
    server.start()
    with camera() as device:
        device.configure(roi=RegionOfInterest(0, 0, 16, 64))
        device.arm_frames(200, trigger=Trigger.INTERNAL)
        device.start()
        frames = device.read(200, timeout_s=5.0)
        counters, start_s = frames.stamps.counters, frames.stamps.start_s
        assert counters is not None and start_s is not None and device.counter_modulus == 65535
        assert (np.diff(counters) % 65535 == 1).all() and counters.min() == 0 and counters.max() == 65534
        # GigE Vision numbers from 1 on, the driver from 0
        assert [name_of(frame) for frame in frames.counts] == [(c + 1) % 255 for c in counters.tolist()]
        assert np.median(np.diff(start_s)) == pytest.approx(4e-3, rel=0.05) and np.diff(start_s).min() > 0


def test_counts_of_16_bits_are_those_of_the_camera(server: FakeCamera) -> None:
    with camera(pixel_format="Mono16") as device:
        device.configure(roi=RegionOfInterest(0, 0, 8, 32))
        device.arm_frames(1, trigger=Trigger.INTERNAL)
        device.start()
        frames = device.read(1, timeout_s=1.0)
        assert frames.counts.dtype == np.uint16 and device.bit_depth == 16 and frames.stamps.counters is not None
        y, x = np.mgrid[:8, :32]
        frame_id = frames.stamps.counters[0] + 1
        np.testing.assert_array_equal(frames.counts[0], (256 * x + 256 * frame_id + 256 * y) % 65535)


def test_a_frame_whose_first_packet_was_lost_tells_neither_number_nor_time(server: FakeCamera) -> None:
    server.kill()
    server.start(300)
    try:
        with camera(frame_retention_s=20e-3, packet_timeout_s=5e-3, buffers=12) as device:
            device.configure(roi=RegionOfInterest(0, 0, 16, 64))
            device.arm_frames(60, trigger=Trigger.INTERNAL)
            device.start()
            frames = device.collect(60, timeout_s=2.0)
            stamps = frames.stamps
            assert stamps.intact is not None and stamps.counters is not None and stamps.start_s is not None
            nameless = stamps.counters < 0
            assert 0 < nameless.sum() < (~stamps.intact).sum() < stamps.count
            # a buffer that is used again must not tell of the frame that was in it before
            assert (np.diff(stamps.counters[~nameless]) > 0).all() and (np.diff(stamps.start_s[~nameless]) > 0).all()
            assert not stamps.intact[nameless].any() and np.isnan(stamps.start_s[nameless]).all()
            named = [name_of(frame) for frame in frames.counts[stamps.intact]]
            assert named == ((stamps.counters[stamps.intact] + 1) % 255).tolist()
    finally:
        server.kill()
        server.start()


def test_another_program_that_has_the_camera_is_told_of(server: FakeCamera) -> None:
    code = (
        "import gi, sys; gi.require_version('Aravis', '0.8')\n"
        "from gi.repository import Aravis\n"
        f"camera = Aravis.Camera.new('{ADDRESS}'); print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None and other.stdout is not None and other.stdout.readline() == b"mine\n"
    try:
        with pytest.raises(DeviceError, match=r"controlled by another program or computer; close it there"):
            camera().open()
    finally:
        other.communicate(b"")
    with camera() as device:
        assert device.state is State.OPEN


def test_a_scan_finds_it_and_its_serial_is_enough_to_open_it(server: FakeCamera) -> None:
    found = {each.identity.serial: each for each in AravisCamera.discover()}
    assert found["PNN01"].note == f"GigEVision at {ADDRESS}"
    who = ExpectedIdentity(serial="PNN01")
    with AravisCamera("camera", AravisCamera.Options(gain=1), clock=RealClock(), expected=who) as device:
        assert device.identity.serial == "PNN01" and device.identity.firmware
    with pytest.raises(IdentityError, match=r"serial 'PNN02' is asked for, connected are Fake serial PNN01"):
        AravisCamera("camera", clock=RealClock(), expected=ExpectedIdentity(serial="PNN02")).open()
