"""What `run.json` says: everything about a run but its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, Self, TypeAlias, TypeVar

from pnnlab.errors import RunError
from pnnlab.runs._json import JsonValue, decode, encode

__all__ = ["EndStatus", "RunRecord", "RunStatus"]

EndStatus: TypeAlias = Literal["finished", "stopped", "failed", "interrupted"]
"""How a run ended: as planned, by its own decision, by an error, or from outside."""

RunStatus: TypeAlias = Literal["running"] | EndStatus

_SCHEMA: Final = 1
_STATUSES: Final[Mapping[str, RunStatus]] = {
    "running": "running", "finished": "finished", "stopped": "stopped", "failed": "failed",
    "interrupted": "interrupted",
}  # fmt: skip

T = TypeVar("T", bound=JsonValue)


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` says.

    Attributes:
        name: The run's name as it was given.
        kind: What is executed, as `train` or `fit`.
        status: `running` until the run is finished, also in the record of a run that was killed: see `Run.status`.
        started: When it was created, ISO 8601, UTC.
        ended: When it was finished; `None` before.
        pid: The process that wrote it last.
        host: The computer of that process.
        seed: The seed of everything random in it.
        configuration: What the user asked for.
        bench_hash: Fingerprint of the bench.
        bench_snapshot: The bench as it was opened.
        devices: Identity and settings by the device's name.
        calibrations: What was used, one entry a record.
        provenance: See `collect_provenance`.
        resumed: When and by which code it was taken up again, one entry a time.
        summary: What came out.
        error: The error that ended it.
    """

    name: str
    kind: str
    status: RunStatus
    started: str
    ended: str | None
    pid: int
    host: str
    seed: int | None
    configuration: Mapping[str, JsonValue]
    bench_hash: str | None
    bench_snapshot: Mapping[str, JsonValue]
    provenance: Mapping[str, JsonValue]
    devices: Mapping[str, JsonValue] = field(default_factory=dict)
    calibrations: tuple[JsonValue, ...] = ()
    resumed: tuple[JsonValue, ...] = ()
    summary: Mapping[str, JsonValue] = field(default_factory=dict)
    error: str | None = None

    def to_text(self) -> bytes:
        """Return the record as JSON text."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return encode({"schema": _SCHEMA, **values}, indent=2) + b"\n"

    @classmethod
    def from_text(cls, text: bytes, where: str) -> Self:
        """Return what JSON text of this or an older schema says.

        Args:
            text: As `to_text` returns it.
            where: Name of the file, for messages.

        Raises:
            RunError: It is no record, or one of a newer pnnlab.
        """
        try:
            found = decode(text)
        except ValueError as error:
            raise RunError(f"{where} is no JSON ({error}); put a copy of it there, or remove the run") from error
        if not isinstance(found, Mapping) or not isinstance(schema := found.get("schema"), int):
            raise RunError(f"{where} is no record of a run; it has no schema number: remove it, or name another folder")
        if schema > _SCHEMA:
            raise RunError(f"{where} has schema {schema}, this pnnlab reads up to {_SCHEMA}; upgrade pnnlab")
        return cls(
            name=_entry(found, "name", str, where),
            kind=_entry(found, "kind", str, where),
            status=_status(_entry(found, "status", str, where), where),
            started=_entry(found, "started", str, where),
            ended=_optional(found, "ended", str, where),
            pid=_entry(found, "pid", int, where),
            host=_entry(found, "host", str, where),
            seed=_optional(found, "seed", int, where),
            configuration=_entry(found, "configuration", dict, where),
            bench_hash=_optional(found, "bench_hash", str, where),
            bench_snapshot=_entry(found, "bench_snapshot", dict, where),
            provenance=_entry(found, "provenance", dict, where),
            devices=_entry(found, "devices", dict, where),
            calibrations=tuple(_entry(found, "calibrations", list, where)),
            resumed=tuple(_entry(found, "resumed", list, where)),
            summary=_entry(found, "summary", dict, where),
            error=_optional(found, "error", str, where),
        )


def _entry(found: Mapping[str, JsonValue], name: str, wanted: type[T], where: str) -> T:
    value = found.get(name)
    if not isinstance(value, wanted):
        raise RunError(f"{where}: {name} is {value!r}, a {wanted.__name__} is due; put a copy of the file there")
    return value


def _optional(found: Mapping[str, JsonValue], name: str, wanted: type[T], where: str) -> T | None:
    return None if found.get(name) is None else _entry(found, name, wanted, where)


def _status(text: str, where: str) -> RunStatus:
    if text not in _STATUSES:
        raise RunError(f"{where}: status is {text!r}, allowed are {', '.join(_STATUSES)}")
    return _STATUSES[text]
