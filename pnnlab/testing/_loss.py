"""The rules for readings that get lost, and for the counter that tells of it."""

from typing import TypeVar

import numpy as np
import pytest

from pnnlab.devices import Sensor
from pnnlab.errors import AcquisitionError
from pnnlab.testing._checks import Check, does_not_apply, shows
from pnnlab.testing._reading import ReadingRules

__all__ = ["LossRules"]

D = TypeVar("D", bound=Sensor)


class LossRules(ReadingRules[D]):
    """What a device tells of readings that did not come, for as long as a run may be."""

    @shows(Check.COUNTER_WRAP)
    def test_readings_go_on_where_the_counter_begins_again(self, device: D) -> None:
        modulus = device.counter_modulus
        if modulus is None:
            does_not_apply("it does not count")
        shape, dtype = self.row_type(device)
        n = self.readings_to_wrap(device) + 3
        trigger = self.preferred(device)
        self.arm_readings(device, n, trigger, np.zeros((min(n, 4), *shape), dtype))
        device.start()
        counted = []
        for _ in range(n):
            self.fire(device, trigger, 1)
            counters = self.read(device, 1, self.patience_s)[1].counters
            assert counters is not None
            counted.append(int(counters[0]))
        steps = np.diff(counted)
        assert (steps % modulus == 1).all(), f"{device.name}: the counter went {counted}"
        assert (steps < 0).any(), f"{device.name}: the counter did not begin again within {n} readings: {counted}"

    @shows(Check.LOST_PACKETS)
    def test_lost_readings_are_told_by_what_came(self, device: D) -> None:
        n = self.loss_run
        with self.losing(device):
            self.begin(device, n)
            stamps = self.collect(device, n, self.patience_s)[1]
        broken = stamps.intact is not None and not stamps.intact.all()
        gaps = stamps.counters is not None and (np.diff(stamps.counters) % (device.counter_modulus or 1) != 1).any()
        assert stamps.count < n or broken or gaps, f"{device.name}: readings were lost, and {n} are told as good"

    @shows(Check.LOST_PACKETS)
    def test_lost_readings_refuse_the_run_and_the_next_one_is_good(self, device: D) -> None:
        n = self.loss_run
        with self.losing(device):
            self.begin(device, n)
            with pytest.raises(AcquisitionError):
                self.read(device, n, self.patience_s)
        device.disarm()
        self.begin(device, 3)
        assert self.read(device, 3, self.patience_s)[1].count == 3
