"""The rules for a spatial light modulator."""

import math
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import numpy as np
import pytest

from pnnlab.devices import Setpoint, SpatialLightModulator, State, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.testing._checks import Check, does_not_apply, quiet, shows
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._output import OutputRules, Values
from pnnlab.testing._runs import RunRules
from pnnlab.testing._subject import Call

__all__ = ["SpatialLightModulatorConformance"]

S = TypeVar("S", bound=SpatialLightModulator)


class SequenceRules(RunRules[S]):
    """What a panel does with an on-board sequence."""

    def triggers(self, device: S) -> frozenset[Trigger]:
        """See `RunRules.triggers`."""
        return device.triggers

    def arm(self, device: S, trigger: Trigger) -> None:
        """See `RunRules.arm`."""
        self._arm(device, self._sequence(device, self.n_steps), trigger)

    def step_s(self, device: S) -> float:
        """See `RunRules.step_s`."""
        return device.frame_period_s

    @shows(Check.SEQUENCE)
    def test_a_sequence_has_one_token_a_pattern(self, device: S) -> None:
        self._sequences_or_skip(device)
        before = device.write(self._sequence(device, 1)[0]).tokens
        setpoint = self._arm(device, self._sequence(device, 3))
        assert setpoint.tokens == range(before.stop, before.stop + 3)
        assert setpoint.realised.shape == (3, *device.shape)
        device.disarm()
        assert device.write(self._sequence(device, 1)[0]).tokens.start == setpoint.tokens.stop

    @quiet
    def test_a_sequence_that_is_too_long_is_refused(self, device: S) -> None:
        pattern = self._sequence(device, 1)
        for extra in (1, 1000):
            shape = (device.max_sequence + extra, *device.shape)
            long = np.broadcast_to(pattern, shape)  # takes no memory, however much the instrument holds
            self.assert_refused(device, f"{len(long)} patterns", self._arming(long), AbilityError)

    @shows(Check.SEQUENCE)
    def test_the_longest_sequence_fits(self, device: S) -> None:
        self._sequences_or_skip(device)
        if device.max_sequence * np.prod(device.shape) > 1e7:
            pytest.skip("its longest sequence would take too long")
        setpoint = self._arm(device, self._sequence(device, device.max_sequence))
        assert len(setpoint.tokens) == device.max_sequence

    def test_one_illegal_level_in_a_sequence_refuses_all_of_it(self, device: S) -> None:
        self._sequences_or_skip(device)
        for wrong in (math.nan, math.inf, self.limits_of(device, "level")[1] + 1):
            sequence = self._sequence(device, 3)
            sequence[2, -1, -1] = wrong
            self.assert_refused(device, f"a level {wrong}", self._arming(sequence), SetpointError)

    def test_patterns_faster_than_the_panel_are_refused(self, device: S) -> None:
        if Trigger.INTERNAL not in device.triggers:
            does_not_apply("it has no timer of its own")
        sequence = self._sequence(device, 2)
        for period_s in (0.99 * device.frame_period_s, 0.0, -1.0, math.nan, math.inf):
            what = f"a pattern every {period_s:g} s"
            self.assert_refused(device, what, self._arming(sequence, Trigger.INTERNAL, period_s), SetpointError)

    @shows(Check.SEQUENCE)
    def test_an_internal_sequence_takes_its_time(self, device: S) -> None:
        if Trigger.INTERNAL not in device.triggers:
            does_not_apply("it has no timer of its own")
        period_s = max(2 * device.frame_period_s, 10 * self.stamp_error_s)
        device.arm_sequence(self._sequence(device, 3), trigger=Trigger.INTERNAL, period_s=period_s)
        begin_s = device.clock.now_s()
        device.start()
        device.wait(self.patience_s)
        took_s = device.clock.now_s() - begin_s
        assert took_s >= 2 * period_s - self.stamp_error_s, f"{device.name}: 3 patterns took {took_s:g} s"

    def _arm(
        self, device: S, levels: Values, trigger: Trigger | None = None, period_s: float | None = None
    ) -> Setpoint:
        chosen = trigger or min(device.triggers, default=Trigger.INTERNAL)
        period_s = device.frame_period_s if period_s is None else period_s
        return device.arm_sequence(levels, trigger=chosen, period_s=period_s)

    def _arming(self, levels: Values, trigger: Trigger | None = None, period_s: float | None = None) -> Call[S]:
        return lambda device: self._arm(device, levels, trigger, period_s)

    def _sequence(self, device: S, n: int) -> Values:
        """Return `n` patterns of legal levels, each another one."""
        low, high = self.limits_of(device, "level")
        levels: Values = np.linspace(low, high, n * int(np.prod(device.shape))).reshape(n, *device.shape)
        return levels

    def _sequences_or_skip(self, device: S) -> None:
        if not device.max_sequence:
            does_not_apply("it plays no sequences")


