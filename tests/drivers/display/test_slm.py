"""The display SLM on an X server whose framebuffer can be read."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from pnnlab.devices import Clock, RealClock, State
from pnnlab.errors import DeviceError, LeaseError, StateError
from pnnlab.quantities import FROM_FILE
from pnnlab.testing import DeviceArguments, SpatialLightModulatorConformance
from pnnlab_drivers.display import _link
from pnnlab_drivers.display._window import Order
from pnnlab_drivers.display.slm import DisplaySlm, DisplaySlmOptions
from scripts.plants.virtual_display import Framebuffer, VirtualDisplay
from tests.drivers.display.window_server import forked, window_server

pytestmark = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")

BLANK = 7
LARGE = (1080, 1920)
ROOT = Path(__file__).parents[3]


class TestConformance(SpatialLightModulatorConformance[DisplaySlm]):
    peer = "Xvfb"
    display: ClassVar[VirtualDisplay]
    windows: ClassVar[socket.socket]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls) -> Iterator[None]:
        with VirtualDisplay((6, 8), pointer=False) as found, window_server() as windows:
            cls.display, cls.windows = found, windows
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_link, "_start", partial(forked, windows))
                yield

    def clock(self) -> Clock:
        return RealClock()

    def make(self, **arguments: Unpack[DeviceArguments]) -> DisplaySlm:
        # as dark as the desktop, which is seen once the device is closed
        return DisplaySlm("slm", options(self.display.name, blank_level=0), **arguments)

    @contextmanager
    def silent(self, device: DisplaySlm) -> Iterator[None]:
        """The process of the window stands still, or of the one that is opened inside."""

        def start(order: Order) -> "subprocess.Popen[bytes]":
            process = forked(self.windows, order)
            os.kill(process.pid, signal.SIGSTOP)
            return process

        with pytest.MonkeyPatch.context() as patch:
            for patience in ("_START_S", "_SHOW_S", "_END_S"):
                patch.setattr(_link, patience, 0.2)
            patch.setattr(_link, "_start", start)
            if device.state is not State.CLOSED:
                os.kill(device._window()._process.pid, signal.SIGSTOP)
            yield

    @contextmanager
    def unplugged(self, device: DisplaySlm) -> Iterator[None]:
        self._xrandr("--fb", "8x6", "--output", "screen", "--off")
        time.sleep(0.5)  # it may take the driver so long to notice
        try:
            yield
        finally:
            self._xrandr("--output", "screen", "--auto")

    @contextmanager
    def gullible(self, device: DisplaySlm) -> Iterator[None]:
        yield  # a display shows whatever it is sent

    def instrument_has(self, device: DisplaySlm, quantity: str) -> npt.NDArray[np.number]:
        return self.display.framebuffers[0].levels()

    def _xrandr(self, *arguments: str) -> None:
        subprocess.run(["xrandr", "--display", self.display.name, *arguments], check=True, capture_output=True)


def options(display: Any, **changes: object) -> DisplaySlmOptions:
    given = {"connector": "screen", "display": display, "pitch_m": 8e-6, "settle_s": 1e-3, "frame_rate_hz": 1000.0}
    return DisplaySlmOptions.model_validate({**given, "vsync": False, "blank_level": BLANK, **changes})


def open_slm(display: Any, **changes: object) -> DisplaySlm:
    return DisplaySlm("slm", options(display, **changes), clock=RealClock()).open()


def elsewhere() -> dict[str, str]:
    """Return the environment of another process of a test."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def random(shape: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def assert_shows(found: Framebuffer, levels: npt.NDArray[np.uint8] | int) -> None:
    expected = np.broadcast_to(np.asarray(levels, np.uint8)[..., None], (*found.shape, 3))
    np.testing.assert_array_equal(found.colours(), expected)


def is_desktop(found: Framebuffer) -> bool:
    """Return whether the black desktop is seen, and on it the mouse pointer, which no pattern may show."""
    colours = found.colours()
    return 0 < int(colours.any(2).sum()) < 100 and set(np.unique(colours)) == {0, 255}


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return condition()


@pytest.fixture(scope="module")
def screens() -> Iterator[VirtualDisplay]:
    with VirtualDisplay((48, 64), LARGE) as found:
        yield found


@pytest.fixture
def small(screens: VirtualDisplay) -> Iterator[DisplaySlm]:
    with open_slm(f"{screens.name}.0") as slm:
        yield slm


# What is on the link


def test_the_link_carries_the_patterns_pixel_by_pixel_as_soon_as_write_returns(screens: VirtualDisplay) -> None:
    other, shown = screens.framebuffers
    before = other.colours()
    with open_slm(f"{screens.name}.1") as slm:
        assert slm.shape == LARGE
        for seed in range(5):
            pattern = random(LARGE, seed)
            slm.write(pattern)
            assert_shows(shown, pattern)
    np.testing.assert_array_equal(other.colours(), before, "a pattern was on the other screen")


