"""What a calibration record is valid for: its kind, its system, the very instruments, and the conditions."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final, TypeAlias

import numpy as np

from pnnlab.errors import RecordError
from pnnlab.records._text import KIND_PATTERN, require_text

__all__ = ["Condition", "RecordKey", "plain_conditions", "plain_devices"]

Condition: TypeAlias = str | int | float | bool
"""What a condition can be; `1` and `1.0` are one condition, `True` is another."""

_IDENTITY: Final = ("vendor", "model", "serial", "firmware")
_INSTRUMENT: Final = ("vendor", "model", "serial")
"""What makes it this very instrument; new firmware on it is noted in a record, and does not end the record."""

_DIGEST_LENGTH: Final = 8


@dataclass(frozen=True, eq=False)
class RecordKey:
    """What must agree for a record to count; keys are equal where all of it agrees.

    Attributes:
        kind: What was calibrated, as `settling`: lower-case letters, digits, `_` and `-`.
        subject: The system's name in the bench file.
        devices: Role to the vendor, model and serial number of the device that plays it; firmware is dropped.
        conditions: Name to what must be equal, in SI units where it is a quantity, as `exposure_s`.

    Raises:
        RecordError: One of them cannot be part of a key.
    """

    kind: str
    subject: str
    devices: Mapping[str, Mapping[str, str]]
    conditions: Mapping[str, Condition]

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or not KIND_PATTERN.fullmatch(self.kind):
            raise RecordError(
                f"the kind of a calibration is {self.kind!r}; "
                "write up to 40 lower-case letters, digits, _ and -, a letter first"
            )
        require_text(self.subject, f"the subject of a {self.kind} record")
        who = f"{self.kind} of {self.subject}"
        devices = plain_devices(self.devices, who)
        instruments = {role: {name: device[name] for name in _INSTRUMENT} for role, device in devices.items()}
        object.__setattr__(self, "devices", instruments)
        object.__setattr__(self, "conditions", plain_conditions(self.conditions, who))

    @property
    def canonical(self) -> str:
        """Return the key as text; equal keys have equal texts."""
        conditions = {name: _canonical(value) for name, value in self.conditions.items()}
        return json.dumps([self.kind, self.subject, self.devices, conditions], sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Return 8 hexadecimal digits that stand in the names of the key's files."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:_DIGEST_LENGTH]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordKey) and self.canonical == other.canonical

    def __hash__(self) -> int:
        return hash(self.canonical)

    def differences(self, found: "RecordKey") -> tuple[str, ...]:
        """Return how the key of a record differs from this one, which is asked for; one short phrase a difference."""
        return (
            *_different("kind", found.kind, self.kind),
            *_different("subject", found.subject, self.subject),
            *_different_devices(found.devices, self.devices),
            *_different_conditions(found.conditions, self.conditions),
        )


def plain_devices(devices: Mapping[str, Mapping[str, str]], who: str) -> dict[str, dict[str, str]]:
    """Return identities by role, each with all four entries; what is left out is an empty text.

    Raises:
        RecordError: An identity has another entry, or one that is no text.
    """
    plain = {}
    for role, identity in devices.items():
        require_text(role, f"{who}: a role")
        if not isinstance(identity, Mapping):
            raise RecordError(f"{who}: the identity of {role} is a {type(identity).__name__}; give a mapping")
        for name, value in identity.items():
            if name not in _IDENTITY or not isinstance(value, str):
                raise RecordError(
                    f"{who}: the identity of {role} has {name!r}: {value!r}; "
                    f"allowed are texts for {', '.join(_IDENTITY)}"
                )
        plain[role] = {name: str.__str__(identity.get(name, "")) for name in _IDENTITY}
    return plain


def plain_conditions(conditions: Mapping[str, Condition], who: str) -> dict[str, Condition]:
    """Return conditions in Python's own types; numpy's scalars are taken as the numbers that they are.

    Raises:
        RecordError: One is neither a text nor a finite number nor a boolean.
    """
    plain = {}
    for name, value in conditions.items():
        require_text(name, f"{who}: the name of a condition")
        plain[name] = _plain(value, f"{who}: the condition {name}")
    return plain


def _plain(value: Condition, who: str) -> Condition:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise RecordError(f"{who} is {value!r}; allowed are a text, a finite number in SI units, and a boolean")


def _canonical(value: Condition) -> Condition:
    """Return 1 for 1.0: a file or a caller may have turned one into the other."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _different(name: str, found: Condition, asked: Condition) -> tuple[str, ...]:
    same = isinstance(found, bool) == isinstance(asked, bool) and found == asked
    return () if same else (f"{name} was {found!r}, is {asked!r} now",)


def _different_devices(
    found: Mapping[str, Mapping[str, str]], asked: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    differences: list[str] = []
    for role in sorted(found.keys() | asked.keys()):
        if role not in asked:
            differences.append(f"a {role} took part, none does now")
        elif role not in found:
            differences.append(f"no {role} took part, one does now")
        else:
            for name in _INSTRUMENT:
                differences += _different(f"{role} {name}", found[role][name], asked[role][name])
    return tuple(differences)


def _different_conditions(found: Mapping[str, Condition], asked: Mapping[str, Condition]) -> tuple[str, ...]:
    differences: list[str] = []
    for name in sorted(found.keys() | asked.keys()):
        if name not in asked:
            differences.append(f"{name} was {found[name]!r}, is not given now")
        elif name not in found:
            differences.append(f"{name} was not noted, is {asked[name]!r} now")
        else:
            differences += _different(name, found[name], asked[name])
    return tuple(differences)
