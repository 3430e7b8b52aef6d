"""An answer while it comes."""

from typing import Final

from pnnlab.errors import BlockError
from pnnlab.transports._blocks import parse_length
from pnnlab.transports._deadline import Deadline
from pnnlab.transports._link import Link
from pnnlab.transports._parse import decode_text

__all__ = ["Reply"]

_HASH: Final = b"#"


class Reply:
    """The answer to one message, to be read part by part; all parts together have the time of the exchange.

    Args:
        link: Where it comes from.
        deadline: Until when all of it is due.
        terminator: What ends it.
        limit: Longest line in bytes.
        encoding: That of texts.
        who: Name of the device, for messages.
    """

    __slots__ = ("_deadline", "_encoding", "_limit", "_link", "_terminator", "_who")

    def __init__(
        self, link: Link, deadline: Deadline, terminator: bytes, limit: int, encoding: str, who: str
    ) -> None:  # fmt: skip
        self._link, self._deadline, self._terminator = link, deadline, terminator
        self._limit, self._encoding, self._who = limit, encoding, who

    def text(self) -> str:
        """Return what comes up to the terminator as text; see `decode_text`."""
        return decode_text(self.line(), who=self._who, encoding=self._encoding)

    def line(self) -> bytes:
        """Return what comes up to the terminator, without it."""
        return self._link.read_line(self._terminator, self._limit, self._deadline.left_s())

    def exactly(self, n: int) -> bytes:
        """Return the next `n` bytes."""
        return self._link.read(n, self._deadline.left_s())

    def block(self, size: int | None = None) -> bytes:
        """Return the bytes of a block of IEEE 488.2 and read its terminator.

        Args:
            size: How many bytes are due; needed where the instrument sends blocks of indefinite length, whose end
                could not be told from their bytes. `None`: as many as it announces.

        Raises:
            BlockError: There is no block, or one of another size, or it does not end where it should.
        """
        head = self.exactly(2)
        if head[:1] != _HASH or not head[1:].isdigit():
            raise BlockError(
                f"{self._who}: a block is due, it would begin with '#' and a digit; it begins with {head!r}: check "
                "what was asked for"
            )
        if head == b"#0":
            return self._indefinite(size)
        length = parse_length(self.exactly(int(head[1:])), who=self._who)
        if size is not None and length != size:
            raise BlockError(f"{self._who}: a block of {length} bytes came, {size} are due; check the settings")
        payload = self.exactly(length)
        self._end(length)
        return payload

    def _indefinite(self, size: int | None) -> bytes:
        if size is None:
            raise BlockError(
                f"{self._who}: a block of indefinite length came, and nobody said how long it should be; switch the "
                "instrument to definite length"
            )
        payload = self.exactly(size)
        self._end(size)
        return payload

    def _end(self, length: int) -> None:
        rest = self.line()
        if rest:
            raise BlockError(
                f"{self._who}: {rest[:40]!r} follow the {length} bytes of a block, its terminator is due; check the "
                "format of the data, and the terminator"
            )
