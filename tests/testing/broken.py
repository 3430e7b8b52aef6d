"""The register of drivers with one defect each, and of the rule of the kit that must find it."""

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, Unpack

from pnnlab.devices import Device
from pnnlab.testing import (
    ADCConformance,
    CameraConformance,
    CrossbarArrayConformance,
    DACConformance,
    DeviceArguments,
    SpatialLightModulatorConformance,
)
from tests.testing.memory_devices import (
    MemoryAdc,
    MemoryCamera,
    MemoryCrossbar,
    MemoryDac,
    MemoryDevice,
    MemoryMishaps,
    MemorySlm,
)

SUITES: Mapping[type[MemoryDevice], type] = {
    MemorySlm: SpatialLightModulatorConformance,
    MemoryCamera: CameraConformance,
    MemoryDac: DACConformance,
    MemoryAdc: ADCConformance,
    MemoryCrossbar: CrossbarArrayConformance,
}

M = TypeVar("M", bound=type[MemoryDevice])


class Bite(NamedTuple):
    """A rule, whose it is, and a piece of what it must say."""

    suite: type
    rule: str
    says: str


BITES: dict[str, Bite] = {}
"""By the name of the test class that is made for a broken driver."""


def broken(rule: str, says: str, **own: object) -> Callable[[M], M]:
    """Make a test class of the kit for a broken driver, in the driver's own module; `own` are its members."""

    def register(driver: M) -> M:
        suite = next(SUITES[base] for base in driver.__mro__ if base in SUITES)

        def make(self: object, **arguments: Unpack[DeviceArguments]) -> Device:
            return driver("device", **arguments)

        name = f"Test{driver.__name__}"
        # None in its place hides an inherited rule from pytest: only the one in question is run
        others = {other: None for other in dir(suite) if other.startswith("test_") and other != rule}
        members = {**others, **own, "make": make, "__module__": driver.__module__}
        setattr(sys.modules[driver.__module__], name, type(name, (MemoryMishaps, suite), members))
        BITES[name] = Bite(suite, rule, says)
        return driver

    return register
