"""A fake instrument at the end of a real wire."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Self

from pnnlab.testing._faults import Faults
from pnnlab.testing._framing import Framing, Lines

__all__ = ["DropError", "WireInstrument"]

GRAIN_S: Final = 0.02
"""How soon a waiting server sees that it is to end."""


class DropError(Exception):
    """The connection is to be ended now."""


class WireInstrument(ABC):
    """A fake instrument at the end of a real wire, which misbehaves on demand; a context manager.

    What it does lies in `instrument`: a function from a message to its answer, both without their terminators. It is
    called in another thread than the test's, one message at a time, and keeps its state where it likes.

    Mutable: `misbehaving` changes its faults, `unplugged` takes it away.

    Args:
        instrument: Takes a message, returns its answer, or `None` where there is none.
        framing: Where a message ends; lines if `None`.
        reset: Called where a connection resets the instrument; returns what it says then, as it goes out.
        faults: How it misbehaves from the beginning.
        boot_s: How long a reset takes; what comes meanwhile is not heard.

    Attributes:
        faults: How it misbehaves now.
        heard: Every message that came, also those that it did not obey.
    """

    def __init__(
        self, instrument: Callable[[bytes], bytes | None], *, framing: Framing | None = None,
        reset: Callable[[], bytes] | None = None, faults: Faults | None = None, boot_s: float = 0.05,
    ) -> None:  # fmt: skip
        self.faults = faults or Faults()
        self.heard: list[bytes] = []
        self._instrument, self._framing, self._reset, self._boot_s = instrument, framing or Lines(), reset, boot_s
        self._one_at_a_time = threading.Lock()
        self._answers = 0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._plug_in()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pull_out()

    @property
    @abstractmethod
    def address(self) -> str:
        """Return where it is, as a driver's options name it."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Return whether it sees a client; a little later than the client does."""

    @contextmanager
    def misbehaving(self, **faults: Any) -> Iterator[None]:
        """Misbehave in addition to how it does already, by the fields of `Faults`, until the context ends."""
        before = self.faults
        self.faults = replace(before, **faults)
        try:
            yield
        finally:
            self.faults = before

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Be away until the context ends, and then be back at the same address."""
        self._pull_out()
        try:
            yield
        finally:
            self._plug_in()

    def _plug_in(self) -> None:
        self._ended.clear()
        self._begin()

    def _pull_out(self) -> None:
        self._ended.set()
        self._end()

    @abstractmethod
    def _begin(self) -> None:
        """Be there."""

    @abstractmethod
    def _end(self) -> None:
        """Be gone, connections included."""

    # For the kinds of wires

    def _greet(self, send: Callable[[bytes], None], drain: Callable[[], object]) -> None:
        """Answer a new connection, as an instrument does that it resets."""
        if not self.faults.reset_on_open:
            return
        with self._one_at_a_time:
            said = self._reset() if self._reset else b""
        self._ended.wait(self._boot_s)
        drain()
        send(said)

    def _hear(self, kept: bytearray, send: Callable[[bytes], None]) -> None:
        """Answer all messages that are whole.

        Raises:
            DropError: The connection is to be ended.
        """
        while (message := self._framing.take(kept)) is not None:
            self.heard.append(message)
            if self.faults.drop:
                raise DropError
            if not self.faults.silent:
                self._answer(message, send)

    def _answer(self, message: bytes, send: Callable[[bytes], None]) -> None:
        faults = self.faults
        if faults.echo:
            send(self._framing.wrap(message, None))
        answer = faults.busy
        if answer is None:
            with self._one_at_a_time:
                answer = self._instrument(message)
        if answer is None:
            return
        self._answers += 1
        if faults.lost_every and self._answers % faults.lost_every == 0:
            return
        self._ended.wait(faults.late_s)
        data = (faults.garbage + self._framing.wrap(answer, faults.terminator))[: faults.partial]
        for piece in [data[k : k + 1] for k in range(len(data))] if faults.one_by_one else [data]:
            send(piece)
