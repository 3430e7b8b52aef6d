"""The bench file, and all its devices opened and closed together (numpy, no torch)."""

from pnnlab.bench._bench import Bench
from pnnlab.bench._config import BenchConfig, ClockKind, DeviceConfig, PlantConfig, SystemEntry
from pnnlab.bench._document import Document
from pnnlab.bench._file import BenchFile
from pnnlab.bench._found_text import bench_text
from pnnlab.bench._knobs import Knob, knobs_of
from pnnlab.bench._names import BenchLookupError, NamedMapping
from pnnlab.bench._registry import (
    InstalledDriver,
    PlantClass,
    find_driver,
    find_plant,
    installed_drivers,
    installed_plants,
)
from pnnlab.bench._scaling import Imperfection, scaled_text
from pnnlab.bench._scan import Found, Scan, scan
from pnnlab.bench._schema import json_schema

__all__ = [
    "Bench",
    "BenchConfig",
    "BenchFile",
    "BenchLookupError",
    "ClockKind",
    "DeviceConfig",
    "Document",
    "Found",
    "Imperfection",
    "InstalledDriver",
    "Knob",
    "NamedMapping",
    "PlantClass",
    "PlantConfig",
    "Scan",
    "SystemEntry",
    "bench_text",
    "find_driver",
    "find_plant",
    "installed_drivers",
    "installed_plants",
    "json_schema",
    "knobs_of",
    "scaled_text",
    "scan",
]
