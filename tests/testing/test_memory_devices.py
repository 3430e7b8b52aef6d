"""Correct drivers pass the kit, whatever their role can and cannot do."""

from typing import Unpack

import numpy as np

from pnnlab.devices import Clock, Limits, SimulatedClock, Trigger
from pnnlab.testing import (
    ADCConformance,
    CameraConformance,
    CrossbarArrayConformance,
    DACConformance,
    DeviceArguments,
    SpatialLightModulatorConformance,
)
from tests.testing.memory_devices import MemoryAdc, MemoryCamera, MemoryCrossbar, MemoryDac, MemoryMishaps, MemorySlm


class DisplaySlm(MemorySlm):
    """A panel that is driven as a display: it plays no sequences."""

    max_sequence = 0
    triggers = frozenset[Trigger]()


class ContinuousSlm(MemorySlm):
    """A panel whose levels are not quantised."""

    dtype = np.dtype(np.float32)


class WideSlm(MemorySlm):
    """A panel of 10 bits."""

    levels = 1024


class SlowCamera(MemoryCamera):
    """A camera for software triggers only, with a finer counter."""

    triggers = frozenset({Trigger.SOFTWARE})
    bit_depth = 8
    max_delay_s = 0.0
    modulus = 2**16


class StaticDac(MemoryDac):
    """One output without waveforms."""

    n_outputs = 1
    max_samples = 0
    waveform_triggers = frozenset[Trigger]()


class FineDac(MemoryDac):
    """Twenty bits."""

    lsb_v = 10 / 2**20


class TestMemorySlm(MemoryMishaps, SpatialLightModulatorConformance[MemorySlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> MemorySlm:
        return MemorySlm("slm", **arguments)


class TestDisplaySlm(MemoryMishaps, SpatialLightModulatorConformance[DisplaySlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> DisplaySlm:
        return DisplaySlm("slm", **arguments)


class TestContinuousSlm(MemoryMishaps, SpatialLightModulatorConformance[ContinuousSlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> ContinuousSlm:
        return ContinuousSlm("slm", **arguments)


class TestWideSlm(MemoryMishaps, SpatialLightModulatorConformance[WideSlm]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> WideSlm:
        return WideSlm("slm", **arguments)


class TestMemoryCamera(MemoryMishaps, CameraConformance[MemoryCamera]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryCamera:
        return MemoryCamera("camera", **arguments)


class TestSlowCamera(MemoryMishaps, CameraConformance[SlowCamera]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> SlowCamera:
        return SlowCamera("camera", **arguments)


class TestMemoryDac(MemoryMishaps, DACConformance[MemoryDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryDac:
        return MemoryDac("dac", **arguments)


class TestDacOnABenchWithLimits(MemoryMishaps, DACConformance[MemoryDac]):
    """Limits that lie between two codes, and slew: what a real bench has."""

    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryDac:
        arguments.setdefault("limits", {"voltage": Limits(-0.3001, 1.8001, slew_per_s=100.0)})
        return MemoryDac("dac", **arguments)


class TestDacAfterWeeks(MemoryMishaps, DACConformance[MemoryDac]):
    """A clock that has run for long tells time with fewer digits: here 10 ms pass as a little less."""

    def clock(self) -> Clock:
        return SimulatedClock(4e6 + 0.1)

    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryDac:
        return MemoryDac("dac", **arguments)


class TestStaticDac(MemoryMishaps, DACConformance[StaticDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> StaticDac:
        return StaticDac("dac", **arguments)


class TestFineDac(MemoryMishaps, DACConformance[FineDac]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> FineDac:
        return FineDac("dac", **arguments)


class TestMemoryAdc(MemoryMishaps, ADCConformance[MemoryAdc]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryAdc:
        return MemoryAdc("adc", **arguments)


class TestMemoryCrossbar(MemoryMishaps, CrossbarArrayConformance[MemoryCrossbar]):
    def make(self, **arguments: Unpack[DeviceArguments]) -> MemoryCrossbar:
        return MemoryCrossbar("crossbar", **arguments)
