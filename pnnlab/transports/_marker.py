"""Queries by whose answer it is known that nothing of what was asked before is still to come."""

import re
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["Marker", "PlainMarker", "ScpiMarker"]

_COUNTED: Final = "*SRE?"
"""A query that every IEEE 488.2 instrument answers with a whole number and that changes nothing."""


class Marker(Protocol):
    """A harmless query that is asked after something went wrong: whatever comes before its answer is old.

    Instruments answer in the order in which they were asked, so that alone proves it, if the answer can be told from
    that of any query before.
    """

    def question(self, attempt: int) -> str:
        """Return what to ask.

        Args:
            attempt: 1, and one more after each attempt that did not come to its end. Something else should be asked
                then, so that no late answer to the last attempt is taken for that to this one.
        """
        ...

    def ends_with_answer(self, line: bytes, attempt: int) -> bool:
        """Return whether a line is the answer, which the rest of an older one may stand before."""
        ...


@dataclass(frozen=True)
class PlainMarker:
    """A query with a known answer.

    Attributes:
        ask: The query; `{attempt}` in it becomes the number of the attempt.
        answer: Its whole answer, with the same replacement.
    """

    ask: str
    answer: str

    def question(self, attempt: int) -> str:
        """See `Marker.question`."""
        return self.ask.replace("{attempt}", str(attempt))

    def ends_with_answer(self, line: bytes, attempt: int) -> bool:
        """See `Marker.ends_with_answer`."""
        return line.endswith(self.answer.replace("{attempt}", str(attempt)).encode())


@dataclass(frozen=True)
class ScpiMarker:
    """The identity of an IEEE 488.2 instrument, asked for after a number of other queries: one more each attempt.

    Attributes:
        identity: What it answers to `*IDN?`.
    """

    identity: bytes

    def question(self, attempt: int) -> str:
        """See `Marker.question`."""
        # the identity comes last: after it an instrument answers nothing more in a message (IEEE 488.2, 6.5.7.5)
        return ";".join([*[_COUNTED] * attempt, "*IDN?"])

    def ends_with_answer(self, line: bytes, attempt: int) -> bool:
        """See `Marker.ends_with_answer`."""
        counted = rb"[+-]?\d+ *; *" * attempt
        return re.search(counted + re.escape(self.identity) + rb"\Z", line) is not None
