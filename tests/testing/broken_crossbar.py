"""Broken crossbars."""

import numpy as np

from tests.testing.broken import broken
from tests.testing.memory_devices import Floats, MemoryCrossbar


@broken("test_currents_and_conductances_belong_to_the_caller", "changed the currents of an earlier one")
class ReusingCrossbar(MemoryCrossbar):
    def _open(self) -> None:
        super()._open()
        self._amps = np.zeros((64 * 65, self.shape[1]))

    def _multiply(self, volts: Floats) -> Floats:
        amps: Floats = self._amps[: len(volts)]
        amps[...] = super()._multiply(volts)
        return amps


@broken("test_every_vector_has_a_token_and_currents", "(3, 4) == (4, 3)")
class TransposedCrossbar(MemoryCrossbar):
    def _multiply(self, volts: Floats) -> Floats:
        return super()._multiply(volts).T


@broken("test_every_cell_is_read", "(12,) == (4, 3)")
class FlatCrossbar(MemoryCrossbar):
    def _read_conductance(self) -> Floats:
        return super()._read_conductance().ravel()


@broken("test_its_facts_agree", "negative conductance")
class NegativeCrossbar(MemoryCrossbar):
    levels_siemens = np.linspace(-1e-6, 100e-6, 33)
