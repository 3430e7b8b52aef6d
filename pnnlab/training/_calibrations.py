"""The calibration records that a run went by, kept with it."""

from pathlib import Path
from typing import Final

from pnnlab.bench import Bench
from pnnlab.records import CalibrationRecord, CalibrationStore
from pnnlab.runs import JsonValue, Run
from pnnlab.systems import DATA_SHEET

__all__ = ["keep_calibrations", "kept_calibrations"]

_FOLDER: Final = "calibrations"


def keep_calibrations(run: Run, bench: Bench) -> None:
    """Name the records that an open bench's systems go by in a run's record, and put copies into its folder."""
    used = dict.fromkeys(
        source
        for system in bench.systems.values()
        for timing in system.timings.values()
        for source in timing.sources
        if source != DATA_SHEET
    )
    bench.store.copy(used, run.path / _FOLDER)
    run.update(calibrations=[_summary(bench.store.get(identifier)) for identifier in used])


def kept_calibrations(run: Path) -> CalibrationStore:
    """Return the store of the records that a run began with; empty where it went by data sheets."""
    return CalibrationStore(run / _FOLDER)


def _summary(record: CalibrationRecord) -> JsonValue:
    return {
        "id": record.id, "kind": record.kind, "subject": record.subject, "created": record.created.isoformat(),
        "values": {name: str(value) for name, value in record.values.items()},
    }  # fmt: skip
