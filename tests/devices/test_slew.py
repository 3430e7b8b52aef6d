"""The slew limit of a converter whose calls take their time."""

import numpy as np
import pytest

from pnnlab.devices import Limits, SimulatedClock
from pnnlab.errors import SetpointError
from tests.testing.memory_devices import Floats, MemoryDac


class SlowDac(MemoryDac):
    """A write takes 0.2 s, and the outputs move at its end."""

    def _write(self, volts: Floats) -> None:
        self.clock.sleep_until(self.clock.now_s() + 0.2)
        super()._write(volts)


def test_the_slew_limit_counts_from_the_end_of_a_slow_write() -> None:
    limits = {"voltage": Limits(-5.0, 4.9, slew_per_s=10.0)}
    with SlowDac("dac", clock=SimulatedClock(), limits=limits) as dac:
        dac.write(np.zeros(3))
        with pytest.raises(SetpointError, match="changes by 1 V"):
            dac.write(np.ones(3))
        dac.clock.sleep_until(dac.clock.now_s() + 0.1)
        dac.write(np.ones(3))
