"""One calibration: what was found, how sure it is, whether it passed, and for what it is valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import xarray

import pnnlab
from pnnlab.errors import RecordError
from pnnlab.records._curves import frozen_curves
from pnnlab.records._digest import Header, content_id
from pnnlab.records._key import Condition, RecordKey, plain_conditions, plain_devices
from pnnlab.records._text import require_name, require_text
from pnnlab.records._value import Value

__all__ = ["CalibrationRecord", "Verdict", "uncertainty_name"]


class Verdict(StrEnum):
    """Whether a calibration may be used."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    FAIL = "fail"


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationRecord:
    """A dated, versioned result of one calibration; records are equal where their content is.

    The mappings and the data are copied, so that nothing that happens to the caller's changes a record.

    Attributes:
        kind: What was calibrated, as `settling`, `latency`: lower-case letters, digits, `_` and `-`.
        subject: The system's name in the bench file.
        devices: Role to identity: texts for `vendor`, `model`, `serial` and `firmware`.
        conditions: Name to what must be equal for the record to be valid, in SI units, as `exposure_s`.
        created: When it was measured; any time zone is taken, UTC is kept.
        values: Name to the calibrated number; finite, or the verdict is `FAIL`.
        verdict: Whether the record may be used.
        reasons: Why, one sentence each; a failure has one at least.
        data: The raw curves; every variable and coordinate has an attribute `units`. Its arrays are read-only.
        supersedes: Id of the former record of the same key; `CalibrationStore.add` sets it.
        pnnlab_version: The version that made it.
        id: Fingerprint of all of the above, 16 hexadecimal digits.

    Raises:
        RecordError: Something does not fit, or would not come back from a file as it is.
    """

    kind: str
    subject: str
    devices: Mapping[str, Mapping[str, str]]
    conditions: Mapping[str, Condition]
    created: datetime
    values: Mapping[str, Value]
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    data: xarray.Dataset = field(default_factory=xarray.Dataset)
    supersedes: str | None = None
    pnnlab_version: str = pnnlab.__version__
    id: str = field(init=False)

    def __post_init__(self) -> None:
        _ = self.key  # refuses what cannot be part of a key
        who = f"{self.kind} of {self.subject}"
        if not isinstance(self.created, datetime) or self.created.tzinfo is None:
            raise RecordError(f"{who}: created is {self.created!r}; give a date with its time zone, datetime.now(UTC)")
        if self.verdict not in tuple(Verdict):
            raise RecordError(f"{who}: the verdict is {self.verdict!r}; allowed are {', '.join(Verdict)}")
        if isinstance(self.reasons, str) or not all(isinstance(reason, str) for reason in self.reasons):
            raise RecordError(f"{who}: reasons is {self.reasons!r}; give a tuple of sentences")
        require_text(self.pnnlab_version, f"{who}: pnnlab_version")
        plain: dict[str, object] = {
            "devices": plain_devices(self.devices, who),
            "conditions": plain_conditions(self.conditions, who),
            "created": self.created.astimezone(UTC),
            "values": {require_name(name, f"{who}: a value"): value for name, value in self.values.items()},
            "verdict": Verdict(self.verdict),
            "reasons": tuple(self.reasons),
            "data": frozen_curves(self.data, who),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        _require_own_names(self.values, self.data, who)
        _require_reasons(self, who)
        object.__setattr__(self, "id", content_id(self._header(), self.data))

    @property
    def key(self) -> RecordKey:
        """Return what must agree for the record to count."""
        return RecordKey(self.kind, self.subject, self.devices, self.conditions)

    @property
    def passed(self) -> bool:
        """Return whether the record may be used."""
        return self.verdict is Verdict.PASS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CalibrationRecord) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CalibrationRecord {self}>"

    def __str__(self) -> str:
        values = "".join(f", {name} = {value}" for name, value in self.values.items())
        return f"{self.kind} of {self.subject}, {self.created:%Y-%m-%d %H:%M} UTC, {self.verdict}{values}, id {self.id}"

    def _header(self) -> Header:
        """Return everything but the data as `content_id` hashes it; floats as hexadecimal texts, NaN among them."""
        return {
            "kind": self.kind,
            "subject": self.subject,
            "devices": self.devices,
            "conditions": self.conditions,
            "created": self.created.isoformat(timespec="microseconds"),
            "values": {name: [v.value.hex(), v.uncertainty.hex(), v.unit] for name, v in self.values.items()},
            "verdict": str(self.verdict),
            "reasons": list(self.reasons),
            "data_attributes": {str(name): value for name, value in self.data.attrs.items()},
            "supersedes": self.supersedes,
            "pnnlab_version": self.pnnlab_version,
        }


def uncertainty_name(name: str) -> str:
    """Return the name of the variable that holds a value's uncertainty in the file."""
    return f"{name}_uncertainty"


def _require_own_names(values: Mapping[str, Value], data: xarray.Dataset, who: str) -> None:
    """Refuse two things of one name: values, their uncertainties, curves and dimensions share one file."""
    taken = {*map(str, data.variables), *map(str, data.dims)}
    for name in (*values, *map(uncertainty_name, values)):
        if name in taken:
            raise RecordError(f"{who}: {name} is the name of a value or its uncertainty and of something else; rename")
        taken.add(name)


def _require_reasons(record: CalibrationRecord, who: str) -> None:
    for name, value in record.values.items():
        if not isinstance(value, Value):
            raise RecordError(f"{who}: the value {name} is {value!r}; give a Value with its uncertainty and unit")
        if record.passed and not value.is_finite:
            raise RecordError(
                f"{who}: the value {name} is {value} and the verdict is pass; what is not known has failed"
            )
    if not record.passed and not any(reason.strip() for reason in record.reasons):
        raise RecordError(f"{who}: the verdict is fail without a reason; write in reasons why")
