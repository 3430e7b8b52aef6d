"""The bytes that go to one instrument and come from it."""

from abc import ABC, abstractmethod
from typing import Final, Protocol, final

from pnnlab.errors import UnaskedError
from pnnlab.transports._deadline import Deadline

__all__ = ["Link", "SilenceError", "Stream"]

_DISCARDED: Final = 1 << 24
"""Bytes that are thrown away at most before an instrument counts as one that never stops talking."""


class SilenceError(Exception):
    """What is due did not come in time, or was not taken in time; for the transport, which knows what was asked.

    Attributes:
        partial: The bytes that had come; they are still to be read.
        sending: Whether it was the instrument that did not take what was sent.
    """

    def __init__(self, partial: bytes = b"", *, sending: bool = False) -> None:
        self.partial, self.sending = partial, sending
        super().__init__()


class Link(Protocol):
    """Bytes to and from one instrument; every wait ends.

    A link knows nothing of messages, and one thread at a time uses it: that is the `Transport`'s duty, or that of a
    driver whose instrument talks unasked.
    """

    @property
    def name(self) -> str:
        """Return what was opened, for messages."""
        ...

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`.

        Raises:
            SilenceError: The instrument did not take it in time.
            LinkLostError: The connection is gone.
        """
        ...

    def read_line(self, terminator: bytes, limit: int, timeout_s: float) -> bytes:
        """Return what comes up to the terminator, or up to the interface's own end of a message; without it.

        Raises:
            SilenceError: It did not come in time.
            UnaskedError: More than `limit` bytes came without a terminator; the first of them were thrown away.
            LinkLostError: The connection is gone.
        """
        ...

    def read(self, n: int, timeout_s: float) -> bytes:
        """Return exactly `n` bytes.

        Raises:
            SilenceError: They did not come in time.
            LinkLostError: The connection is gone.
        """
        ...

    def read_some(self, timeout_s: float) -> bytes:
        """Return what is there, or the next bytes that come; nothing if none come in time.

        Raises:
            LinkLostError: The connection is gone.
        """
        ...

    def waiting(self) -> bool:
        """Return whether bytes have come that were not read; `False` where the interface cannot tell."""
        ...

    def clear(self) -> bool:
        """Throw away what has come, and by the interface's device clear what is still to come.

        Returns:
            Whether the instrument itself was cleared, so that nothing late can come.
        """
        ...

    def close(self) -> None:
        """Let the instrument go; may be called twice."""
        ...


class Stream(ABC):
    """A link over bytes that follow each other without any boundaries: a socket, a serial line.

    Mutable: what came and was not asked for yet is kept for the next reading.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._kept = bytearray()

    @final
    def read_line(self, terminator: bytes, limit: int, timeout_s: float) -> bytes:
        """See `Link.read_line`."""
        kept, deadline, searched = self._kept, Deadline(timeout_s), 0
        while (end := kept.find(terminator, searched)) < 0:
            if len(kept) > limit:
                start = bytes(kept[:40])
                del kept[: -limit // 2]  # what comes last may be what somebody waits for
                raise UnaskedError(
                    f"{self.name}: more than {limit} bytes came without the terminator {terminator!r}, "
                    f"the first are {start!r}; check what is connected, and the terminator"
                )
            searched = max(0, len(kept) - len(terminator) + 1)
            came = self._receive(None, deadline)
            if not came:
                raise SilenceError(bytes(kept))
            kept += came
        line = bytes(kept[:end])
        del kept[: end + len(terminator)]
        return line

    @final
    def read(self, n: int, timeout_s: float) -> bytes:
        """See `Link.read`."""
        kept, deadline = self._kept, Deadline(timeout_s)
        while len(kept) < n:
            came = self._receive(n - len(kept), deadline)
            if not came:
                raise SilenceError(bytes(kept))
            kept += came
        taken = bytes(kept) if len(kept) == n else bytes(kept[:n])
        del kept[:n]
        return taken

    @final
    def read_some(self, timeout_s: float) -> bytes:
        """See `Link.read_some`."""
        if not self._kept:
            return self._receive(None, Deadline(timeout_s))
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    @final
    def waiting(self) -> bool:
        """See `Link.waiting`."""
        return bool(self._kept) or self._has_come()

    def clear(self) -> bool:
        """See `Link.clear`."""
        self._kept.clear()
        thrown = 0
        while thrown < _DISCARDED and self._has_come():
            thrown += len(self._receive(None, Deadline(0.0)))
        return False

    @abstractmethod
    def _receive(self, due: int | None, deadline: Deadline) -> bytes:
        """Return the next bytes as soon as there is one, at most those that are due; nothing if none comes in time.

        Args:
            due: How many are due, so that it is worth waiting a little for more than the first; `None` if unknown.
            deadline: Until when to wait.
        """

    @abstractmethod
    def _has_come(self) -> bool:
        """Return whether there are bytes to be received now."""
