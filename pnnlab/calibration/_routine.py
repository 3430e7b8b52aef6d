"""What a calibration routine is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, final

import xarray

from pnnlab.calibration._options import RoutineOptions
from pnnlab.calibration._panel import Panel
from pnnlab.calibration._progress import Progress, Silence
from pnnlab.calibration._view import PanelSystem
from pnnlab.errors import AbilityError
from pnnlab.records import CalibrationRecord, Condition, RecordKey, Value, Verdict
from pnnlab.systems import DacAdc, System

__all__ = ["Findings", "Routine", "mode_of"]


@dataclass(frozen=True)
class Findings:
    """What a routine has found out.

    Attributes:
        values: The numbers, with their standard uncertainties.
        data: The raw curves.
        failures: Why they must not be used, one sentence each; empty where they may.
        remarks: What else there is to say.
    """

    values: Mapping[str, Value]
    data: xarray.Dataset
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())


class Routine(ABC):
    """Measures one thing about a system and makes a record of it.

    A routine keeps nothing: all it needs is handed to `run`.
    """

    kind: ClassVar[str]
    """The kind of its records."""
    summary: ClassVar[str]
    """What it finds out, in one line."""
    Options: ClassVar[type[RoutineOptions]] = RoutineOptions

    @abstractmethod
    def applies(self, system: System) -> str:
        """Return why the routine makes no sense for a system; an empty text where it does."""

    def conditions(self, system: System) -> Mapping[str, Condition]:
        """Return what must be equal for a record to count: how the system measures."""
        return {"mode": mode_of(system)}

    @final
    def key(self, system: System) -> RecordKey:
        """Return what a record of an open system is valid for."""
        devices = {role: asdict(device.identity) for role, device in system.devices.items()}
        return RecordKey(self.kind, system.name, devices, self.conditions(system))

    @final
    def run(
        self, system: System, options: RoutineOptions | None = None, *, progress: Progress | None = None,
        created: datetime | None = None,
    ) -> CalibrationRecord:  # fmt: skip
        """Measure and return the record, which is not stored yet.

        The system's devices are used directly, so that nobody else may measure meanwhile. Settings are put back and
        devices disarmed, whatever happens. What an earlier record says of the system is not relied on.

        Args:
            system: An open system.
            options: An instance of `Options`; the defaults if `None`.
            progress: Told how it goes.
            created: The record's date; now if `None`.

        Raises:
            AbilityError: The routine does not apply to the system.
            SetpointError: A value would be outside a device's limits; it was not sent.
            DeviceError: A device did not do what was asked; there is no record.
        """
        if reason := self.applies(system):
            raise AbilityError(f"{system.name}: {self.kind} cannot be calibrated: {reason}")
        found = self._measure(system, self.Options() if options is None else options, progress or Silence())
        return CalibrationRecord(
            kind=self.kind,
            subject=system.name,
            devices={role: asdict(device.identity) for role, device in system.devices.items()},
            conditions=self.conditions(system),
            created=datetime.now(UTC) if created is None else created,
            values=found.values,
            verdict=Verdict.FAIL if found.failures else Verdict.PASS,
            reasons=(*found.failures, *found.remarks),
            data=found.data,
        )

    @abstractmethod
    def panels(self, record: CalibrationRecord) -> tuple[Panel, ...]:
        """Return the curves of one of its records, for drawing; empty where there are none."""

    @abstractmethod
    def _measure(self, system: System, options: RoutineOptions, progress: Progress) -> Findings:
        """Measure; `applies` was asked before."""


def mode_of(system: System) -> str:
    """Return the way in which a system measures, which timings belong to."""
    return system.mode if isinstance(system, PanelSystem | DacAdc) else "steps"
