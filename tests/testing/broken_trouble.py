"""Drivers that make nothing, or too little, of an instrument in trouble."""

import time
from collections.abc import Sequence

import numpy as np

from pnnlab.devices import Limits, Stamps
from tests.testing.broken import broken
from tests.testing.broken_converters import NothingChecked
from tests.testing.memory_devices import Floats, MemoryAdc, MemoryCamera, MemoryDac, MemorySlm, Numbers


@broken("test_an_instrument_that_does_not_answer_is_told_in_time", "work although the instrument does not answer")
class DeafDac(MemoryDac):
    def _ask(self) -> None:
        """It asks nothing."""


@broken("test_an_instrument_that_does_not_answer_is_told_in_time", "opens although the instrument does not answer")
class OptimisticDac(MemoryDac):
    def _ask(self) -> None:
        if self.state.value == "open":
            super()._ask()


@broken("test_an_instrument_that_is_gone_is_told_in_time", "allowed is 0.01 s", silence_s=0.01)
class PatientDac(MemoryDac):
    def _ask(self) -> None:
        time.sleep(0.03 * (self.wire != "well"))
        super()._ask()


@broken("test_an_instrument_that_is_plugged_in_again_opens_again", "the handle is gone for good")
class GrudgingSlm(MemorySlm):
    burnt = False

    def _ask(self) -> None:
        self.burnt |= self.wire == "gone"
        if self.burnt:
            raise OSError("the handle is gone for good")


@broken("test_a_second_client_is_refused_before_a_byte_is_sent", "anybody may open it a second time")
class PublicDac(MemoryDac):
    def _claims(self) -> Sequence[str]:
        return ()


@broken("test_what_a_gullible_instrument_would_take_is_refused", "DID NOT RAISE")
class TrustingCamera(MemoryCamera):
    def _joined_limits(self) -> dict[str, Limits]:
        return {"exposure": NothingChecked(20e-6, 2.0)}


@broken("test_what_the_instrument_really_does_is_told", "is 4 away from what was told")
class BelievingDac(MemoryDac):
    def _write(self, volts: Floats) -> None:
        self._held = volts.clip(-1.0, 1.0) if self.wire == "gullible" else volts.copy()


@broken("test_after_a_fault_closing_makes_the_outputs_safe", "away from what was told")
class PanickingDac(MemoryDac):
    def _make_safe(self) -> None:
        if self.state.value != "fault":
            super()._make_safe()


@broken("test_readings_go_on_where_the_counter_begins_again", "the counter went")
class SkippingCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        self.counter += self.counter % self.counter_modulus == 3
        return super()._read(out, timeout_s)

    def _refuse_faults(self, *_: object) -> None:
        """It sees no gap."""


@broken("test_lost_readings_are_told_by_what_came", "are told as good")
class HushingCamera(MemoryCamera):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        wire, self.wire = self.wire, "well"
        try:
            return super()._read(out, timeout_s)
        finally:
            self.wire = wire


@broken("test_lost_readings_refuse_the_run_and_the_next_one_is_good", "DID NOT RAISE")
class FillingAdc(MemoryAdc):
    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        stamps = super()._read(out, timeout_s)
        assert stamps.start_s is not None
        start_s = np.resize(stamps.start_s, len(out))
        return Stamps(len(out), stamps.duration_s, start_s=start_s)
