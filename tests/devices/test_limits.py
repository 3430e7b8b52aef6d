"""The one place where a setpoint is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.devices import Limits
from pnnlab.errors import SetpointError

PLUS_MINUS = Limits(-0.2, 0.2, slew_per_s=10.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_limit_itself_is_legal_in_every_precision(dtype: type[np.floating]) -> None:
    PLUS_MINUS.check(np.array([-0.2, 0.0, 0.2], dtype), who="dac: voltage", unit="V")
    above = np.nextafter(dtype(0.2), dtype(1))
    with pytest.raises(SetpointError, match=r"dac: voltage 0\.2 V at index \(1,\) is not allowed \(1 of 2 values\)"):
        PLUS_MINUS.check(np.array([0, above], dtype), who="dac: voltage", unit="V")


@given(st.lists(st.floats(width=32), min_size=1), st.sampled_from([np.float32, np.float64]))
def test_passes_exactly_what_is_legal(values: list[float], dtype: type[np.floating]) -> None:
    array = np.array(values, dtype)
    legal = all(float(dtype(-0.2)) <= float(v) <= float(dtype(0.2)) for v in array)
    if legal:
        PLUS_MINUS.check(array, who="x", unit="V")
    else:
        with pytest.raises(SetpointError, match="nothing was sent"):
            PLUS_MINUS.check(array, who="x", unit="V")


@given(st.lists(st.integers(-400, 400), min_size=1))
def test_whole_numbers_too(values: list[int]) -> None:
    levels = Limits(0, 255)
    array = np.array(values, np.int32)
    if all(0 <= v <= 255 for v in values):
        levels.check(array, who="slm: level", unit="")
    else:
        with pytest.raises(SetpointError, match=r"slm: level -?\d+ at index \(\d+,\) is not allowed"):
            levels.check(array, who="slm: level", unit="")


def test_slew_counts_from_the_present_value() -> None:
    start, ramp = np.zeros(2), np.array([[0.01, 0.0], [0.02, -0.01]])
    PLUS_MINUS.check_slew(start, ramp, 1e-3, who="dac: voltage", unit="V")
    with pytest.raises(SetpointError, match=r"changes by 0\.02 V within 0\.001 s on channel 1 at sample 1"):
        PLUS_MINUS.check_slew(start, np.array([[0.01, 0.01], [0.02, -0.01]]), 1e-3, who="dac: voltage", unit="V")
    with pytest.raises(SetpointError, match=r"on channel 0 at sample 0; allowed is 10 V/s; ramp it"):
        PLUS_MINUS.check_slew(np.array([0.1, 0.0]), ramp, 1e-3, who="dac: voltage", unit="V")


def test_intersection_is_what_both_allow() -> None:
    assert Limits(-5, 5, 100).intersect(Limits(0, 10)) == Limits(0, 5, 100)
