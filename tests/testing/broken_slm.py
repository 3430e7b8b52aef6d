"""Broken spatial light modulators."""

import numpy as np

from pnnlab.devices import SpatialLightModulator, Trigger
from tests.testing.broken import broken
from tests.testing.memory_devices import MemorySlm, Numbers


@broken("test_its_facts_agree", "do not fit uint8")
class ManyLevelsSlm(MemorySlm):
    levels = 1024
    dtype = np.dtype(np.uint8)


@broken("test_its_facts_agree", "a sequence needs room and a trigger")
class RoomlessSlm(MemorySlm):
    max_sequence = 0


@broken("test_patterns_of_any_number_type_are_taken", "whole numbers only")
class PickySlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        if levels.dtype == np.float32:
            raise TypeError("whole numbers only")
        return super()._realise(levels)


@broken("test_a_sequence_has_one_token_a_pattern", "assert range")
class OneTokenSlm(MemorySlm):
    def _next_tokens(self, count: int) -> range:
        return super()._next_tokens(1)


@broken("test_the_longest_sequence_fits", "out of memory")
class SmallSlm(MemorySlm):
    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None:
        if len(levels) == self.max_sequence:
            raise RuntimeError("out of memory")
        super()._arm_sequence(levels, trigger, period_s)


@broken("test_one_illegal_level_in_a_sequence_refuses_all_of_it", "SetpointError is due")
class FirstPatternSlm(MemorySlm):
    def _check(self, levels: Numbers, shape: tuple[int, ...]) -> None:
        super()._check(levels[:1] if levels.ndim == 3 else levels, shape)


@broken("test_an_internal_sequence_takes_its_time", "3 patterns took")
class RushingSlm(MemorySlm):
    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None:
        super()._arm_sequence(levels, trigger, period_s / 100)


class BypassedSlm(MemorySlm):
    """Its sequences are not checked."""


def arm_without_checks(self: BypassedSlm, levels: Numbers, *, trigger: Trigger, period_s: float) -> None:
    self._arm(SpatialLightModulator, self._arm_sequence, levels, trigger, period_s)


# what Device refuses in a subclass, slipped in behind its back
setattr(BypassedSlm, "arm_sequence", arm_without_checks)  # noqa: B010


@broken("test_a_sequence_that_is_too_long_is_refused", "11 patterns reached _arm_sequence()")
class BypassedMemorySlm(BypassedSlm):
    pass


@broken("test_patterns_faster_than_the_panel_are_refused", "reached _arm_sequence()")
class BypassedPeriodSlm(BypassedSlm):
    pass
