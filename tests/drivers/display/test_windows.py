"""What is decided about Windows' answers; the calls themselves need Windows."""

import ctypes
from collections.abc import Sequence

import pytest

from pnnlab_drivers.display._monitor import Wanted, choose
from pnnlab_drivers.display._user32 import DeviceMode, DisplayDevice, text
from pnnlab_drivers.display._windows import InterfaceName, Mode, WindowsDesktop, parse_interface
from tests.drivers.display.edids import make_edid

DESK = r"\\?\DISPLAY#DEL41A8#5&2f8e51a&0&UID4353#{e6f07b5f-ee97-4a90-b076-33f57bf4eaa7}"
PANEL = r"\\?\DISPLAY#HOL1234#5&2f8e51a&0&UID4352#{e6f07b5f-ee97-4a90-b076-33f57bf4eaa7}"
STRAIGHT = [257 * level for level in range(256)]


class FakeWindows:
    """Two monitors, as Windows tells of them."""

    def __init__(self, panel: Mode, *, edid: bytes = b"", gamma: Sequence[Sequence[int]] = ()) -> None:
        self.modes = {r"\\.\DISPLAY1": Mode(0, 0, 2560, 1440, 0, 59), r"\\.\DISPLAY5": panel, r"\\.\DISPLAY6": None}
        self._edid, self._gamma = edid, gamma
        self.calls: list[str] = []

    def adapters(self) -> Sequence[str]:
        return list(self.modes)

    def interfaces(self, adapter: str) -> Sequence[str]:
        return {r"\\.\DISPLAY1": [DESK], r"\\.\DISPLAY5": [PANEL]}[adapter]

    def mode(self, adapter: str) -> Mode | None:
        return self.modes[adapter]

    def edid(self, product: str, instance: str) -> bytes:
        known = {("HOL1234", "5&2f8e51a&0&UID4352"): self._edid}
        return known.get((product, instance), b"")

    def gamma(self, adapter: str) -> Sequence[Sequence[int]]:
        return self._gamma if adapter == r"\\.\DISPLAY5" else [STRAIGHT] * 3

    def keep_awake(self) -> None:
        self.calls.append("awake")

    def be_dpi_aware(self) -> None:
        self.calls.append("dpi")


NATIVE = Mode(2560, 0, 1920, 1080, 0, 60)


@pytest.mark.parametrize(
    ("name", "due"),
    [
        (PANEL, InterfaceName("HOL1234", "5&2f8e51a&0&UID4352", "UID4352")),
        (PANEL.lower(), InterfaceName("HOL1234", "5&2f8e51a&0&uid4352", "UID4352")),
        (PANEL.replace("&UID4352", ""), InterfaceName("HOL1234", "5&2f8e51a&0", "")),
        (r"MONITOR\HOL1234\{4d36e96e-e325-11ce-bfc1-08002be10318}\0003", None),
        (r"\\.\DISPLAY5\Monitor0", None), ("", None), (PANEL[:-1], None), (PANEL.replace("HOL1234", "HOL12345"), None),
    ],
)  # fmt: skip
def test_interface_names_are_taken_apart(name: str, due: InterfaceName | None) -> None:
    assert parse_interface(name) == due


def test_monitors_are_named_by_port_and_edid() -> None:
    edid = make_edid("HOL", 0x1234, name="PLUTO", serial="2220-0011", native=(1080, 1920))
    desk, panel = WindowsDesktop(FakeWindows(NATIVE, edid=edid, gamma=[STRAIGHT] * 3)).monitors()
    assert (panel.connector, panel.vendor, panel.model, panel.serial) == ("UID4352", "HOL", "PLUTO", "2220-0011")
    assert (panel.left, panel.top, panel.width, panel.height) == (2560, 0, 1920, 1080)
    assert panel.refresh_hz == 60 and panel.flaw == ""
    assert (desk.vendor, desk.model, desk.serial) == ("DEL", "41A8", "")
    assert choose((desk, panel), Wanted(serial="2220-0011"), who="slm") == panel


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (Mode(2560, 0, 1080, 1920, 1, 60), "rotated"), (Mode(2560, 0, 1280, 720, 0, 60), "1920 x 1080"),
        (NATIVE, "gamma"),
    ],
)  # fmt: skip
def test_what_changes_pixels_is_a_flaw(mode: Mode, told: str) -> None:
    dim = [[200 * level for level in range(256)]] * 3
    edid = make_edid(native=(1080, 1920))
    _, panel = WindowsDesktop(FakeWindows(mode, edid=edid, gamma=dim if mode == NATIVE else ())).monitors()
    assert told in panel.flaw


@pytest.mark.parametrize("rate_hz", [0, 1])
def test_the_default_rate_is_not_known(rate_hz: int) -> None:
    _, panel = WindowsDesktop(FakeWindows(Mode(2560, 0, 1920, 1080, 0, rate_hz))).monitors()
    assert panel.refresh_hz == 0


def test_pixels_and_wakefulness_are_asked_for() -> None:
    windows = FakeWindows(NATIVE)
    desktop = WindowsDesktop(windows)
    desktop.own_pixels()
    desktop.keep_awake()
    assert windows.calls == ["dpi", "awake"]


def test_structures_have_the_size_that_windows_checks() -> None:
    assert ctypes.sizeof(DisplayDevice) == 840
    assert ctypes.sizeof(DeviceMode) == 220
    offsets = {"dmPositionX": 76, "dmDisplayOrientation": 84, "dmPelsWidth": 172, "dmDisplayFrequency": 184}
    assert {name: getattr(DeviceMode, name).offset for name in offsets} == offsets


def test_texts_end_at_the_first_zero() -> None:
    units = (ctypes.c_uint16 * 32)(*rb"\\.\DISPLAY1", 0, ord("x"))
    assert text(units) == r"\\.\DISPLAY1"
