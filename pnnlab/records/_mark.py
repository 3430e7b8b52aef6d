"""The mark that says afterwards that a record is bad."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pnnlab.errors import RecordError
from pnnlab.records._text import require_text

__all__ = ["BadMark"]


@dataclass(frozen=True)
class BadMark:
    """Why a record must not be used any more.

    Attributes:
        id: The record.
        marked: When it was marked, UTC.
        who: Who marked it.
        reason: Why.

    Raises:
        RecordError: An entry is empty or no text on one line, or the date has no time zone.
    """

    id: str
    marked: datetime
    who: str
    reason: str

    def __post_init__(self) -> None:
        require_text(self.who, f"who marks {self.id} bad")
        require_text(self.reason, f"the reason to mark {self.id} bad")
        if self.marked.tzinfo is None:
            raise RecordError(f"the mark on {self.id} has the date {self.marked} without its time zone; give it in UTC")
        object.__setattr__(self, "marked", self.marked.astimezone(UTC))

    def __str__(self) -> str:
        return f"marked bad {self.marked:%Y-%m-%d %H:%M} UTC by {self.who}: {self.reason}"

    def write(self, path: Path) -> None:
        """Write the mark as JSON."""
        content = {"id": self.id, "date": self.marked.isoformat(), "who": self.who, "reason": self.reason}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "BadMark":
        """Return what a mark says.

        Raises:
            RecordError: It does not read; its record is bad nevertheless.
        """
        try:
            content = json.loads(path.read_bytes())
            return cls(content["id"], datetime.fromisoformat(content["date"]), content["who"], content["reason"])
        except (OSError, ValueError, KeyError, TypeError, RecordError) as error:
            raise RecordError(
                f"{path.name} does not read ({error}); write it anew, its record counts as bad"
            ) from error
