"""Routines that measure what a bench's systems rely on and make calibration records of it, one file each (no torch)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pnnlab.calibration._options import RoutineOptions, read_options
from pnnlab.calibration._panel import Curve, Panel
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings, Routine
from pnnlab.calibration._session import Calibration, calibrate, choose_system
from pnnlab.calibration._status import KindStatus, SystemStatus, status_of
from pnnlab.calibration.latency import Latency, LatencyOptions
from pnnlab.calibration.repeatability import Repeatability, RepeatabilityOptions
from pnnlab.calibration.settling import Settling, SettlingOptions

__all__ = [
    "ROUTINES",
    "Calibration",
    "Curve",
    "Findings",
    "KindStatus",
    "Latency",
    "LatencyOptions",
    "Panel",
    "Progress",
    "Repeatability",
    "RepeatabilityOptions",
    "Routine",
    "RoutineOptions",
    "Settling",
    "SettlingOptions",
    "SystemStatus",
    "calibrate",
    "choose_system",
    "read_options",
    "status_of",
]

ROUTINES: Final[Mapping[str, Routine]] = MappingProxyType(
    {routine.kind: routine for routine in (Settling(), Latency(), Repeatability())}
)
"""Every routine by the kind of its records."""
