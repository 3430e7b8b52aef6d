"""Physical quantities at the boundary: text with a unit in, SI numbers out.

In a bench file a quantity is written with its unit (`"16.7 ms"`, `"±5 V"`, `"8 um"`); inside pnnlab it is a
float in SI units whose name carries the unit (`exposure_s`). A field annotated with one of the types below
reads both: text anywhere, and a bare number only from Python code, never from a file (validation context
`FROM_FILE`), where a forgotten unit must not become a wrong exposure.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

if TYPE_CHECKING:
    import pint

__all__ = [
    "FROM_FILE",
    "Amps",
    "Edges",
    "FrozenModel",
    "Hertz",
    "Metres",
    "Numbers",
    "Ohms",
    "Radians",
    "Seconds",
    "Siemens",
    "Volts",
    "VoltsPerSecond",
    "Watts",
    "parse_quantity",
    "parse_range",
]

FROM_FILE: Final[Mapping[str, bool]] = {"from_file": True}
"""Validation context for data that comes from a file: a bare number where a unit is due is an error."""

_EXAMPLES: Final[Mapping[str, str]] = {
    "s": "16.7 ms", "m": "8 um", "Hz": "60 Hz", "V": "1.8 V", "A": "5 uA", "S": "25 uS", "ohm": "1 ohm",
    "rad": "0.5 rad", "V/s": "10 V/s", "S/s": "1 uS/s", "W": "25 W",
}  # fmt: skip
_NUMBER_AND_UNIT: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(?P<unit>(?:[A-Za-zµμΩ°%][A-Za-z0-9µμΩ°%/*^ ]*)?)"
)
_SUFFIXES: Final = ("_s", "_m", "_hz", "_v", "_a", "_siemens", "_rad", "_ohm", "_v_per_s", "_w")


@cache
def _registry() -> "pint.UnitRegistry[float]":
    import pint  # the slowest import of a bench file without quantities; it is needed only once one is read

    return pint.UnitRegistry()


def parse_quantity(text: str, unit: str) -> float:
    """Return the SI value of a quantity written with its unit.

    Args:
        text: As `"16.7 ms"`.
        unit: The SI unit wanted, as `"s"`.

    Raises:
        ValueError: The text is no quantity of this kind; the message says what is expected.
    """
    import pint

    example = _EXAMPLES.get(unit, f"1 {unit}" if unit else "255")
    # pint would calculate: "1,5 V" is 15 V to it, "2 V - 1 V" is 1 V; so only a number and a unit's name reach it
    parts = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if parts is None or (unit == "") != (parts["unit"] == ""):
        raise ValueError(f"{text!r} is no quantity; write a number{' and its unit' * bool(unit)}, as {example!r}")
    number = Decimal(parts["number"])
    if unit == "":
        return _finite(float(number), text)
    try:
        factor = _registry().Quantity(1.0, parts["unit"]).to(unit).magnitude
    except pint.DimensionalityError as error:
        raise ValueError(f"{text!r} is no quantity in {unit}; write it as {example!r}") from error
    except pint.UndefinedUnitError as error:
        raise ValueError(f"{text!r} has an unknown unit; write it in {unit}, as {example!r}") from error
    except Exception as error:
        # pint parses units with a tokenizer and an evaluator: garbage surfaces as many kinds of error
        raise ValueError(f"{text!r} is no quantity; write a number and its unit, as {example!r}") from error
    # decimal, so that "10 us" is the number nearest to 1e-5 and equals it; 15 digits carry any unit's factor
    return _finite(float(number * Decimal(f"{factor:.15g}")), text)


def parse_range(text: str, unit: str) -> tuple[float, float]:
    """Return the SI bounds of a range: `"±5 V"`, `"0 V to 1.8 V"` or, without a unit, `"0 to 255"`.

    Raises:
        ValueError: The text is no range, or its lower end lies above its upper end.
    """
    stripped = text.strip()
    example = f"'0 {unit} to 5 {unit}' or '±5 {unit}'" if unit else "'0 to 255'"
    try:
        for sign in ("±", "+/-", "+-"):
            if stripped.startswith(sign):
                high = parse_quantity(stripped[len(sign) :], unit)
                low = -high
                break
        else:
            low_text, _, high_text = stripped.partition(" to ")
            low, high = parse_quantity(low_text, unit), parse_quantity(high_text, unit)
    except ValueError as error:
        raise ValueError(f"{text!r} is no range; write it as {example}") from error
    if low > high:
        raise ValueError(f"{text!r} runs downwards; write the lower end first")
    return low, high


def _finite(value: float, text: object) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite; write a finite number")
    return value


def _quantity(unit: str) -> tuple[BeforeValidator, WithJsonSchema]:
    example = _EXAMPLES[unit]

    def read(value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            return parse_quantity(value, unit)
        from_file = bool(info.context and info.context.get("from_file"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a quantity in {unit} is due here; write it as {example!r}")
        if from_file:
            raise ValueError(f"the number {value} has no unit; write it in {unit}, as {example!r}")
        return _finite(float(value), value)

    schema = {"type": "string", "description": f"a quantity in {unit}, as {example!r}"}
    return BeforeValidator(read), WithJsonSchema(schema)


Seconds = Annotated[float, *_quantity("s")]
Metres = Annotated[float, *_quantity("m")]
Hertz = Annotated[float, *_quantity("Hz")]
Volts = Annotated[float, *_quantity("V")]
Amps = Annotated[float, *_quantity("A")]
Siemens = Annotated[float, *_quantity("S")]
Ohms = Annotated[float, *_quantity("ohm")]
Radians = Annotated[float, *_quantity("rad")]
VoltsPerSecond = Annotated[float, *_quantity("V/s")]
Watts = Annotated[float, *_quantity("W")]


def _without_unit(name: str) -> str:
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _numbers(value: object) -> object:
    """Read `"0-3"` as 0, 1, 2, 3, and `"0-3, 8"` as those and 8; lists of numbers pass."""
    if not isinstance(value, str):
        return value
    found: list[int] = []
    for part in value.split(","):
        ends = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part.strip())
        if ends is None or int(ends[2] or ends[1]) < int(ends[1]):
            raise ValueError(f"{value!r} are no numbers; write them as '0-3', '0-3, 8' or [0, 1, 2, 3, 8]")
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    return tuple(found)


def _edges(value: object) -> object:
    """Read `"0-1 x 2-3"` as every pair of the first and the second numbers; lists of these and of pairs are joined."""
    if not isinstance(value, str | list | tuple):
        return value
    found: list[object] = []
    for part in (value,) if isinstance(value, str) else value:
        if not isinstance(part, str):
            found.append(part)
            continue
        first, cross, second = part.partition("x")
        if not cross:
            raise ValueError(f"{part!r} joins nothing; write '0-1 x 2-3' for every pair, or [0, 2] for one")
        found += [(a, b) for a in cast(tuple[int], _numbers(first)) for b in cast(tuple[int], _numbers(second))]
    return tuple(found)


_Number = Annotated[int, Field(ge=0)]
_LIST_OR_TEXT: Final = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array"}]})

Numbers = Annotated[tuple[_Number, ...], BeforeValidator(_numbers), _LIST_OR_TEXT]
"""Channels or nodes, counted from 0; in a file also as text, `"0-3, 8"`."""
Edges = Annotated[tuple[tuple[_Number, _Number], ...], BeforeValidator(_edges), _LIST_OR_TEXT]
"""Pairs of nodes, counted from 0; in a file also as text, `"0-1 x 2-3"` for every pair of two groups."""


class FrozenModel(BaseModel):
    """A frozen piece of configuration; unknown keys are refused.

    In a file the unit stands in the value, so a field `exposure_s` is written `exposure: "2 ms"`. Two fields that would
    have one name there are refused with a `TypeError` when the class is made.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=_without_unit, populate_by_name=True, allow_inf_nan=False
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        """Refuse fields that a file could not tell apart."""
        super().__pydantic_init_subclass__(**kwargs)
        written: dict[str, str] = {}
        for name, field in cls.model_fields.items():
            alias = field.alias or name
            if alias in written:
                raise TypeError(
                    f"{cls.__module__}.{cls.__qualname__}: the fields {written[alias]!r} and {name!r} are both written "
                    f"{alias!r} in a file, where the unit stands in the value; rename one of them"
                )
            written[alias] = name
