"""The simulated DAC: when its outputs change, and what is left of a waveform that is abandoned."""

from typing import Any, Unpack

import numpy as np
import pytest
from pydantic import ValidationError

from pnnlab.devices import Trigger
from pnnlab.testing import DACConformance, DeviceArguments
from pnnlab_drivers.sim.circuit_board import CircuitBoard
from pnnlab_drivers.sim.dac import SimDac
from tests.drivers.sim.circuits import RATE_HZ, Array, Bench, exact, shots


class TestSimDacWithLatency(DACConformance[SimDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SimDac:
        plant = CircuitBoard("board", clock=arguments["clock"])
        options = SimDac.Options.model_validate(
            {"max_samples": 100, "latency": ("1 ms", "3 ms"), "start_error": "1 us"}
        )
        return SimDac("dac", options, plant=plant, **arguments)


def starts_s(bench: Bench, n: int, trigger: Trigger = Trigger.HARDWARE) -> Array:
    """Return when the records of `n` waveforms that were started one by one began, after the ends of their starts."""
    found = []
    for _ in range(n):
        bench.adc.arm_records(2, n_samples=8, rate_hz=RATE_HZ, trigger=trigger)
        bench.dac.arm_waveform(np.ones((16, 3)), rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
        bench.adc.start()
        bench.dac.start()
        told_s = bench.clock.now_s()
        stamps = bench.adc.read(2, timeout_s=1.0).stamps
        assert stamps.start_s is not None
        assert np.diff(stamps.start_s) == pytest.approx(8 / RATE_HZ)
        found.append(stamps.start_s[0] - told_s)
        bench.dac.wait(1.0)
        bench.dac.disarm()
        bench.adc.disarm()
    return np.array(found)


def test_the_marker_tells_when_a_waveform_really_begins() -> None:
    late_s = starts_s(Bench(dac_options={"latency": ("2 ms", "6 ms")}), 60)
    assert late_s.min() >= 2e-3 and late_s.max() <= 6e-3
    # evenly spread over 4 ms: the extremes of 60 miss the ends by a tenth of it with a chance of 2 x 0.9^60 = 0.004
    assert late_s.min() < 2.4e-3 and late_s.max() > 5.6e-3
    assert starts_s(Bench(), 3) == pytest.approx(np.zeros(3), abs=1e-12)
    assert starts_s(Bench(dac_options={"latency": ("2 ms", "2 ms")}), 3) == pytest.approx(np.full(3, 2e-3))


def test_a_written_voltage_is_there_after_the_latency() -> None:
    bench = exact(dac_options={"latency": ("3 ms", "3 ms")})
    token = bench.dac.write(np.ones(3)).tokens[0]
    np.testing.assert_array_equal(bench.dac.present_v, np.ones(3), "what is reported is what was written")
    bench.adc.arm_records(5, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    volts = bench.adc.read(5, timeout_s=1.0).volts
    assert [record.tokens for record in bench.plant.records] == [
        *[((-1, pytest.approx(1e-3)),)] * 3, *[((token, pytest.approx(1e-3)),)] * 2
    ]  # fmt: skip
    assert np.abs(volts[:3]).max() == 0 and np.abs(volts[3:]).max() > 1e-2


def test_voltages_do_not_overtake_each_other() -> None:
    bench = exact(dac_options={"latency": ("0 ms", "10 ms")})
    tokens = []
    for k in range(40):
        tokens.append(bench.dac.write(np.full(3, 0.01 * k)).tokens[0])
        bench.clock.sleep_until(1e-3 * (k + 1))
    bench.adc.arm_records(1, n_samples=1, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.clock.sleep_until(0.06)
    seen = [token for token, _ in bench.plant.course.tokens_between(0.0, 0.06)]
    assert seen == sorted(seen) and seen[-1] == tokens[-1]
    assert len(seen) > 5


def test_the_safe_state_is_there_at_once_whatever_was_on_its_way() -> None:
    bench = exact(dac_options={"latency": ("5 ms", "5 ms"), "safe_v": 0.5})
    bench.dac.write(np.ones(3))
    bench.clock.sleep_until(1e-3)
    bench.dac.make_safe()
    assert bench.plant.course.tokens_between(1e-3, 1.0) == ((-1, pytest.approx(0.999)),)
    np.testing.assert_array_equal(bench.plant.shown_at(0.5), np.full(3, 0.5))


@pytest.mark.parametrize("when_ms", [1.0, 7.0])
def test_a_waveform_that_is_abandoned_before_or_after_its_beginning(when_ms: float) -> None:
    bench = exact(dac_options={"latency": ("5 ms", "5 ms")})
    volts = np.linspace(0.1, 1.0, 80)[:, None] * np.ones(3)
    bench.adc.arm_records(10, n_samples=8, rate_hz=RATE_HZ, trigger=Trigger.HARDWARE)
    bench.dac.arm_waveform(volts, rate_hz=RATE_HZ, trigger=Trigger.INTERNAL)
    bench.adc.start()
    bench.dac.start()
    bench.clock.sleep_until(when_ms * 1e-3)
    bench.dac.disarm()
    # 2 ms after its beginning 16 rows have been out, and the pulse of the third record has just come
    due = np.zeros(3) if when_ms < 5 else volts[16]
    np.testing.assert_array_equal(bench.dac.present_v, due)
    bench.clock.sleep_until(1.0)
    np.testing.assert_array_equal(bench.dac.present_v, due)
    assert bench.adc.collect(10, timeout_s=1.0).stamps.count == (0 if when_ms < 5 else 3)


def test_a_latency_is_a_span_of_time() -> None:
    for wrong in ((-1e-3, 0.0), (2e-3, 1e-3)):
        with pytest.raises(ValidationError, match="latency"):
            SimDac.Options.model_validate({"latency": wrong})


def test_without_a_spread_of_latencies_nothing_is_drawn() -> None:
    def generators(**options: Any) -> set[str]:
        bench = Bench(dac_options=options)
        bench.play(shots(1, 8))
        found = bench.plant.state()["generators"]
        assert isinstance(found, dict)
        return set(found)

    assert not any("latency" in who for who in generators(latency=("2 ms", "2 ms")))
    assert any("latency" in who for who in generators(latency=("0 ms", "2 ms")))
