"""The rules for a digital-to-analog converter."""

import math
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import numpy as np
import pytest

from pnnlab.devices import DAC, Limits, Setpoint, State, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, SetpointError
from pnnlab.testing._checks import Check, does_not_apply, quiet, shows
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._output import OutputRules, Realised, Values
from pnnlab.testing._runs import RunRules
from pnnlab.testing._subject import Call

__all__ = ["DACConformance"]

V = TypeVar("V", bound=DAC)


class WaveformRules(RunRules[V]):
    """What a converter does with a waveform: plays it once and holds its last value."""

    n_steps: ClassVar[int] = 1

    def triggers(self, device: V) -> frozenset[Trigger]:
        """See `RunRules.triggers`."""
        return device.waveform_triggers

    def arm(self, device: V, trigger: Trigger) -> None:
        """See `RunRules.arm`."""
        self.let_slew(device, "voltage")
        device.arm_waveform(self.waveform(device), rate_hz=device.max_update_rate_hz, trigger=trigger)

    def step_s(self, device: V) -> float:
        """See `RunRules.step_s`."""
        return len(self.waveform(device)) / device.max_update_rate_hz

    def waveform(self, device: V) -> Values:
        """Return a waveform that begins where the outputs are and ends away from there, within the slew limit."""
        low, high = self.limits_of(device, "voltage")
        start = np.clip(device.present_v, low, high)
        step = min((high - low) / 20, 0.5 * device.limits("voltage").slew_per_s / device.max_update_rate_hz)
        n = max(1, min(10, device.max_samples))
        direction = np.where(start > (low + high) / 2, -1, 1)
        volts: Values = start + direction * step * np.arange(1, n + 1)[:, None]
        return volts

    @shows(Check.SEQUENCE)
    def test_a_waveform_waits_for_its_trigger_and_holds_its_last_value(self, device: V) -> None:
        self._waveforms_or_skip(device)
        for trigger in sorted(device.waveform_triggers):
            if not self.can_fire(trigger):
                continue
            before = device.present_v.copy()
            volts = self.waveform(device)
            setpoint = device.arm_waveform(volts, rate_hz=device.max_update_rate_hz, trigger=trigger)
            assert len(setpoint.tokens) == 1
            assert setpoint.realised.shape == volts.shape
            np.testing.assert_array_equal(device.present_v, before, "arming a waveform moved the outputs")
            device.start()
            if trigger is not Trigger.INTERNAL:
                np.testing.assert_array_equal(device.present_v, before, "the waveform did not wait for its trigger")
            self.fire(device, trigger, 1)
            device.wait(self.patience_s)
            device.disarm()
            np.testing.assert_allclose(device.present_v, setpoint.realised[-1], rtol=1e-6, atol=1e-9)

    @shows(Check.SEQUENCE)
    def test_an_internal_waveform_takes_its_time(self, device: V) -> None:
        if Trigger.INTERNAL not in device.waveform_triggers:
            does_not_apply("it has no timer of its own")
        volts = self.waveform(device)
        # long beside the error of the clock
        rate_hz = min(device.max_update_rate_hz, len(volts) / (20 * self.stamp_error_s))
        device.arm_waveform(volts, rate_hz=rate_hz, trigger=Trigger.INTERNAL)
        begin_s = device.clock.now_s()
        device.start()
        device.wait(self.patience_s)
        took_s = device.clock.now_s() - begin_s
        assert took_s >= (len(volts) - 1) / rate_hz - self.stamp_error_s

    def test_the_start_that_it_tells_is_bench_time(self, device: V) -> None:
        if device.start_error_s is None or Trigger.INTERNAL not in device.waveform_triggers:
            does_not_apply("it does not tell when a waveform began")
        for _ in range(2):
            self.arm(device, Trigger.INTERNAL)
            with pytest.raises(AcquisitionError):
                device.begun_s()
            least_s, most_s = device.latency_s
            earliest_s = device.clock.now_s() + least_s
            device.start()
            latest_s = device.clock.now_s() + most_s
            device.wait(self.patience_s)
            error_s = device.start_error_s + self.stamp_error_s
            assert earliest_s - error_s <= device.begun_s() <= latest_s + error_s
            device.disarm()

    @quiet
    def test_a_waveform_that_is_too_long_is_refused(self, device: V) -> None:
        here = np.clip(device.present_v, *self.limits_of(device, "voltage"))
        for extra in (1, 1000):
            long = np.broadcast_to(here, (device.max_samples + extra, device.n_outputs))
            self.assert_refused(device, f"{len(long)} samples", _arming(long, device.max_update_rate_hz), AbilityError)

    @shows(Check.SEQUENCE)
    def test_the_longest_waveform_fits(self, device: V) -> None:
        self._waveforms_or_skip(device)
        if device.max_samples * device.n_outputs > 1e6:
            pytest.skip("its longest waveform would take too long")
        here = np.clip(device.present_v, *self.limits_of(device, "voltage"))
        arming: Call[V] = _arming(np.tile(here, (device.max_samples, 1)), device.max_update_rate_hz)
        arming(device)
        assert device.state is State.ARMED

    @pytest.mark.parametrize("factor", [1.001, 1000, 0, -1, math.nan, math.inf])
    def test_rates_that_it_cannot_keep_are_refused(self, device: V, factor: float) -> None:
        self._waveforms_or_skip(device)
        rate_hz = factor * device.max_update_rate_hz
        arming: Call[V] = _arming(self.waveform(device), rate_hz)
        self.assert_refused(device, f"{rate_hz:g} samples/s", arming, SetpointError)

    def test_one_illegal_sample_refuses_the_waveform(self, device: V) -> None:
        self._waveforms_or_skip(device)
        low, high = self.limits_of(device, "voltage")
        for wrong in (math.nan, -math.inf, high + 1e-3 * (high - low)):
            volts = self.waveform(device)
            volts[-1, -1] = wrong
            self.assert_refused(
                device, f"a sample of {wrong} V", _arming(volts, device.max_update_rate_hz), SetpointError
            )

    def _waveforms_or_skip(self, device: V) -> None:
        if not device.max_samples:
            does_not_apply("it plays no waveforms")