class SpatialLightModulatorConformance(OutputRules[S], SequenceRules[S], DeviceConformance[S]):
    """What every spatial light modulator keeps; see `DeviceConformance` for its use."""

    hooks: ClassVar[tuple[str, ...]] = ("_write", "_arm_sequence")

    def calls(self, like: S) -> Mapping[str, Call[S]]:
        """See `Subject.calls`."""
        dark = np.full(like.shape, self.idle_level(like))
        calls: dict[str, Call[S]] = {"write": lambda device: device.write(dark)}
        if like.max_sequence:
            trigger, period_s = min(like.triggers), like.frame_period_s
            calls["arm_sequence"] = lambda device: device.arm_sequence(dark[None], trigger=trigger, period_s=period_s)
        return calls

    def idle_level(self, like: S) -> float:
        """Return a level that every panel may show."""
        return 0.0 if like.state is State.CLOSED else self.idle(like, "level")

    def misfits(self, like: S) -> Mapping[str, Call[S]]:
        """See `Subject.misfits`."""
        h, w = like.shape
        level = self.idle_level(like)
        shapes = {
            "a pattern with a row too many": (h + 1, w), "a pattern with a column too few": (h, w - 1),
            "a row of pixels": (w,), "one number": (), "an empty pattern": (0, w), "a pattern of patterns": (1, h, w),
        }  # fmt: skip
        calls: dict[str, Call[S]] = {what: _writing(np.full(shape, level)) for what, shape in shapes.items()}
        if like.max_sequence:
            sequences = {
                "a sequence with a row too many": (1, h + 1, w), "a pattern as a sequence": (h, w),
                "an empty sequence": (0, h, w), "a number as a sequence": (), "sequences": (1, 1, h, w),
            }  # fmt: skip
            for what, shape in sequences.items():
                calls[what] = self._arming(np.full(shape, level))
        return calls

    def send(self, device: S, quantity: str, values: Values) -> Setpoint:
        """See `OutputRules.send`."""
        return device.write(values)

    def setpoint_shape(self, device: S, quantity: str) -> tuple[int, ...]:
        """See `OutputRules.setpoint_shape`."""
        return device.shape

    def output_quantities(self, device: S) -> tuple[str, ...]:
        """See `OutputRules.output_quantities`."""
        return ("level",)

    @quiet
    def test_its_facts_agree(self, device: S) -> None:
        assert len(device.shape) == 2 and min(device.shape) > 0
        assert device.levels >= 2
        assert device.pitch_m > 0 and device.frame_period_s > 0 and device.settle_s >= 0
        if np.issubdtype(device.dtype, np.integer):
            bits = 8 * device.dtype.itemsize - (device.dtype.kind == "i")
            assert device.levels <= 2**bits, f"{device.name}: {device.levels} levels do not fit {device.dtype}"
        assert bool(device.max_sequence) == bool(device.triggers), "a sequence needs room and a trigger"

    @shows(Check.REALISED)
    def test_shown_levels_are_of_the_hardware_type_and_nearest(self, device: S) -> None:
        low, high = self.limits_of(device, "level")
        values = np.random.default_rng(0).uniform(low, high, device.shape)
        realised = device.write(values).realised
        assert realised.dtype == device.dtype
        if np.issubdtype(device.dtype, np.integer):
            assert np.abs(realised.astype(float) - values).max() <= 0.5

    @pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
    def test_patterns_of_any_number_type_are_taken(self, device: S, dtype: type[np.number]) -> None:
        level = math.ceil(self.limits_of(device, "level")[0]) + 1
        realised = device.write(np.full(device.shape, level, dtype)).realised
        np.testing.assert_array_equal(realised, np.full(device.shape, level, device.dtype))


def _writing(pattern: Values) -> Call[S]:
    return lambda device: device.write(pattern)
