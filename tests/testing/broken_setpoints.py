"""Drivers that make something else of their setpoints."""

from collections.abc import Mapping

import numpy as np

from pnnlab.devices import Limits
from tests.testing.broken import broken
from tests.testing.memory_devices import Floats, MemoryCrossbar, MemoryDac, MemorySlm, Numbers


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class FlooringDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        realised: Floats = np.floor(volts / self.lsb_v + 1e-9) * self.lsb_v
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class OneFlooringChannelDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        realised = super()._realise(volts)
        realised[..., -1] = np.floor(volts[..., -1] / self.lsb_v + 1e-9) * self.lsb_v
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "its steps are")
class ClippingDac(MemoryDac):
    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-100.0, 100.0)}

    def _realise(self, volts: Floats) -> Floats:
        return super()._realise(np.clip(volts, -5.0, 5.0 - self.lsb_v))


@broken("test_realised_is_the_nearest_to_commanded", "is made of every value")
class DeafSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return np.zeros(levels.shape, self.dtype)


@broken("test_realised_is_the_nearest_to_commanded", "is nearer")
class OffsetSlm(MemorySlm):
    dtype = np.dtype(np.float64)

    def _realise(self, levels: Numbers) -> Numbers:
        return levels * 0.99


@broken("test_realised_is_the_nearest_to_commanded", "conductance")
class CeilingCrossbar(MemoryCrossbar):
    def _realise(self, siemens: Floats) -> Floats:
        realised: Floats = self.levels_siemens[np.searchsorted(self.levels_siemens, siemens * (1 - 1e-12))]
        return realised


@broken("test_realised_is_the_nearest_to_commanded", "voltage")
class FlooringRowsCrossbar(MemoryCrossbar):
    def _realise_voltage(self, volts: Floats) -> Floats:
        realised: Floats = np.floor(volts / self.step_v) * self.step_v
        return realised


@broken("test_shown_levels_are_of_the_hardware_type_and_nearest", "<= 0.5")
class TruncatingSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return levels.astype(self.dtype)


@broken("test_shown_levels_are_of_the_hardware_type_and_nearest", "dtype('float64') == dtype('uint8')")
class FloatSlm(MemorySlm):
    def _realise(self, levels: Numbers) -> Numbers:
        return np.rint(levels)


@broken("test_realised_is_realised_again_as_it_is", "moves when written again")
class CalibratedDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        return super()._realise(volts) + 0.6 * self.lsb_v


@broken("test_commanded_is_what_was_asked_for", "the caller's array was changed")
class InPlaceDac(MemoryDac):
    def _realise(self, volts: Floats) -> Floats:
        np.rint(volts / self.lsb_v, out=volts)
        volts *= self.lsb_v
        return volts


@broken("test_tokens_count_every_setpoint_once", "is due")
class TokenlessCrossbar(MemoryCrossbar):
    def _next_tokens(self, count: int) -> range:
        return range(count)


@broken("test_tokens_count_every_setpoint_once", "is due")
class RestartingSlm(MemorySlm):
    def _open(self) -> None:
        super()._open()
        self._tokens = 0
