"""The conformance kit on a device of a bench file."""

import types
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Unpack

import pytest

from pnnlab.bench import BenchFile, ClockKind, NamedMapping
from pnnlab.devices import (
    ADC,
    DAC,
    UNLIMITED,
    Camera,
    Clock,
    CrossbarArray,
    Device,
    Limits,
    RealClock,
    SimulatedClock,
    SpatialLightModulator,
)
from pnnlab.errors import PnnlabError, SetpointError
from pnnlab.quantities import parse_range
from pnnlab.testing._adc import ADCConformance
from pnnlab.testing._camera import CameraConformance
from pnnlab.testing._checks import NOT_SHOWN
from pnnlab.testing._crossbar import CrossbarArrayConformance
from pnnlab.testing._dac import DACConformance
from pnnlab.testing._output import OutputRules
from pnnlab.testing._slm import SpatialLightModulatorConformance
from pnnlab.testing._subject import DeviceArguments

__all__ = ["BenchModule", "OnBench", "suites_of"]

_SUITES: Final[Mapping[type, type]] = {
    SpatialLightModulator: SpatialLightModulatorConformance,
    Camera: CameraConformance,
    DAC: DACConformance,
    ADC: ADCConformance,
    CrossbarArray: CrossbarArrayConformance,
}


class BenchModule(pytest.Module):
    """A bench file as pytest sees it: a test class for each role of one device."""

    def _getobj(self) -> types.ModuleType:
        name = str(self.config.getoption("pnnlab_device"))
        module = types.ModuleType(self.path.stem)
        try:
            suites = suites_of(BenchFile.load(self.path), name, self.config.getoption("pnnlab_outputs"))
        except PnnlabError as error:
            raise self.CollectError(str(error)) from error
        module.__dict__.update(suites)
        return module


class OnBench:
    """How the kit makes a device that a bench file describes.

    Attributes:
        file: The bench file.
        name: The device.
        ranges: Where its outputs may be put, by quantity, on top of the limits of the file.
        unasked: Why rules that move outputs are not run; empty where they are.
    """

    file: ClassVar[BenchFile]
    name: ClassVar[str]
    ranges: ClassVar[Mapping[str, Limits]]
    unasked: ClassVar[str] = ""

    def clock(self) -> Clock:
        """See `Subject.clock`."""
        return SimulatedClock() if self.file.config.clock is ClockKind.SIMULATED else RealClock()

    def make(self, **arguments: Unpack[DeviceArguments]) -> Device:
        """See `Subject.make`."""
        devices, config = self.file.config.devices, self.file.config.devices[self.name]
        clock = arguments["clock"]
        plant = None
        if config.plant is not None:
            table = self.file.config.plants[config.plant]
            plant = table.cls(table.name, table.options, clock=clock, seed=table.seed)
            # nature is not complete without the other instruments on the same table
            for other in devices.values():
                if other.plant == config.plant and other.name != self.name:
                    other.cls(other.name, other.options, clock=clock, limits=other.limits, plant=plant).open()
        return config.cls(
            self.name, config.options, clock=clock, plant=plant, expected=arguments.get("expected", config.identity),
            limits=_joined(config.limits, self.ranges, arguments.get("limits", {})),
        )  # fmt: skip


def suites_of(file: BenchFile, name: str, outputs: Sequence[str]) -> dict[str, type]:
    """Return the test classes of a device, by their names.

    Args:
        file: The bench file.
        name: The device.
        outputs: Where the outputs of a live device may be put, each as `voltage=0 V to 1 V`.

    Raises:
        PnnlabError: There is no such device, or a range does not fit it.
    """
    driver = NamedMapping("device", file.config.devices)[name].cls
    ranges = _ranges(driver, outputs)
    found: dict[str, type] = {}
    for role, suite in _SUITES.items():
        if issubclass(driver, role):
            live = issubclass(suite, OutputRules) and not driver.needs_plant
            own = {"file": file, "name": name, "ranges": ranges, "unasked": _unasked(role, ranges) if live else ""}
            title = f"Test{role.__name__}"
            found[title] = type(title, (OnBench, suite), {**own, "peer": _peer(driver), "__module__": __name__})
    return found


def _peer(driver: type[Device]) -> str:
    return "" if driver.needs_plant else "the device of the bench file"


def _unasked(role: type[Device], ranges: Mapping[str, Limits]) -> str:
    """Return why rules that move the outputs of a live device are not run."""
    missing = [quantity for quantity in role.quantities if quantity not in ranges]
    if not missing:
        return ""
    examples = " ".join(f"--pnnlab-outputs '{quantity}=LOW to HIGH'" for quantity in missing)
    return f"{NOT_SHOWN}moves live outputs; say where it may: {examples}"


def _ranges(driver: type[Device], outputs: Sequence[str]) -> dict[str, Limits]:
    units: dict[str, str] = {}
    for base in reversed(driver.__mro__):
        units |= vars(base).get("quantities", {})
    ranges = {}
    for text in outputs:
        quantity, _, written = text.partition("=")
        if quantity not in units:
            known = ", ".join(units) or "none"
            raise SetpointError(f"--pnnlab-outputs {text!r}: the device has the quantities {known}")

        try:
            ranges[quantity] = Limits(*parse_range(written, units[quantity]))
        except ValueError as error:
            raise SetpointError(f"--pnnlab-outputs {text!r}: {error}") from error
    return ranges


def _joined(*tables: Mapping[str, Limits]) -> dict[str, Limits]:
    joined: dict[str, Limits] = {}
    for table in tables:
        for quantity, limits in table.items():
            joined[quantity] = joined.get(quantity, UNLIMITED).intersect(limits)
    return joined