def test_every_level_is_carried(small: DisplaySlm, screens: VirtualDisplay) -> None:
    for level in range(0, 256, 5):
        small.write(np.full(small.shape, level))
        assert_shows(screens.framebuffers[0], level)


def test_the_panel_is_blank_before_the_first_pattern_and_in_its_safe_state(
    small: DisplaySlm, screens: VirtualDisplay
) -> None:
    shown, pattern = screens.framebuffers[0], random(small.shape, 0)
    assert_shows(shown, BLANK)
    small.write(pattern)
    small.make_safe()
    assert_shows(shown, BLANK)
    small.resume()
    assert_shows(shown, BLANK)
    small.write(pattern)
    assert_shows(shown, pattern)


def test_no_two_patterns_share_a_refresh(screens: VirtualDisplay) -> None:
    with open_slm(f"{screens.name}.0", frame_rate_hz=50.0) as slm:
        begin_s = time.monotonic()
        for level in range(6):
            slm.write(np.full(slm.shape, level))
        assert time.monotonic() - begin_s >= 5 / 50
        assert slm.frame_period_s == pytest.approx(1 / 50)


@pytest.mark.parametrize(("vsync", "refreshes"), [(False, 1), (True, 2)])
def test_the_latency_is_the_panels_and_that_of_the_refresh(
    screens: VirtualDisplay, vsync: bool, refreshes: int
) -> None:
    with open_slm(f"{screens.name}.0", vsync=vsync, frame_rate_hz=100.0, latency_s=(0.002, 0.005)) as slm:
        assert slm.latency_s == pytest.approx((0.002, 0.005 + refreshes / 100))


# What ends it


def test_a_blank_overtakes_a_pattern_that_was_ordered_before(small: DisplaySlm, screens: VirtualDisplay) -> None:
    link, pattern = small._window(), random(small.shape, 0)
    number = link.reserve()
    link.blank()
    assert not link.show(pattern, number)
    assert_shows(screens.framebuffers[0], BLANK)


def test_made_safe_in_the_midst_of_a_write_the_pattern_is_not_taken_for_shown(
    small: DisplaySlm, screens: VirtualDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = small._window()
    show = link.show

    def interrupted(levels: npt.NDArray[np.uint8], number: int) -> bool:
        small.make_safe()  # as a signal's answer does
        return show(levels, number)

    monkeypatch.setattr(link, "show", interrupted)
    with pytest.raises(StateError, match="not shown"):
        small.write(random(small.shape, 0))
    assert_shows(screens.framebuffers[0], BLANK)
    assert small.state is State.SAFE


def test_the_window_goes_blank_and_away_when_its_owner_is_killed(screens: VirtualDisplay) -> None:
    shown = screens.framebuffers[0]
    code = f"""
import time
from tests.drivers.display.test_slm import open_slm, random
slm = open_slm("{screens.name}.0")
slm.write(random(slm.shape, 3))
print("shown", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=elsewhere()) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "shown\n"
        assert_shows(shown, random(shown.shape, 3))
        with pytest.raises(LeaseError, match="in use"):
            open_slm(f"{screens.name}.0")
        owner.send_signal(signal.SIGKILL)
    assert wait_for(lambda: is_desktop(shown)), "the window stayed"
    with open_slm(f"{screens.name}.0"):
        assert_shows(shown, BLANK)


@pytest.mark.parametrize("end", ["slm.close()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_forked_child_of_the_owner_does_not_keep_the_window(screens: VirtualDisplay, end: str) -> None:
    shown = screens.framebuffers[0]
    code = f"""
import os, signal, sys, time
from tests.drivers.display.test_slm import open_slm, random
slm = open_slm("{screens.name}.0")
slm.write(random(slm.shape, 3))
child = os.fork()
if not child:
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
{end}
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=elsewhere()) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        try:
            assert wait_for(lambda: is_desktop(shown)), "the window stayed"
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_second_window_on_the_same_monitor_is_refused(small: DisplaySlm, screens: VirtualDisplay) -> None:
    small.write(random(small.shape, 1))
    with pytest.raises(LeaseError):
        DisplaySlm("other", options(f"{screens.name}.0", connector=None, index=0), clock=RealClock()).open()
    assert_shows(screens.framebuffers[0], random(small.shape, 1))
    with DisplaySlm("other", options(f"{screens.name}.1"), clock=RealClock()):
        small.write(random(small.shape, 2))


def test_ctrl_c_and_termination_of_the_window_leave_it_blank(screens: VirtualDisplay) -> None:
    slm = open_slm(f"{screens.name}.0")
    window = slm._window()._process.pid
    os.kill(window, signal.SIGINT)
    slm.write(random(slm.shape, 1))
    assert_shows(screens.framebuffers[0], random(slm.shape, 1))
    os.kill(window, signal.SIGTERM)
    slm._window()._process.wait(5)
    with pytest.raises(DeviceError, match="has ended"):
        slm.write(random(slm.shape, 2))
    assert slm.state is State.FAULT
    with pytest.raises(DeviceError, match="shows the desktop"):
        slm.close()
    assert slm.state is State.CLOSED
    with slm.open():
        slm.write(random(slm.shape, 2))


