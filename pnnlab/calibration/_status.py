"""What of a bench is calibrated, and what its systems go by."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pnnlab.bench import Bench
from pnnlab.calibration._routine import Routine
from pnnlab.records import CalibrationRecord
from pnnlab.systems import System, Timing

__all__ = ["KindStatus", "SystemStatus", "status_of"]


@dataclass(frozen=True)
class KindStatus:
    """How one kind of calibration of a system stands.

    Attributes:
        kind: What is calibrated.
        record: The record that counts; `None` where there is none.
        age_s: How old it is in s.
        explanation: A sentence: which record counts and which newer ones do not, or why none does.
    """

    kind: str
    record: CalibrationRecord | None
    age_s: float | None
    explanation: str


@dataclass(frozen=True)
class SystemStatus:
    """How the calibration of a system stands.

    Attributes:
        system: Its name.
        kinds: Every kind that makes sense for it.
        timings: What it goes by now, by actuator.
    """

    system: str
    kinds: tuple[KindStatus, ...]
    timings: dict[str, Timing]


def status_of(bench: Bench, routines: tuple[Routine, ...], *, now: datetime | None = None) -> list[SystemStatus]:
    """Return how the calibration of each system of an open bench stands.

    Args:
        bench: The bench.
        routines: The kinds that are asked for.
        now: What ages are counted to; the present if `None`.
    """
    now = datetime.now(UTC) if now is None else now
    return [
        SystemStatus(
            name,
            tuple(_kind(bench, system, routine, now) for routine in routines if not routine.applies(system)),
            dict(system.timings),
        )
        for name, system in bench.systems.items()
    ]


def _kind(bench: Bench, system: System, routine: Routine, now: datetime) -> KindStatus:
    key = routine.key(system)
    asked = (key.kind, key.subject, key.devices, key.conditions)
    record = bench.store.latest(*asked)
    age_s = None if record is None else (now - record.created).total_seconds()
    return KindStatus(routine.kind, record, age_s, bench.store.explain(*asked))
