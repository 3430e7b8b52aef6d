"""From a document to a bench's configuration, with everything that is wrong told at once."""

from collections.abc import Iterator
from typing import Final

from pnnlab.bench._config import (
    SECTIONS,
    BenchConfig,
    BenchSection,
    ClockKind,
    DeviceConfig,
    DeviceSection,
    LimitsSection,
    PlantConfig,
    PlantSection,
    SystemEntry,
    limitable,
)
from pnnlab.bench._document import Document, KeyPath
from pnnlab.bench._names import BenchLookupError, is_name, suggest
from pnnlab.bench._nodes import shown
from pnnlab.bench._registry import PlantClass, find_driver, find_plant
from pnnlab.devices import DAC, Camera, CrossbarArray, Device, ExpectedIdentity, Limits, SpatialLightModulator
from pnnlab.errors import BenchFileError, Problem
from pnnlab.quantities import FROM_FILE
from pnnlab.systems import System, SystemConfig, system_kinds

__all__ = ["read_config"]

_NAMED: Final = ("plants", "devices", "systems")
_NEVER_RAMPED: Final[tuple[type[Device], ...]] = (SpatialLightModulator, Camera, CrossbarArray)
"""Roles that check ranges only: a slew that nothing enforces must not stand in a file."""


def read_config(document: Document) -> BenchConfig:
    """Return the configuration that a document describes; imports drivers, touches no device.

    Raises:
        BenchFileError: Every problem of the sections bench, plants, devices and systems.
    """
    return _Reading(document).config()


