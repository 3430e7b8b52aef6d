"""Calibration records as a person reads them."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pnnlab.cli._text import quantity

if TYPE_CHECKING:
    from pnnlab.records import BadMark, CalibrationRecord, Departure, Value

__all__ = ["age", "local_time", "measured", "record_facts", "value_facts"]

_PREFIXES: Final = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_AGES: Final = ((2 * 86400.0, 86400.0, "days"), (2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))
"""From so many s on, an age is told in units of so many."""


def measured(value: "Value") -> str:
    """Return a value with its uncertainty and a prefix that keeps it short: `(28.05 ± 0.74) ms`.

    A number that is exact is written without an uncertainty.
    """
    from pnnlab.records import Value

    if not math.isfinite(value.value):
        return "not known"
    plain = value.unit in ("1", "1/s")
    if value.uncertainty == 0:
        return quantity(value.value, "" if value.unit == "1" else value.unit)
    # of a value near zero, the uncertainty is what is read
    scale = max(abs(value.value), value.uncertainty)
    power = 0 if plain or not math.isfinite(scale) else 3 * math.floor(math.log10(scale) / 3 + 0.34)
    power = min(9, max(-12, power))
    factor = 10.0**power
    return str(Value(value.value / factor, value.uncertainty / factor, f"{_PREFIXES[power]}{value.unit}"))


def age(time_s: float) -> str:
    """Return how long ago something was."""
    for least_s, unit_s, unit in _AGES:
        if time_s >= least_s:
            return f"{time_s / unit_s:.0f} {unit} ago"
    return "just now"


def local_time(time: datetime) -> str:
    """Return a moment by the computer's own time zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def value_facts(value: "Value", departure: "Departure | None") -> dict[str, object]:
    """Return a value for JSON."""
    facts: dict[str, object] = {"value": value.value, "uncertainty": value.uncertainty, "unit": value.unit}
    if departure is not None:
        facts["departure_sigmas"] = departure.sigmas
        facts["former"] = None if departure.former is None else departure.former.value
        facts["former_id"] = departure.former_id
    return facts


def record_facts(
    record: "CalibrationRecord", departures: Mapping[str, "Departure"], mark: "BadMark | None" = None
) -> dict[str, object]:
    """Return all of a record but its curves for JSON."""
    return {
        "id": record.id,
        "kind": record.kind,
        "system": record.subject,
        "created": record.created.isoformat(),
        "verdict": str(record.verdict),
        "reasons": record.reasons,
        "values": {name: value_facts(value, departures.get(name)) for name, value in record.values.items()},
        "devices": record.devices,
        "conditions": record.conditions,
        "options": {str(name): value for name, value in record.data.attrs.items()},
        "supersedes": record.supersedes,
        "marked_bad": None if mark is None else str(mark),
        "pnnlab": record.pnnlab_version,
    }
