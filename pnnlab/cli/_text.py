"""Numbers as a person reads them."""

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["count", "duration", "number", "quantity", "setting"]

_UNITS: Final[Mapping[str, str]] = {
    "_a": "A", "_hz": "Hz", "_m": "m", "_ohm": "ohm", "_rad": "rad", "_s": "s", "_siemens": "S", "_v": "V",
    "_v_per_s": "V/s",
}  # fmt: skip
_PREFIXES: Final = {-12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
"""As bench files are written: `um` and not `µm`, which not every terminal knows."""


def count(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def number(value: object, digits: int = 4) -> str:
    """Return a measured number, or a dash where there is none."""
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "-"


def duration(time_s: float) -> str:
    """Return a time in the largest units that tell it well."""
    if not math.isfinite(time_s):
        return "-"
    if time_s < 60:
        return f"{time_s:.1f} s"
    minutes, seconds = divmod(round(time_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def quantity(value: float, unit: str) -> str:
    """Return an SI value with a prefix that keeps it short: `8e-6` m is `8 um`."""
    if not unit:
        return f"{value:g}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = min(9, max(-12, 3 * math.floor(math.log10(abs(value)) / 3 + 1e-12)))
    return f"{value / 10**power:.4g} {_PREFIXES[power]}{unit}"


def setting(key: str, value: object) -> str:
    """Return one entry of a settings snapshot; the unit stands in the key's suffix."""
    for suffix in sorted(_UNITS, key=len, reverse=True):
        if key.endswith(suffix) and isinstance(value, int | float) and not isinstance(value, bool):
            return f"{key.removesuffix(suffix)} {quantity(value, _UNITS[suffix])}"
    if isinstance(value, list):
        return f"{key} {', '.join(f'{item:g}' for item in value)}"
    return f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
