"""The unit that stands beside every stored number."""

from typing import Final

from pnnlab.errors import RecordError
from pnnlab.records._text import require_text

__all__ = ["require_unit"]

_TIME_WORDS: Final = {
    f"{prefix}{word}" for word in ("second", "seconds") for prefix in ("", "milli", "micro", "nano")
} | {"minute", "minutes", "hour", "hours", "day", "days"}  # fmt: skip
"""Written out, readers of the climate conventions take these for calendar times and change the numbers."""


def require_unit(unit: str, who: str) -> None:
    """Refuse what is no unit's symbol.

    Args:
        unit: As `"V"`, `"s"`, `"1"`.
        who: What has the unit, for the message.

    Raises:
        RecordError: It is empty, or a word that readers of netCDF take for a date.
    """
    require_text(unit, f"the unit of {who}")
    if unit.lower() in _TIME_WORDS or " since " in unit:
        raise RecordError(
            f"the unit of {who} is {unit!r}, which readers of netCDF turn into dates; write SI units as symbols, as 's'"
        )
