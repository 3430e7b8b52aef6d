from dataclasses import replace

import pytest

from pnnlab.errors import DeviceError
from pnnlab_drivers.display._monitor import Monitor, Wanted, choose

DESK = Monitor("DP-1", "DEL", "U2720Q", "55", left=0, top=0, width=2560, height=1440, refresh_hz=60.0)
LEFT = Monitor("DP-2", "HOL", "PLUTO", "0011", left=2560, top=0, width=1920, height=1080, refresh_hz=60.0)
RIGHT = replace(LEFT, connector="HDMI-1", serial="0012", left=4480)
ALL = (RIGHT, DESK, LEFT)


@pytest.mark.parametrize(
    ("wanted", "due"),
    [
        (Wanted(connector="DP-2"), LEFT), (Wanted(serial="0012"), RIGHT), (Wanted(vendor="DEL"), DESK),
        (Wanted(model="PLUTO", serial="0011"), LEFT), (Wanted(connector="HDMI-1", vendor="HOL"), RIGHT),
        (Wanted(index=0), DESK), (Wanted(index=1), LEFT), (Wanted(index=2), RIGHT),
        (Wanted(model="PLUTO", index=1), RIGHT),
    ],
)  # fmt: skip
def test_the_monitor_that_is_named_is_chosen(wanted: Wanted, due: Monitor) -> None:
    assert choose(ALL, wanted, who="slm") == due


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(model="PLUTO"), "several monitors fit"), (Wanted(connector="DP-9"), "no monitor fits"),
        (Wanted(connector="DP-2", serial="0012"), "no monitor fits"), (Wanted(index=3), "no monitor fits"),
        (Wanted(connector="dp-2"), "no monitor fits"),
    ],
)  # fmt: skip
def test_what_is_not_one_monitor_is_refused_and_all_are_listed(wanted: Wanted, told: str) -> None:
    with pytest.raises(DeviceError, match=told) as refused:
        choose(ALL, wanted, who="slm")
    text = str(refused.value)
    assert text.startswith("slm: ") and all(monitor.connector in text for monitor in ALL)


def test_without_monitors_it_says_so() -> None:
    with pytest.raises(DeviceError, match="monitors there are: none"):
        choose((), Wanted(connector="DP-2"), who="slm")


@pytest.mark.parametrize("wanted", [Wanted(connector="DP-2"), Wanted(index=1)])
def test_a_mirrored_monitor_is_refused(wanted: Wanted) -> None:
    mirrored = (DESK, LEFT, replace(RIGHT, left=LEFT.left, top=100))
    with pytest.raises(DeviceError, match="mirror"):
        choose(mirrored, wanted, who="slm")


def test_a_monitor_with_a_flaw_is_refused_and_its_neighbour_is_not() -> None:
    monitors = (DESK, replace(LEFT, flaw="is rotated; set it to normal"), RIGHT)
    with pytest.raises(DeviceError, match=r"DP-2 \(HOL PLUTO serial 0011, .*\) is rotated; set it to normal"):
        choose(monitors, Wanted(connector="DP-2"), who="slm")
    assert choose(monitors, Wanted(connector="HDMI-1"), who="slm") == RIGHT
