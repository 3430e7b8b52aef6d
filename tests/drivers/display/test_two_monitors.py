"""The display SLM on a desktop of two monitors, which can be plugged, unplugged and set."""

import re
import shutil
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import RealClock, State
from pnnlab.errors import DeviceError
from pnnlab_drivers.display import _link
from pnnlab_drivers.display.slm import DisplaySlm, DisplaySlmOptions
from tests.drivers.display.two_monitors import RATE_HZ, TwoMonitors
from tests.drivers.display.window_server import forked, window_server

pytestmark = pytest.mark.skipif(
    not (shutil.which("Xorg") and shutil.which("xrandr")), reason="Xorg with its dummy driver or xrandr is missing"
)
Xlib = pytest.importorskip("Xlib.display", reason="python-xlib is not installed")

BLANK = 9


class Desk:
    """Two monitors, a slm on one of them, and a look at what both show."""

    def __init__(self, monitors: TwoMonitors) -> None:
        self.monitors = monitors
        self._display = Xlib.Display(monitors.name)

    def slm(self, **which: object) -> DisplaySlm:
        given = {"display": self.monitors.name, "pitch_m": 8e-6, "settle_s": 0.0, "vsync": False, "blank_level": BLANK}
        return DisplaySlm("slm", DisplaySlmOptions.model_validate({**given, **which}), clock=RealClock())

    def shown(self, left: int) -> npt.NDArray[np.uint8]:
        """Return red, green and blue of a monitor, shape `(480, 640, 3)`."""
        image = self._display.screen().root.get_image(left, 0, 640, 480, 2, 0xFFFFFFFF)
        return np.frombuffer(image.data, np.uint8).reshape(480, 640, 4)[:, :, 2::-1]

    def close(self) -> None:
        self._display.close()


@pytest.fixture(scope="module")
def server() -> Iterator[TwoMonitors]:
    with TwoMonitors() as found, window_server() as windows, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_link, "_start", partial(forked, windows))
        yield found


@pytest.fixture
def desk(server: TwoMonitors) -> Iterator[Desk]:
    server.plug()
    desk = Desk(server)
    yield desk
    desk.close()


def random(seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (480, 640), dtype=np.uint8)


def failure(slm: DisplaySlm, within_s: float = 1.0) -> str:
    """Write patterns until one fails; return why."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        try:
            slm.write(random(0))
        except DeviceError as error:
            return str(error)
    pytest.fail(f"nothing failed within {within_s:g} s")


@pytest.mark.parametrize("which", [{"connector": "DUMMY1"}, {"index": 1}, {"connector": "DUMMY1", "index": 0}])
def test_the_patterns_are_on_the_monitor_that_is_named_and_on_no_other(desk: Desk, which: dict[str, object]) -> None:
    before = desk.shown(0)
    with desk.slm(**which) as slm:
        assert slm.settings()["connector"] == "DUMMY1"
        assert slm.frame_period_s == pytest.approx(1 / RATE_HZ, rel=1e-4)
        for seed in range(3):
            slm.write(random(seed))
            np.testing.assert_array_equal(desk.shown(640), np.repeat(random(seed)[:, :, None], 3, axis=2))
        np.testing.assert_array_equal(desk.shown(0), before)


def test_two_panels_side_by_side(desk: Desk) -> None:
    with desk.slm(connector="DUMMY0") as left, desk.slm(connector="DUMMY1") as right:
        left.write(random(1))
        right.write(random(2))
        np.testing.assert_array_equal(desk.shown(0)[:, :, 1], random(1))
        np.testing.assert_array_equal(desk.shown(640)[:, :, 1], random(2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("--output", "DUMMY1", "--off"), "was unplugged or switched off"),
        (("--output", "DUMMY1", "--pos", "0x480"), r"has changed: it is DUMMY1 \(.* at 0,480\)"),
        (("--output", "DUMMY1", "--gamma", "1:1:0.5"), "gamma table"),
    ],
)  # fmt: skip
def test_a_monitor_that_goes_or_changes_is_a_fault(desk: Desk, change: tuple[str, ...], told: str) -> None:
    with desk.slm(connector="DUMMY1") as slm:
        slm.write(random(1))
        desk.monitors.xrandr(*change)
        assert re.search(told, failure(slm))
        assert slm.state is State.FAULT
    desk.monitors.plug()
    with slm:
        slm.write(random(2))
        np.testing.assert_array_equal(desk.shown(640)[:, :, 1], random(2))


def test_unplugged_between_two_patterns_the_window_goes_blank(desk: Desk) -> None:
    with desk.slm(connector="DUMMY1") as slm:
        slm.write(random(1))
        desk.monitors.xrandr("--output", "DUMMY1", "--gamma", "1:0.7:1")
        deadline_s = time.monotonic() + 2
        while (desk.shown(640) != BLANK).any() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert (desk.shown(640) == BLANK).all()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (("--output", "DUMMY1", "--off"), "no monitor fits; look at its cable"),
        (("--output", "DUMMY1", "--same-as", "DUMMY0"), "mirror"),
        (("--output", "DUMMY1", "--gamma", "0.8:0.8:0.8"), "night light"),
    ],
)  # fmt: skip
def test_a_monitor_that_would_not_show_the_pixels_is_refused(desk: Desk, setting: tuple[str, ...], told: str) -> None:
    desk.monitors.xrandr(*setting)
    slm = desk.slm(connector="DUMMY1")
    with pytest.raises(DeviceError, match=told) as refused:
        slm.open()
    assert "slm: " in str(refused.value) and slm.state is State.CLOSED
