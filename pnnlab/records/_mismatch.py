"""Why a record does not count for what is asked."""

from dataclasses import dataclass

from pnnlab.records._record import CalibrationRecord

__all__ = ["Mismatch"]


@dataclass(frozen=True)
class Mismatch:
    """A record that is near to what is asked for, and why it does not count.

    Attributes:
        record: The record.
        reasons: One short phrase each, as `camera serial was 'A22', is 'B7' now`.
    """

    record: CalibrationRecord
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        record = self.record
        return (
            f"the {record.kind} record of {record.subject} of {record.created:%Y-%m-%d %H:%M} UTC "
            f"(id {record.id[:8]}) does not count: {'; '.join(self.reasons)}"
        )
