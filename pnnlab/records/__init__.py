"""Calibration records: what was found, how sure it is, for what it counts, and how it moved since (no torch)."""

from pnnlab.records._departure import Departure
from pnnlab.records._key import Condition, RecordKey
from pnnlab.records._mark import BadMark
from pnnlab.records._mismatch import Mismatch
from pnnlab.records._record import CalibrationRecord, Verdict
from pnnlab.records._store import CalibrationStore
from pnnlab.records._value import Value

__all__ = [
    "BadMark",
    "CalibrationRecord",
    "CalibrationStore",
    "Condition",
    "Departure",
    "Mismatch",
    "RecordKey",
    "Value",
    "Verdict",
]
