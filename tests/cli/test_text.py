"""Numbers as a person reads them."""

import math

import pytest

from pnnlab.cli._text import duration, quantity, setting

DURATIONS = {
    0.04: "0.0 s", 59.94: "59.9 s", 60.0: "1 min 00 s", 125.4: "2 min 05 s", 3599.6: "1 h 00 min", 7260.0: "2 h 01 min",
}  # fmt: skip


@pytest.mark.parametrize(("time_s", "text"), DURATIONS.items())
def test_durations(time_s: float, text: str) -> None:
    assert duration(time_s) == text


def test_a_time_that_is_none() -> None:
    assert duration(math.nan) == "-"


QUANTITIES = {
    (8e-6, "m"): "8 um", (1e-3, "s"): "1 ms", (0.1, "s"): "100 ms", (1.8, "V"): "1.8 V", (0.0, "V"): "0 V",
    (-5e-3, "A"): "-5 mA", (60.0, "Hz"): "60 Hz", (2.5e4, "V/s"): "25 kV/s", (255.0, ""): "255",
    (5e-14, "A"): "0.05 pA",
    (1 / 60, "s"): "16.67 ms", (math.inf, "V"): "inf V",
}  # fmt: skip


@pytest.mark.parametrize(("value", "text"), QUANTITIES.items())
def test_quantities(value: tuple[float, str], text: str) -> None:
    assert quantity(*value) == text


SETTINGS = {
    "exposure_s": (2e-3, "exposure 2 ms"), "slew_v_per_s": (10.0, "slew 10 V/s"), "levels": (256, "levels 256"),
    "shape": ([64, 32], "shape 64, 32"), "mode": ("fast", "mode fast"), "is_on_s": (True, "is_on_s True"),
    "gain": (0.5, "gain 0.5"),
}  # fmt: skip


@pytest.mark.parametrize(("key", "value", "text"), [(key, *pair) for key, pair in SETTINGS.items()])
def test_settings(key: str, value: object, text: str) -> None:
    assert setting(key, value) == text
