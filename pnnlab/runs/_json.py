"""JSON text that keeps NaN and infinity, and is still JSON to every other reader.

JSON has no NaN and no infinity, and a diverged loss must not be told as `null` or as a large number. They are written
as the texts `"NaN"`, `"Infinity"` and `"-Infinity"` (the convention of Protocol Buffers' JSON mapping) and read back
as floats. So that this stays exactly invertible, a text that says one of the three is refused when it is to be written.
"""

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Final, TypeAlias

from pnnlab.errors import RunError

__all__ = ["JsonValue", "decode", "encode", "plain", "plain_items"]

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
"""What JSON can hold, floats that are not finite included; numpy's real scalars are taken as numbers."""

_NON_FINITE: Final[Mapping[str, float]] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: JsonValue, *, indent: int | None = None) -> bytes:
    """Return a value as UTF-8 JSON text; one line unless `indent` is given.

    Raises:
        RunError: It holds something that is not JSON; the message names the place.
    """
    text = json.dumps(_strict(value, ""), indent=indent, ensure_ascii=False, allow_nan=False)
    # a command line may hold undecodable bytes as lone surrogates; escaped like this they are legal JSON again
    return text.encode("utf-8", "backslashreplace")


def decode(text: bytes) -> JsonValue:
    """Return what `encode` was given.

    Raises:
        ValueError: It is no JSON text.
    """
    return _restored(json.loads(text.decode("utf-8")))


def plain(values: Mapping[str, JsonValue], who: str) -> dict[str, JsonValue]:
    """Return a copy as it will be read back: lists for sequences, Python's own numbers.

    Args:
        values: What is to be written.
        who: What it is, as `configuration`, for the message.

    Raises:
        RunError: It holds something that is not JSON; the message names the place.
    """
    restored = _restored(_strict(values, who))
    if not isinstance(restored, dict):
        raise RunError(f"{who}: a {type(values).__name__} is given, a dict is due")
    return restored


def plain_items(values: Sequence[JsonValue], who: str) -> tuple[JsonValue, ...]:
    """Return a copy of a list as `plain` returns one of a dict."""
    return tuple(_restored(_strict(item, f"{who}[{k}]")) for k, item in enumerate(values))


def _strict(value: JsonValue, key: str) -> JsonValue:
    """Return a value without NaN, infinity and foreign types; `key` is its dotted path, for the message."""
    if isinstance(value, str):
        if value in _NON_FINITE:
            raise RunError(
                f"{_place(key)}the text {value!r} stands for a number; write float('{value}') if it is meant"
            )
        return value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise RunError(f"{_place(key)}{name!r} is a key, and JSON has texts only as keys; write it as a text")
        return {name: _strict(item, f"{key}.{name}" if key else name) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_strict(item, f"{key}[{k}]") for k, item in enumerate(value)]
    raise RunError(
        f"{_place(key)}a {type(value).__name__} is no JSON value; allowed are texts, numbers, booleans, None, lists "
        "and dicts of them; write an array as a list, a path as a text"
    )


def _restored(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _NON_FINITE.get(value, value)
    if isinstance(value, Mapping):
        return {name: _restored(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_restored(item) for item in value]
    return value


def _place(key: str) -> str:
    return f"{key}: " if key else ""