class DACConformance(OutputRules[V], WaveformRules[V], DeviceConformance[V]):
    """What every digital-to-analog converter keeps; see `DeviceConformance` for its use."""

    hooks: ClassVar[tuple[str, ...]] = ("_write", "_arm_waveform")

    def calls(self, like: V) -> Mapping[str, Call[V]]:
        """See `Subject.calls`."""
        idle = np.full(like.n_outputs, self.idle(like, "voltage"))
        calls: dict[str, Call[V]] = {
            "write": lambda device: device.write(idle),
            "ramp": lambda device: device.ramp(idle),
        }
        if like.max_samples:
            trigger, rate_hz = min(like.waveform_triggers), like.max_update_rate_hz
            calls["arm_waveform"] = lambda device: device.arm_waveform(idle[None], rate_hz=rate_hz, trigger=trigger)
        return calls

    def misfits(self, like: V) -> Mapping[str, Call[V]]:
        """See `Subject.misfits`."""
        n, idle = like.n_outputs, self.idle(like, "voltage")
        shapes = {
            "a channel too many": (n + 1,), "a channel too few": (n - 1,), "one number": (), "a row of rows": (1, n),
        }  # fmt: skip
        calls: dict[str, Call[V]] = {}
        for what, shape in shapes.items():
            calls[f"{what} in write"] = _writing(np.full(shape, idle))
            calls[f"{what} in ramp"] = _ramping(np.full(shape, idle))
        if like.max_samples:
            waveforms = {
                "a waveform with a channel too many": (2, n + 1), "a waveform with a channel too few": (2, n - 1),
                "a waveform without samples": (0, n), "a row as a waveform": (n,), "a number as a waveform": (),
                "waveforms": (1, 2, n),
            }  # fmt: skip
            for what, shape in waveforms.items():
                calls[what] = _arming(np.full(shape, idle), like.max_update_rate_hz)
        return calls

    def readback(self, device: V) -> dict[str, object]:
        """See `Subject.readback`."""
        known = super().readback(device)
        return {**known, "present_v": device.present_v.copy()} if known else known

    def send(self, device: V, quantity: str, values: Values) -> Setpoint:
        """See `OutputRules.send`."""
        return device.write(values)

    def setpoint_shape(self, device: V, quantity: str) -> tuple[int, ...]:
        """See `OutputRules.setpoint_shape`."""
        return (device.n_outputs,)

    def output_quantities(self, device: V) -> tuple[str, ...]:
        """See `OutputRules.output_quantities`."""
        return ("voltage",)

    def realised(self, device: V, quantity: str, values: Values) -> Realised:
        """See `OutputRules.realised`: each channel has steps of its own."""
        found = []
        for value in values.tolist():
            self.let_slew(device, quantity)
            found.append(device.write(np.full(device.n_outputs, value)).realised)
        return np.stack(found)

    @quiet
    def test_its_facts_agree(self, device: V) -> None:
        least_s, most_s = device.latency_s
        assert 0 <= least_s <= most_s < math.inf and 0 <= device.settle_s < math.inf
        assert device.n_outputs >= 1 and device.max_update_rate_hz > 0 and device.max_samples >= 0
        assert bool(device.max_samples) == bool(device.waveform_triggers), "a waveform needs memory and a trigger"
        assert device.present_v.shape == (device.n_outputs,)
        assert np.isfinite(device.present_v).all()

    @shows(Check.REALISED)
    def test_written_voltages_are_present(self, device: V) -> None:
        values = self._inner(device, "voltage")
        realised = device.write(values).realised.copy()
        np.testing.assert_allclose(device.present_v, realised, rtol=1e-6, atol=1e-9)
        values[...] = device.present_v[...] = 0
        np.testing.assert_allclose(
            device.present_v,
            realised,
            rtol=1e-6,
            atol=1e-9,
            err_msg="changing an array of the caller moved the outputs",
        )

    def test_safe_is_the_same_wherever_it_comes_from(self, device: V) -> None:
        low, high = self.limits_of(device, "voltage")
        found = []
        for fraction in (0.2, 0.8):
            self.let_slew(device, "voltage")
            device.write(np.full(device.n_outputs, low + fraction * (high - low)))
            device.make_safe()
            found.append(device.present_v.copy())
            device.resume()
            np.testing.assert_array_equal(device.present_v, found[-1], "resume moved the outputs")
        np.testing.assert_array_equal(found[0], found[1], "the outputs' safe state depends on what was written before")

    def test_a_jump_above_the_slew_limit_is_refused_and_a_ramp_arrives(self) -> None:
        with self._slewing(seconds=10.0) as device:  # long beside what a busy computer may stand still
            low, high = self.limits_of(device, "voltage")
            begin, end = np.full((2, device.n_outputs), [[low], [high]])
            device.write(begin)
            for far in (end, begin + 0.5 * (end - begin)):
                self.assert_refused(device, "a jump", _writing(far), SetpointError)
        with self._slewing(seconds=0.1) as device:
            device.write(begin)
            begin_s = device.clock.now_s()
            realised = device.ramp(end, step_s=1e-2).realised
            took_s = device.clock.now_s() - begin_s
            np.testing.assert_allclose(device.present_v, realised, rtol=1e-6, atol=1e-9)
            np.testing.assert_array_equal(realised, device.write(end).realised)
            assert took_s >= 0.1 * (1 - 1e-6) - 1e-2, f"{device.name}: a ramp of 0.1 s took {took_s:g} s"

    def test_after_the_safe_state_the_slew_limit_counts_from_there(self) -> None:
        with self._slewing(seconds=10.0) as device:
            low, high = self.limits_of(device, "voltage")
            ends = np.full((2, device.n_outputs), [[low], [high]])
            device.make_safe()
            device.resume()
            far = ends[np.abs(ends - device.present_v).max(axis=1).argmax()]
            self.assert_refused(device, "a jump out of the safe state", _writing(far), SetpointError)

    def test_after_a_waveform_the_slew_limit_counts_from_its_end(self) -> None:
        with self._slewing(seconds=10.0) as device:
            if Trigger.INTERNAL not in device.waveform_triggers:
                does_not_apply("it has no timer of its own")
            low, high = self.limits_of(device, "voltage")
            self.sleep(device, 20.0)
            self.arm(device, Trigger.INTERNAL)
            device.start()
            device.wait(self.patience_s)
            device.disarm()
            middle = np.full(device.n_outputs, (low + high) / 2)
            far = np.where(device.present_v > middle, low, high)
            self.assert_refused(device, "a jump after a waveform", _writing(far), SetpointError)

    def test_a_waveform_above_the_slew_limit_is_refused(self) -> None:
        with self._slewing(seconds=0.1) as device:
            self._waveforms_or_skip(device)
            low, high = self.limits_of(device, "voltage")
            device.write(np.full(device.n_outputs, low))
            n = min(device.max_samples, 4)
            steep = np.linspace(low, high, n + 1)[1:, None] * np.ones(device.n_outputs)
            self.assert_refused(device, "a steep waveform", _arming(steep, device.max_update_rate_hz), SetpointError)

    def _slewing(self, seconds: float) -> V:
        """Return a closed device that needs some time from one end of its range to the other."""
        with self.make(clock=self.clock()) as device:
            low, high = self.limits_of(device, "voltage")
        return self.make(clock=self.clock(), limits={"voltage": Limits(low, high, (high - low) / seconds)})


def _writing(volts: Values) -> Call[V]:
    return lambda device: device.write(volts)


def _ramping(volts: Values) -> Call[V]:
    return lambda device: device.ramp(volts)


def _arming(volts: Values, rate_hz: float) -> Call[V]:
    """Return a call that arms a waveform with any trigger that there is."""
    return lambda device: device.arm_waveform(
        volts, rate_hz=rate_hz, trigger=min(device.waveform_triggers, default=Trigger.INTERNAL)
    )
