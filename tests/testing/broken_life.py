"""Drivers whose life is broken."""

from collections.abc import Callable
from typing import Unpack

import numpy as np

from pnnlab.devices import Identity, State
from pnnlab.testing import DeviceArguments
from tests.testing.broken import broken
from tests.testing.memory_devices import Floats, MemoryAdc, MemoryCamera, MemoryCrossbar, MemoryDac, MemorySlm


@broken("test_a_closed_device_opens_again", "different identities")
class ForgetfulDac(MemoryDac):
    opened = 0

    def _identify(self) -> Identity:
        self.opened += 1
        return Identity("pnnlab tests", "dac", str(self.opened))


@broken("test_a_closed_device_opens_again", "the handle is used up")
class OneLifeDac(MemoryDac):
    used = False

    def _open(self) -> None:
        if self.used:
            raise OSError("the handle is used up")
        self.used = True
        super()._open()


@broken("test_opening_writes_nothing", "opening called _write")
class EagerSlm(MemorySlm):
    def _open(self) -> None:
        super()._open()
        self._write(np.zeros(self.shape, self.dtype))


@broken("test_an_error_inside_the_context_leaves_it_safe_and_closed", "[]")
class FairWeatherCamera(MemoryCamera):
    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.close()


@broken("test_making_safe_ends_an_armed_run", "cannot end a run")
class EndlessAdc(MemoryAdc):
    def _disarm(self) -> None:
        raise self._unable("end a run")


@broken("test_before_opening_every_call_is_refused", "write of a device that is closed reached _write()")
class ShamelessDac(MemoryDac):
    def _require(self, *states: object) -> None:
        pass


@broken("test_no_guard_is_overridden", "overrides _require")
class UnguardedDac(ShamelessDac):
    pass


@broken("test_a_hook_that_fails_puts_the_device_into_fault", "DID NOT RAISE")
class SwallowingCrossbar(MemoryCrossbar):
    def _call(self, hook: Callable[..., object], *args: object, **kwargs: object) -> object:  # type: ignore[override]
        try:
            return hook(*args, **kwargs)
        except Exception:
            return None


@broken("test_a_half_done_opening_lets_go", "due is _close only")
class ClingingCamera(MemoryCamera):
    def _release(self) -> None:
        if self._identity is not None:
            super()._release()


@broken("test_closing_makes_safe_and_lets_go_once", "_make_safe")
class HastyDac(MemoryDac):
    def _close(self) -> None:
        self._make_safe()


@broken("test_a_new_device_is_closed", "is closed")
class BornOpenDac(MemoryDac):
    def __init__(self, name: str, **arguments: Unpack[DeviceArguments]) -> None:
        super().__init__(name, **arguments)
        self._state = State.SAFE

    def _close(self) -> None:
        raise OSError("device is closed")


@broken("test_after_closing_every_call_is_refused", "reached _write()")
class UnclosableDac(MemoryDac):
    def _release(self) -> None:
        super()._release()
        self._state = State.OPEN


@broken("test_an_open_device_takes_its_calls", "no answer")
class MuteCrossbar(MemoryCrossbar):
    def _read_conductance(self) -> Floats:
        raise OSError("no answer")


@broken("test_the_context_opens_and_closes", "assert 'slm' is")
class WrongContextSlm(MemorySlm):
    def __enter__(self) -> "WrongContextSlm":
        self.open()
        return "slm"  # type: ignore[return-value]


class LaxDac(MemoryDac):
    """It takes every call in one state."""

    lax: State

    def _require(self, *states: State) -> None:
        if self.state is not self.lax:
            super()._require(*states)


@broken("test_armed_every_other_call_is_refused", "write of a device that is armed reached _write()")
class LaxArmedDac(LaxDac):
    lax = State.ARMED


@broken("test_made_safe_every_call_is_refused_until_resume", "write of a device that is safe reached _write()")
class LaxSafeDac(LaxDac):
    lax = State.SAFE


class LaxOpenDac(LaxDac):
    """It takes every call once it is open."""

    lax = State.OPEN


@broken("test_opening_twice_is_refused", "DID NOT RAISE")
class ReopeningDac(LaxOpenDac):
    pass


@broken("test_resume_needs_a_safe_device", "was accepted")
class ResumingDac(LaxOpenDac):
    pass


@broken("test_without_a_run_its_calls_are_refused", "AttributeError")
class StartingDac(LaxOpenDac):
    pass