def test_a_window_that_is_killed_is_a_fault(screens: VirtualDisplay) -> None:
    slm = open_slm(f"{screens.name}.0")
    os.kill(slm._window()._process.pid, signal.SIGKILL)
    slm._window()._process.wait(5)
    with pytest.raises(DeviceError, match=r"exit status -9"):
        slm.write(random(slm.shape, 2))
    with pytest.raises(DeviceError, match="shows the desktop"):
        slm.close()
    slm.close()


def test_a_server_that_ends_is_a_fault() -> None:
    with VirtualDisplay((16, 16)) as server:
        slm = open_slm(server.name)
        slm.write(random(slm.shape, 0))
    with pytest.raises(DeviceError, match="slm: "):
        slm.write(random(slm.shape, 1))
    with pytest.raises(DeviceError):
        slm.close()


def test_nothing_of_it_stays_behind(screens: VirtualDisplay, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_slm(f"{screens.name}.0") as slm:
        process = slm._window()._process
        slm.write(random(slm.shape, 0))
    assert process.poll() == 0
    assert os.listdir(str(tmp_path)) == []
    assert wait_for(lambda: is_desktop(screens.framebuffers[0]))


# What is refused


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"connector": "DP-9"}, "monitors there are: screen"), ({"serial": "1"}, "no monitor fits"),
        ({"frame_rate_hz": None}, "option `frame_rate`"), ({"display": ":4711"}, "no X display :4711"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_says_why(screens: VirtualDisplay, changes: dict[str, object], told: str) -> None:
    with pytest.raises(DeviceError, match=told):
        open_slm(**{"display": f"{screens.name}.0", **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"connector": None}, "no monitor is named"), ({"latency_s": (0.2, 0.1)}, "least first"),
        ({"levels": 1024}, "256"), ({"blank_level": 128, "levels": 128}, "none of 128 levels"),
        ({"pitch_m": 0.0}, "greater than 0"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        options(":0", **changes)


def test_options_are_written_with_units() -> None:
    written = {"connector": "DP-2", "pitch": "8 um", "settle": "20 ms", "latency": ["0 ms", "17 ms"]}
    read = DisplaySlmOptions.model_validate(written, context=FROM_FILE)
    assert (read.pitch_m, read.settle_s, read.latency_s) == (8e-6, 0.02, (0.0, 0.017))


@pytest.mark.parametrize("missing", ["glfw", "OpenGL"])
def test_a_missing_package_names_the_extra(
    screens: VirtualDisplay, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pnnlab_drivers.display.slm.find_spec", lambda name: None if name == missing else object())
    with pytest.raises(DeviceError, match=rf"'{missing}'; install pnnlab\[display\]"):
        open_slm(f"{screens.name}.0")


def test_a_graphics_driver_that_changes_levels_is_refused(screens: VirtualDisplay) -> None:
    """A window of a process whose painter draws one pixel at another level."""
    code = f"""
import sys, tempfile
from pnnlab_drivers.display import _painter, _window
draw = _painter.Painter._draw
def wrong(painter, levels):
    levels = levels.copy()
    levels[-1, 0] ^= 1
    draw(painter, levels)
_painter.Painter._draw = wrong
from pnnlab_drivers.display._desktop import open_desktop
(monitor,) = open_desktop("{screens.name}.0").monitors()
with tempfile.NamedTemporaryFile() as file:
    file.truncate(monitor.height * monitor.width)
    sys.exit(_window.main([_window.Order(monitor, "{screens.name}.0", file.name, 0, False).as_text()]))
"""
    environment = {**elsewhere(), "DISPLAY": f"{screens.name}.0"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 1, found.stderr
    assert "draws 1 of 3072 pixels at other levels" in found.stdout


# What is found


def test_monitors_are_found_with_the_options_that_open_them(
    screens: VirtualDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", f"{screens.name}.0")
    (found,) = DisplaySlm.discover()
    assert found.options == {"connector": "screen"} and "64 x 48" in found.note
    opened = DisplaySlmOptions.model_validate(
        {**found.options, "pitch_m": 8e-6, "settle_s": 0.0, "frame_rate_hz": 60.0, "vsync": False}
    )
    with DisplaySlm("slm", opened, clock=RealClock()) as slm:
        assert slm.shape == (48, 64)


@pytest.mark.parametrize("display", [None, ":4711"])
def test_without_a_desktop_nothing_is_found(display: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    assert DisplaySlm.discover() == ()


def test_without_the_package_nothing_is_found(screens: VirtualDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", f"{screens.name}.0")
    for module in [name for name in sys.modules if name.partition(".")[0] == "Xlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(sys.modules, "pnnlab_drivers.display._x11", raising=False)
    monkeypatch.setitem(sys.modules, "Xlib", None)
    assert DisplaySlm.discover() == ()
