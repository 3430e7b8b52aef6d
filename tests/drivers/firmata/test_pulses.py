"""Voltages made of pulses, held against what the timers' data sheet says."""

import numpy as np
import pytest

from pnnlab_drivers.firmata._pulses import PulseOutputs


def duty(code: int, counts_up: bool) -> float:
    """Return the part of the time for which a pin of 8 bits is high; 0 and 255 are no pulses."""
    if code in (0, 255):
        return code / 255
    # fast PWM: the counter runs from 0 to 255, the pin is high up to and with the compare value
    return sum(count <= code for count in range(256)) / 256 if counts_up else code / 255


@pytest.mark.parametrize("counts_up", [False, True])
def test_codes_make_the_voltages_of_their_timer(counts_up: bool) -> None:
    pulses = PulseOutputs([8], [counts_up], 5.0)
    codes = np.arange(256)[:, None]
    expected = [[5.0 * duty(code, counts_up)] for code in range(256)]
    np.testing.assert_allclose(pulses.volts(codes), expected, rtol=1e-12)
    np.testing.assert_array_equal(pulses.codes(pulses.volts(codes)), codes)


def test_the_nearest_code_is_taken_pin_by_pin() -> None:
    pulses, volts = PulseOutputs([8, 8, 10], [False, True, False], 3.3), np.linspace(0, 3.3, 1001)
    codes = pulses.codes(np.tile(volts[:, None], 3))
    for pin, (top, counts_up) in enumerate([(255, False), (255, True), (1023, False)]):
        levels = np.array([3.3 * (duty(c, counts_up) if top == 255 else c / top) for c in range(top + 1)])
        best = np.abs(volts[:, None] - levels).min(1)
        np.testing.assert_allclose(np.abs(volts - levels[codes[:, pin]]), best, atol=1e-12)


def test_a_pin_that_only_counts_up_has_nothing_between_zero_and_two_steps() -> None:
    pulses = PulseOutputs([8], [True], 5.0)
    assert pulses.volts(np.array([0, 1])[:, None]).ravel().tolist() == [0.0, pytest.approx(5 * 2 / 256)]
    assert pulses.lsb_v == pytest.approx(5 * 2 / 256)
