"""A simulated bench with more or less mismatch, noise or drift than it has."""

import io
from enum import StrEnum
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from pnnlab.bench._config import DeviceConfig, PlantConfig
from pnnlab.bench._file import BenchFile
from pnnlab.errors import RunError

__all__ = ["Imperfection", "scaled_text"]


class Imperfection(StrEnum):
    """What simulated benches have too much of, as the options that scale it are called."""

    MISMATCH = "mismatch"
    """Deviation of plants and devices from their design."""
    NOISE = "noise"
    """What differs from reading to reading."""
    DRIFT = "drift"
    """What changes while the bench's time goes by."""


_FIELDS: Final = {
    Imperfection.MISMATCH: ("mismatch",),
    Imperfection.NOISE: ("noise", "read_noise", "programming_noise"),
    Imperfection.DRIFT: ("drift",),
}
"""Options of plants and devices that are a factor on an imperfection."""


def scaled_text(bench_file: Path, kind: Imperfection, factor: float) -> str:
    """Return the text of a bench file in which all factors on an imperfection are multiplied.

    Args:
        bench_file: The bench file.
        kind: What is scaled.
        factor: 0 switches it off, 1 leaves it.

    Raises:
        BenchFileError: Something is wrong with the file.
        RunError: Nothing of the bench has such a factor.
    """
    config = BenchFile.load(bench_file).config
    yaml = YAML()
    data = yaml.load(bench_file)
    scaled = 0
    sections: list[tuple[str, PlantConfig | DeviceConfig]] = [
        *(("plants", plant) for plant in config.plants.values()),
        *(("devices", device) for device in config.devices.values()),
    ]
    for section, entry in sections:
        for field in _FIELDS[kind]:
            present = getattr(entry.options, field, None)
            if isinstance(present, int | float):
                options = dict(data[section][entry.name].get("options") or {})
                data[section][entry.name]["options"] = options | {field: float(present * factor)}
                scaled += 1
    if not scaled:
        raise RunError(f"{bench_file}: no plant and no device has a factor on {kind}; only simulated benches have")
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
