"""What the bench and the host did when: the stages of a measurement, for whoever asks what the time goes into."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Lane", "Span", "Trace"]

_KEPT: Final = 1_000_000
"""Spans that are kept; older ones are forgotten."""
_NOTHING: Final = nullcontext()


class Lane(StrEnum):
    """Who did it."""

    BENCH = "bench"
    """The thread that owns the devices."""
    HOST = "host"
    """The thread that trains."""


@dataclass(frozen=True, slots=True)
class Span:
    """One stage, once.

    Attributes:
        lane: Who did it.
        stage: What was done, as `upload` or `backward`.
        begin_s: When it began, by the computer's performance counter in s.
        end_s: When it ended.
        shots: How many shots it was about; 0 where that means nothing.
    """

    lane: Lane
    stage: str
    begin_s: float
    end_s: float
    shots: int = 0


class Trace:
    """Spans of a bench's systems and of the host's work with them; records nothing until it is switched on.

    Mutable: it grows while `on` is true. Both lanes may add to it at once.
    """

    def __init__(self) -> None:
        self.on = False
        self.spans: deque[Span] = deque(maxlen=_KEPT)

    def span(self, lane: Lane, stage: str, shots: int = 0) -> AbstractContextManager[None]:
        """Return a context that records how long its body takes."""
        return self._recorded(lane, stage, shots) if self.on else _NOTHING

    @contextmanager
    def _recorded(self, lane: Lane, stage: str, shots: int) -> Iterator[None]:
        begin_s = time.perf_counter()
        try:
            yield
        finally:
            self.spans.append(Span(lane, stage, begin_s, time.perf_counter(), shots))
