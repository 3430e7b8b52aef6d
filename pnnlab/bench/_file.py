"""A bench file, read and found right."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pnnlab.bench._config import BenchConfig, DeviceConfig, PlantConfig, limitable
from pnnlab.bench._document import Document
from pnnlab.bench._names import NamedMapping
from pnnlab.bench._reading import read_config
from pnnlab.bench._registry import distribution_of, target_of
from pnnlab.devices import Limits

__all__ = ["BenchFile"]


@dataclass(frozen=True)
class BenchFile:
    """A bench file and what it says.

    Attributes:
        document: The file, with the line of every key; upper layers read their own sections from it.
        config: The bench, resolved and validated.
    """

    document: Document
    config: BenchConfig

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read and validate a bench file; imports its drivers, touches no device.

        Args:
            path: The file.

        Raises:
            BenchFileError: Everything that is wrong with it, with lines.
        """
        document = Document.load(path)
        return cls(document, read_config(document))

    def only(self, name: str) -> Self:
        """Return the part of the file that opens one device: itself and, if it is simulated, all on the same plant.

        Raises:
            BenchLookupError: There is no such device.
        """
        wanted = NamedMapping("device", self.config.devices)[name]
        neighbours = {
            other.name: other
            for other in self.config.devices.values()
            if other is wanted or (wanted.plant is not None and other.plant == wanted.plant)
        }
        plants = {plant.name: plant for plant in self.config.plants.values() if plant.name == wanted.plant}
        return replace(self, config=replace(self.config, plants=plants, devices=neighbours, systems={}))

    @property
    def calibrations(self) -> Path:
        """Return the folder of this bench's calibration records."""
        return Path(self.document.file).parent / self.config.calibrations / self.config.name

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the hardware part of `snapshot`, in hex: equal for equal benches."""
        hardware = {section: value for section, value in self.snapshot().items() if section != "training"}
        canonical = json.dumps(hardware, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def snapshot(self) -> dict[str, object]:
        """Return all that the file decides, JSON-able: SI units, defaults filled in, where each class comes from."""
        config = self.config
        return {
            "bench": {"name": config.name, "clock": str(config.clock)},
            "plants": {name: _plant(plant) for name, plant in config.plants.items()},
            "devices": {name: _device(device) for name, device in config.devices.items()},
            "systems": {name: system.config.model_dump(mode="json") for name, system in config.systems.items()},
            "training": self.document.at(("training",)),
        }


def _plant(plant: PlantConfig) -> dict[str, object]:
    return {
        "driver": target_of(plant.cls),
        "distribution": distribution_of(plant.cls),
        "seed": plant.seed,
        "options": plant.options.model_dump(mode="json"),
    }


def _device(device: DeviceConfig) -> dict[str, object]:
    return {
        "driver": target_of(device.cls),
        "distribution": distribution_of(device.cls),
        "plant": device.plant,
        "identity": device.identity.model_dump(mode="json"),
        "options": device.options.model_dump(mode="json"),
        "limits": _limits(device.limits, limitable(device.cls)),
    }


def _limits(limits: Mapping[str, Limits], units: Mapping[str, str]) -> dict[str, object]:
    return {
        quantity: {
            "low": _number(limit.low),
            "high": _number(limit.high),
            "slew_per_s": _number(limit.slew_per_s),
            "unit": units[quantity],
        }
        for quantity, limit in limits.items()
    }


def _number(value: float) -> float | None:
    """Return a number, or nothing where there is no limit: JSON has no infinity."""
    return value if math.isfinite(value) else None
