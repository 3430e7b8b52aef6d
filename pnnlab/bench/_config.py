"""What a bench file says, as frozen values."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from pnnlab.bench._names import NAME_PATTERN, is_name
from pnnlab.bench._nodes import shown
from pnnlab.bench._registry import PlantClass
from pnnlab.devices import Device, DeviceOptions, ExpectedIdentity, Limits
from pnnlab.quantities import FrozenModel, Watts, parse_quantity, parse_range
from pnnlab.systems import System, SystemConfig

__all__ = [
    "SECTIONS",
    "BenchConfig",
    "BenchSection",
    "ClockKind",
    "DeviceConfig",
    "DeviceSection",
    "LimitsSection",
    "PlantConfig",
    "PlantSection",
    "SystemEntry",
    "limitable",
]

SECTIONS: Final = ("bench", "plants", "devices", "systems", "training")
"""The top-level keys of a bench file; `training` belongs to an upper layer."""


class ClockKind(StrEnum):
    """Where a bench takes its time from."""

    SIMULATED = "simulated"
    """Waiting takes no time; for simulated devices only."""
    REAL = "real"
    """The computer's clock."""


def limitable(driver: type[Device]) -> dict[str, str]:
    """Return the quantities of a driver that can be limited, with their SI units; several roles add up."""
    quantities: dict[str, str] = {}
    for base in reversed(driver.__mro__):
        quantities.update(vars(base).get("quantities", {}))
    return quantities


def _read_range(value: object, info: ValidationInfo) -> object:
    unit = str((info.context or {}).get("unit", ""))
    example = f"'0 {unit} to 5 {unit}' or '±5 {unit}'" if unit else "'0 to 255'"
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no range; write it as {example}")
    return parse_range(value, unit)


def _read_slew(value: object, info: ValidationInfo) -> object:
    unit = f"{(info.context or {}).get('unit') or '1'}/s"
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is no slew; write it in {unit}, as '10 {unit}'")
    slew = parse_quantity(value, unit)
    if slew <= 0:
        raise ValueError(f"{value!r} allows no change at all; write a slew above zero, as '10 {unit}'")
    return slew


def _shown(value: object) -> str:
    return shown(value) if isinstance(value, str | int | float | list | dict) else "nothing"


_RANGE_SCHEMA: Final = {"type": "string", "description": "a range with its unit, as '±5 V' or '0 V to 1.8 V'"}
_SLEW_SCHEMA: Final = {"type": "string", "description": "the fastest change, as '10 V/s'"}


def _checked_name(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"the name {shown(name)} has other characters than letters, digits, - and _; rename it")
    return name


_NAME_SCHEMA: Final = {"type": "string", "pattern": NAME_PATTERN, "description": "letters, digits, - and _"}


class LimitsSection(FrozenModel):
    """The limits of one quantity; the validation context holds its `unit`.

    Attributes:
        range: Lowest and highest legal value, SI units.
        slew: Largest legal change per second, SI units.
    """

    range: Annotated[tuple[float, float] | None, BeforeValidator(_read_range), WithJsonSchema(_RANGE_SCHEMA)] = None
    slew: Annotated[float | None, BeforeValidator(_read_slew), WithJsonSchema(_SLEW_SCHEMA)] = None

    @model_validator(mode="after")
    def _limits_something(self) -> "LimitsSection":
        if self.range is None and self.slew is None:
            raise ValueError("the quantity is named and not limited; write range, slew or both")
        return self

    def limits(self) -> Limits:
        """Return them as devices take them."""
        low, high = self.range or (-math.inf, math.inf)
        return Limits(low, high, math.inf if self.slew is None else self.slew)


class BenchSection(FrozenModel):
    """The section `bench`.

    Attributes:
        name: The bench's name.
        clock: Where it takes its time from.
        calibrations: Folder of calibration records, relative to the bench file's; they lie below the bench's name.
    """

    name: Annotated[str, AfterValidator(_checked_name), WithJsonSchema(_NAME_SCHEMA)]
    clock: ClockKind = ClockKind.REAL
    calibrations: str = Field(default="calibrations", min_length=1)


class PlantSection(FrozenModel):
    """One entry below `plants`; its options are the plant's own matter."""

    driver: str
    seed: int = Field(default=0, ge=0, lt=2**63)
    options: object = None


class DeviceSection(FrozenModel):
    """One entry below `devices`; options and limits are the driver's own matter.

    Attributes:
        driver: An installed driver, or `module:Class`.
        plant: The simulated physics that a simulated device belongs to.
        identity: Who must answer.
        power_w: Electrical power that the instrument draws while it works, for estimates of energy.
    """

    driver: str
    plant: str | None = None
    power_w: Watts | None = Field(default=None, ge=0)
    identity: ExpectedIdentity | None = None
    options: object = None
    limits: object = None


@dataclass(frozen=True)
class PlantConfig:
    """A plant, resolved: its class and its validated options."""

    name: str
    cls: PlantClass
    seed: int
    options: FrozenModel


@dataclass(frozen=True)
class DeviceConfig:
    """A device, resolved: its driver's class, its validated options, its limits in SI units."""

    name: str
    cls: type[Device]
    plant: str | None
    identity: ExpectedIdentity
    options: DeviceOptions
    limits: Mapping[str, Limits]
    power_w: float | None = None


@dataclass(frozen=True)
class SystemEntry:
    """A system, resolved: its class, its validated configuration, and the device of each role."""

    name: str
    cls: type[System]
    config: SystemConfig
    devices: Mapping[str, str]


@dataclass(frozen=True)
class BenchConfig:
    """A whole bench, resolved; every mapping is in the order of the file."""

    name: str
    clock: ClockKind
    calibrations: str
    plants: Mapping[str, PlantConfig]
    devices: Mapping[str, DeviceConfig]
    systems: Mapping[str, SystemEntry]

    @property
    def power_w(self) -> float | None:
        """Return the power of all devices together in W; `None` where one does not declare it."""
        powers = [device.power_w for device in self.devices.values()]
        return None if None in powers else sum(power for power in powers if power is not None)
