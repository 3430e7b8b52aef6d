"""Where one message ends and the next begins."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Framing", "Lines"]


class Framing(Protocol):
    """Where one message ends and the next begins, on the wire of a fake instrument."""

    def take(self, kept: bytearray) -> bytes | None:
        """Remove the first whole message from what has come and return it; `None` where none is whole yet."""
        ...

    def wrap(self, answer: bytes, terminator: bytes | None) -> bytes:
        """Return the bytes of an answer on the wire.

        Args:
            answer: The answer.
            terminator: What ends it instead of what should; `None` for what should.
        """
        ...


@dataclass(frozen=True)
class Lines:
    """Messages that end in a terminator.

    Attributes:
        terminator: What ends a message.
        reply_terminator: What ends an answer; the same if `None`.
    """

    terminator: bytes = b"\n"
    reply_terminator: bytes | None = None

    def take(self, kept: bytearray) -> bytes | None:
        """See `Framing.take`."""
        message, found, rest = kept.partition(self.terminator)
        if not found:
            return None
        kept[:] = rest
        return bytes(message)

    def wrap(self, answer: bytes, terminator: bytes | None) -> bytes:
        """See `Framing.wrap`."""
        own = self.terminator if self.reply_terminator is None else self.reply_terminator
        return answer + (own if terminator is None else terminator)