class _Reading:
    """One pass over a document; mutable: problems gather on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[Problem] = []
        self._clock: ClockKind | None = None
        # classes found so far; a device whose other keys are wrong still answers for its role
        self._drivers: dict[str, type[Device]] = {}

    def config(self) -> BenchConfig:
        bench = self._document.check(("bench",), BenchSection, self._problems, required=True)
        self._clock = bench.clock if bench else None
        self._check_sections()
        self._check_names()
        plants = {name: plant for name, path in self._entries("plants") if (plant := self._plant(name, path))}
        devices = {name: device for name, path in self._entries("devices") if (device := self._device(name, path))}
        systems = {name: system for name, path in self._entries("systems") if (system := self._system(name, path))}
        if bench is None or self._problems:
            raise BenchFileError(self._problems)
        return BenchConfig(bench.name, bench.clock, bench.calibrations, plants, devices, systems)

    def _complain(self, path: KeyPath, found: str, allowed: str) -> None:
        self._problems.append(self._document.problem(path, found, allowed))

    # What the sections share

    def _check_sections(self) -> None:
        data = self._document.data
        for section in data if isinstance(data, dict) else ():
            if section not in SECTIONS:
                self._complain((section,), "the section is not known", suggest(section, SECTIONS, noun="sections"))
        if not self._document.at(("devices",)):
            self._complain(("devices",), "the bench has no devices", "add at least one")

    def _check_names(self) -> None:
        first: dict[str, str] = {}
        paths = [(section, name) for section in _NAMED for name, _ in self._entries(section, complain=False)]
        for section, name in sorted(paths, key=self._document.line_of):
            if not is_name(name):
                found = f"the name {shown(name)} has other characters than letters, digits, - and _"
                self._complain((section, name), found, "rename it")
            if name in first:
                line = self._document.line_of((first[name], name))
                self._complain(
                    (section, name),
                    f"the name stands for one of the {first[name]} already, in line {line}",
                    "rename one",
                )
            first.setdefault(name, section)

    def _entries(self, section: str, *, complain: bool = True) -> Iterator[tuple[str, KeyPath]]:
        """Yield name and path of the entries of a section that are mappings."""
        entries = self._document.at((section,))
        if isinstance(entries, dict):
            for name, entry in entries.items():
                if isinstance(entry, dict):
                    yield name, (section, name)
                elif complain and entry is None:
                    self._complain((section, name), "the entry is empty", "write 'key: value' lines below it")
                elif complain:
                    self._complain(
                        (section, name), f"{shown(entry)} is no mapping", "write 'key: value' lines below it"
                    )
        elif entries is not None and complain:
            self._complain((section,), f"{shown(entries)} is no mapping", "write 'name:' lines with keys below each")

    # Plants

    def _plant(self, name: str, path: KeyPath) -> PlantConfig | None:
        section = self._document.check(path, PlantSection, self._problems)
        cls = self._plant_class(path)
        options = None if cls is None else self._document.check((*path, "options"), cls.Options, self._problems)
        if section is None or cls is None or options is None:
            return None
        return PlantConfig(name, cls, section.seed, options)

    def _plant_class(self, path: KeyPath) -> PlantClass | None:
        driver = self._document.at((*path, "driver"))
        if not isinstance(driver, str):
            return None  # the section's model has complained
        try:
            return find_plant(driver)
        except BenchLookupError as error:
            self._complain((*path, "driver"), error.found, error.allowed)
            return None

    # Devices

    def _device(self, name: str, path: KeyPath) -> DeviceConfig | None:
        section = self._document.check(path, DeviceSection, self._problems)
        cls = self._driver(path)
        if cls is None:
            return None
        self._drivers[name] = cls
        self._check_plant(path, cls)
        options = self._document.check((*path, "options"), cls.Options, self._problems)
        limits = self._limits((*path, "limits"), cls)
        if section is None or options is None:
            return None
        return DeviceConfig(
            name, cls, section.plant, section.identity or ExpectedIdentity(), options, limits,
            section.power_w,
        )  # fmt: skip

    def _driver(self, path: KeyPath) -> type[Device] | None:
        driver = self._document.at((*path, "driver"))
        if not isinstance(driver, str):
            return None  # the section's model has complained
        try:
            return find_driver(driver)
        except BenchLookupError as error:
            self._complain((*path, "driver"), error.found, error.allowed)
            return None

    def _check_plant(self, path: KeyPath, cls: type[Device]) -> None:
        driver = self._document.at((*path, "driver"))
        plant = self._document.at((*path, "plant"))
        plants = self._document.at(("plants",))
        known = plants if isinstance(plants, dict) else {}
        if not cls.needs_plant:
            real = f"the driver {shown(driver)} is not simulated"
            if plant is not None:
                self._complain((*path, "plant"), f"{real} and has no plant", "remove it")
            if self._clock is ClockKind.SIMULATED:
                self._complain(
                    (*path, "driver"), f"{real}, and on the bench's simulated clock no wait lasts",
                    "write 'clock: real' below bench, or use a simulated driver",
                )  # fmt: skip
        elif plant is None:
            todo = (
                f"add it: {suggest('', known, noun='plants')}" if known else "describe one below plants, name it here"
            )
            self._complain((*path, "plant"), f"the simulated driver {shown(driver)} needs a plant", todo)
        elif isinstance(plant, str) and plant not in known:
            self._complain((*path, "plant"), f"no plant is named {shown(plant)}", suggest(plant, known, noun="plants"))

    def _limits(self, path: KeyPath, cls: type[Device]) -> dict[str, Limits]:
        entries = self._document.at(path)
        units = limitable(cls)
        limits: dict[str, Limits] = {}
        if entries is not None and not isinstance(entries, dict):
            self._complain(path, f"{shown(entries)} is no mapping", "write 'quantity: {range: ...}' below it")
            return limits
        for quantity in entries or ():
            if quantity not in units:
                names = suggest(quantity, units, noun="quantities")
                self._complain((*path, quantity), f"{cls.__name__} has no such quantity to limit", names)
                continue
            context = {**FROM_FILE, "unit": units[quantity]}
            section = self._document.check((*path, quantity), LimitsSection, self._problems, context=context)
            if section is None:
                continue
            if section.slew is not None and not _is_ramped(cls, quantity):
                self._complain(
                    (*path, quantity, "slew"), f"nothing ramps the {quantity} of {cls.__name__}", "remove it"
                )
            limits[quantity] = section.limits()
        return limits

    # Systems

    def _system(self, name: str, path: KeyPath) -> SystemEntry | None:
        kind = self._document.at((*path, "kind"))
        kinds = system_kinds()
        if kind is None:
            self._complain((*path, "kind"), "the key is missing", f"add it: {' or '.join(sorted(kinds))}")
            return None
        if not isinstance(kind, str) or kind not in kinds:
            self._complain(
                (*path, "kind"), f"no kind of system is {shown(kind)}", suggest(str(kind), kinds, noun="kinds")
            )
            return None
        cls = kinds[kind]
        config = self._document.check(path, cls.Config, self._problems)
        devices = {field: device for field, role in cls.roles.items() if (device := self._wire(path, cls, field, role))}
        return None if config is None else SystemEntry(name, cls, config, devices)

    def _wire(self, path: KeyPath, cls: type[System], field: str, role: type[Device]) -> str | None:
        """Return the name of the device that a field of a system names, once it is known to have the role."""
        path = (*path, _key(cls.Config, field))
        device = self._document.at(path)
        if not isinstance(device, str):
            return None  # the system's model has complained, or the field may be left out
        devices = self._document.at(("devices",))
        names = devices if isinstance(devices, dict) else {}
        if device not in names:
            self._complain(path, f"no device is named {shown(device)}", suggest(device, names, noun="devices"))
            return None
        driver = self._drivers.get(device)
        if driver is not None and not issubclass(driver, role):
            able = [name for name, other in self._drivers.items() if issubclass(other, role)]
            has = f"devices with this role are {', '.join(able)}" if able else "no device of the bench has this role"
            self._complain(path, f"the device {shown(device)} ({driver.__name__}) is no {role.__name__}", has)
            return None
        return device


def _is_ramped(cls: type[Device], quantity: str) -> bool:
    if issubclass(cls, DAC) and quantity in DAC.quantities:
        return True
    return not any(issubclass(cls, role) and quantity in role.quantities for role in _NEVER_RAMPED)


def _key(config: type[SystemConfig], field: str) -> str:
    """Return a field's name in the file."""
    alias = config.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else field
