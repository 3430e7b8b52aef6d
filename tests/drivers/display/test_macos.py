"""What is decided about macOS' answers; the calls themselves need macOS."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from pnnlab_drivers.display._macos import MacDesktop, Rectangle, vendor_text


class Call:
    """A C function: it has types that can be set, and an answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __call__(self, *arguments: Any) -> Any:
        return self._answer(*arguments) if callable(self._answer) else self._answer


def fake_quartz(pixels: tuple[int, int] = (1920, 1080), rotation: float = 0.0, exponent: float = 1.0) -> Any:
    def displays(most: int, numbers: Any, count: Any) -> int:
        numbers[0], count._obj.value = 7, 1
        return 0

    def table(display: Any, size: int, red: Any, green: Any, blue: Any, count: Any) -> int:
        for k in range(size):
            red[k] = green[k] = blue[k] = (k / (size - 1)) ** exponent
        count._obj.value = size
        return 0

    answers = {
        "CGGetActiveDisplayList": displays, "CGDisplayBounds": Rectangle(2560, -10, 1920, 1080),
        "CGDisplayCopyDisplayMode": 99, "CGDisplayModeGetPixelWidth": pixels[0],
        "CGDisplayModeGetPixelHeight": pixels[1], "CGDisplayModeGetRefreshRate": 60.0, "CGDisplayModeRelease": None,
        "CGDisplayRotation": rotation, "CGDisplayVendorNumber": 0x21EC, "CGDisplayModelNumber": 0x1234,
        "CGDisplaySerialNumber": 11, "CGGetDisplayTransferByTable": table,
    }  # fmt: skip
    return SimpleNamespace(**{name: Call(answer) for name, answer in answers.items()})


def test_a_monitor_is_named_by_its_edid() -> None:
    (monitor,) = MacDesktop(fake_quartz()).monitors()
    assert (monitor.connector, monitor.vendor, monitor.model, monitor.serial) == ("", "HOL", "1234", "11")
    assert (monitor.left, monitor.top, monitor.width, monitor.height) == (2560, -10, 1920, 1080)
    assert monitor.refresh_hz == 60 and monitor.flaw == ""


@pytest.mark.parametrize(
    ("quartz", "told"),
    [
        (fake_quartz(pixels=(3840, 2160)), "scaled from 1920 x 1080 to 3840 x 2160"),
        (fake_quartz(rotation=90.0), "rotated"), (fake_quartz(exponent=2.2), "gamma"),
    ],
)  # fmt: skip
def test_what_changes_pixels_is_a_flaw(quartz: Any, told: str) -> None:
    (monitor,) = MacDesktop(quartz).monitors()
    assert told in monitor.flaw


def test_a_number_that_packs_no_letters_has_no_text() -> None:
    assert vendor_text(0x21EC) == "HOL"
    assert vendor_text(0) == vendor_text(0xFFFF) == vendor_text(0x756E6B6E) == ""
    assert ctypes.sizeof(Rectangle) == 32
