"""The difference of two nested values, key by key."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pnnlab.runs import JsonValue

__all__ = ["differences", "flatten"]


def flatten(value: "JsonValue", key: str = "") -> dict[str, str]:
    """Return what a nested mapping holds as texts by dotted key; lists and empty mappings are values."""
    if not isinstance(value, Mapping) or not value:
        return {key: "null" if value is None else str(value)}
    flat: dict[str, str] = {}
    for name, item in value.items():
        flat |= flatten(item, f"{key}.{name}" if key else name)
    return flat


def differences(a: "JsonValue", b: "JsonValue") -> dict[str, tuple[str, str]]:
    """Return the dotted keys whose values differ, with both as texts; a dash stands where a key is missing."""
    flat_a, flat_b = flatten(a), flatten(b)
    both = {key: (flat_a.get(key, "-"), flat_b.get(key, "-")) for key in [*flat_a, *flat_b]}
    return {key: texts for key, texts in both.items() if texts[0] != texts[1]}
