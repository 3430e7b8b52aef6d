"""One calibration of a bench from beginning to end: which system, measured, compared with its history, stored."""

from collections.abc import Mapping
from dataclasses import dataclass

from pnnlab.bench import Bench, BenchLookupError
from pnnlab.calibration._options import RoutineOptions
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Routine
from pnnlab.records import CalibrationRecord, Departure
from pnnlab.systems import System

__all__ = ["Calibration", "calibrate", "choose_system"]


@dataclass(frozen=True)
class Calibration:
    """A record that was made and stored.

    Attributes:
        record: As it was stored.
        departures: How far each value lies from the former record that counted, by name; empty where there was none.
    """

    record: CalibrationRecord
    departures: Mapping[str, Departure]


def choose_system(bench: Bench, routine: Routine, name: str | None) -> System:
    """Return the system that is to be calibrated.

    Args:
        bench: An open bench.
        routine: What it is to be calibrated by.
        name: The system's name; `None` for the only one to which the routine applies.

    Raises:
        BenchLookupError: There is no such system; or the routine applies to none, or to several, and no name is given.
    """
    if name is not None:
        return bench.systems[name]
    reasons = {system: routine.applies(bench.systems[system]) for system in bench.systems}
    fitting = [system for system, reason in reasons.items() if not reason]
    if len(fitting) == 1:
        return bench.systems[fitting[0]]
    if fitting:
        raise BenchLookupError(
            f"bench {bench.name!r} has {len(fitting)} systems whose {routine.kind} can be calibrated",
            f"name one of {', '.join(fitting)}",
        )
    told = "; ".join(f"{system}: {reason}" for system, reason in reasons.items()) or "it has no systems"
    raise BenchLookupError(f"bench {bench.name!r} has no system whose {routine.kind} can be calibrated", told)


def calibrate(
    bench: Bench, routine: Routine, system: System, options: RoutineOptions | None = None, *,
    progress: Progress | None = None,
) -> Calibration:  # fmt: skip
    """Run a routine on a system of an open bench, and store the record in the bench's store, whatever its verdict.

    A system goes by the records that were there when it was wired: open the bench again to use the new one.

    Args:
        bench: An open bench; nobody else may use the system's devices meanwhile.
        routine: What is to be measured.
        system: One of the bench's.
        options: The routine's; its defaults if `None`.
        progress: Told how it goes.

    Raises:
        AbilityError: The routine does not apply to the system.
        DeviceError: A device did not do what was asked; nothing was stored.
        RecordError: The store cannot be written.
    """
    record = routine.run(system, options, progress=progress)
    departures = bench.store.departure(record)
    return Calibration(bench.store.add(record), departures)
