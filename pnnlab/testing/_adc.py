"""The rules for an analog-to-digital converter."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import numpy as np
import pytest

from pnnlab.devices import ADC, Stamps, Trigger
from pnnlab.errors import SetpointError
from pnnlab.testing._checks import Check, quiet, shows
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._loss import LossRules
from pnnlab.testing._reading import Rows
from pnnlab.testing._subject import Call

__all__ = ["ADCConformance"]

A = TypeVar("A", bound=ADC)


class ADCConformance(LossRules[A], DeviceConformance[A]):
    """What every analog-to-digital converter keeps; see `DeviceConformance` for its use.

    Attributes:
        n_samples: Samples of a record in the tests.
    """

    hooks: ClassVar[tuple[str, ...]] = ("_arm_records",)
    n_samples: ClassVar[int] = 8

    def calls(self, like: A) -> Mapping[str, Call[A]]:
        """See `Subject.calls`."""
        trigger = self.preferred(like)
        return {"arm_records": lambda device: self.arm_readings(device, 1, trigger)}

    def senders(self, like: A) -> Mapping[str, Callable[[A, float], object]]:
        """See `Subject.senders`: nothing goes out of a converter that measures."""
        return {}

    def triggers(self, device: A) -> frozenset[Trigger]:
        """See `RunRules.triggers`."""
        return device.triggers

    def is_chained(self, device: A, trigger: Trigger) -> bool:
        """See `RunRules.is_chained`."""
        return device.chains_records and trigger is Trigger.HARDWARE

    def step_s(self, device: A) -> float:
        """See `RunRules.step_s`."""
        return (self.n_samples + 1) / device.max_sample_rate_hz

    def arm_readings(self, device: A, n: int, trigger: Trigger, out: Rows | None = None) -> None:
        """See `ReadingRules.arm_readings`."""
        device.arm_records(n, n_samples=self.n_samples, rate_hz=device.max_sample_rate_hz, trigger=trigger, out=out)

    def read(self, device: A, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """See `ReadingRules.read`."""
        records = device.read(n, timeout_s=timeout_s)
        return records.volts, records.stamps

    def collect(self, device: A, n: int, timeout_s: float) -> tuple[Rows, Stamps]:
        """See `ReadingRules.collect`."""
        found = device.collect(n, timeout_s=timeout_s)
        return found.volts, found.stamps

    def row_type(self, device: A) -> tuple[tuple[int, ...], np.dtype[np.number]]:
        """See `ReadingRules.row_type`."""
        return (self.n_samples, device.n_inputs), device.dtype

    @quiet
    def test_its_facts_agree(self, device: A) -> None:
        assert device.n_inputs >= 1 and device.max_sample_rate_hz > 0
        low, high = device.range_v
        assert math.isfinite(low) and math.isfinite(high) and low < high
        assert np.issubdtype(device.dtype, np.floating), f"{device.name}: volts are not of type {device.dtype}"

    @pytest.mark.parametrize("factor", [1.001, 1000, 0, -1, math.nan, math.inf])
    def test_rates_that_it_cannot_keep_are_refused(self, device: A, factor: float) -> None:
        self._assert_refused(device, self.n_samples, factor * device.max_sample_rate_hz)

    @pytest.mark.parametrize("n_samples", [0, -1])
    def test_records_without_samples_are_refused(self, device: A, n_samples: int) -> None:
        self._assert_refused(device, n_samples, device.max_sample_rate_hz)

    @shows(Check.REALISED)
    @pytest.mark.parametrize("n_samples", [1, 7])
    def test_a_record_lasts_for_its_samples(self, device: A, n_samples: int) -> None:
        rate_hz = device.max_sample_rate_hz / 2
        trigger = self.preferred(device)
        device.arm_records(2, n_samples=n_samples, rate_hz=rate_hz, trigger=trigger)
        device.start()
        for _ in range(2):
            self.fire(device, trigger, 1)
            self.sleep(device, n_samples / rate_hz)
        records = device.read(2, timeout_s=self.patience_s)
        assert records.volts.shape == (2, n_samples, device.n_inputs)
        # a record of n samples spans n - 1 intervals, and some count the last one too
        assert (n_samples - 1) / rate_hz * 0.99 <= records.stamps.duration_s <= n_samples / rate_hz * 1.01

    def _assert_refused(self, device: A, n_samples: int, rate_hz: float) -> None:
        trigger = self.preferred(device)
        self.assert_refused(
            device, f"{n_samples} samples at {rate_hz:g} Hz",
            lambda d: d.arm_records(1, n_samples=n_samples, rate_hz=rate_hz, trigger=trigger), SetpointError,
        )  # fmt: skip
