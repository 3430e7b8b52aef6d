"""Instruments that were found, as a bench file."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

from pnnlab.bench._scan import Found

__all__ = ["bench_text"]

_NAMES: Final[Mapping[str, str]] = {
    "SpatialLightModulator": "slm", "Camera": "camera", "DAC": "dac", "ADC": "adc", "CrossbarArray": "crossbar",
}  # fmt: skip


def bench_text(found: Sequence[Found]) -> str:
    """Return a bench file that opens all of them, each named by its role; a comment tells what each is."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    devices = CommentedMap()
    for instrument in found:
        name = _free_name(next((_NAMES[role] for role in instrument.roles if role in _NAMES), "device"), devices)
        devices[name] = _entry(instrument)
        devices.yaml_set_comment_before_after_key(name, before=_comment(instrument), indent=2)
    yaml = YAML()
    yaml.width = 120
    text = io.StringIO()
    yaml.dump({"bench": {"name": "found"}, "devices": devices}, text)
    return text.getvalue()


def _entry(instrument: Found) -> dict[str, object]:
    who = instrument.identity
    # a serial number is one instrument; without one at least another model is noticed
    told = {key: who[key] for key in ("serial",) if who.get(key)} or {
        key: who[key] for key in ("vendor", "model") if who.get(key)
    }
    entry: dict[str, object] = {"driver": instrument.driver}
    if told:
        entry["identity"] = told
    if instrument.options:
        entry["options"] = dict(instrument.options)
    return entry


def _comment(instrument: Found) -> str:
    who = instrument.identity
    serial = f"serial {who['serial']}" if who.get("serial") else ""
    words = [who.get("vendor", ""), who.get("model", ""), serial]
    what = " ".join(word for word in words if word) or instrument.driver
    roles = ", ".join(instrument.roles)
    return f"{what} ({roles}){': ' * bool(instrument.note)}{instrument.note}".replace("\n", " ")


def _free_name(wanted: str, taken: Mapping[str, object]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
