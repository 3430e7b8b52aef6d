"""The language of Keithley's instruments with a test script processor (Series 2600, 707B, 3706A)."""

from typing import Final

from pnnlab.devices import Identity
from pnnlab.errors import GarbledError, InstrumentError, ReplyTimeoutError
from pnnlab.transports._deadline import Wait
from pnnlab.transports._marker import PlainMarker
from pnnlab.transports._parse import parse_identity, parse_number, parse_numbers
from pnnlab.transports._transport import Transport

__all__ = ["Tsp"]

_MARKER: Final = PlainMarker('print("agreed {attempt}")', "agreed {attempt}")
_ENTRIES: Final = 200


class Tsp:
    """Statements and printed expressions of an instrument that runs Lua.

    A statement carries the print of the error queue's length with it, so that each operation is one message. Of a
    message with a syntax error nothing is run: then no answer comes, and the queue is asked after the timeout.

    Args:
        transport: The conversation.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def identity(self) -> Identity:
        """Return who the instrument is; from then on it can be brought back after a failed exchange."""
        identity = parse_identity(self.transport.query("*IDN?"), who=self.transport.who)
        self.transport.marker = _MARKER
        return identity

    def query(self, *expressions: str, wait: Wait | float = Wait.QUICK) -> str:
        """Return the line that is printed for expressions; tabs are between them."""
        return self.transport.query(f"print({', '.join(expressions)})", wait=wait)

    def number(self, expression: str, *, wait: Wait | float = Wait.QUICK) -> float:
        """Return the number that an expression is; see `parse_number`."""
        return parse_number(self.query(expression, wait=wait), who=self.transport.who, asked=expression)

    def numbers(self, *expressions: str, wait: Wait | float = Wait.QUICK) -> list[float]:
        """Return the numbers that expressions are, one of each; see `parse_number`."""
        text = self.query(*expressions, wait=wait).replace("\t", ",")
        return parse_numbers(text, len(expressions), who=self.transport.who, asked=", ".join(expressions))

    def command(self, *statements: str, wait: Wait | float = Wait.QUICK) -> None:
        """Run statements and read the error queue.

        Raises:
            InstrumentError: The instrument reports errors.
        """
        chunk = " ".join(statements)
        with self.transport.held():
            try:
                line = self.transport.query(f"{chunk} print(errorqueue.count)", wait=wait)
            except ReplyTimeoutError:
                self._raise_entries(self.pending_errors(), chunk)
                raise
            if self._count(line):
                self._raise_entries(self.pending_errors(), chunk)

    def complete(self, *statements: str, wait: Wait | float = Wait.OPERATION) -> None:
        """Run statements, wait until the instrument has done them, and read the error queue; see `command`."""
        self.command(*statements, "waitcomplete()", wait=wait)

    def pending_errors(self) -> list[str]:
        """Return what the error queue holds, oldest first, and empty it."""
        with self.transport.held():
            count = min(self._count(self.query("errorqueue.count")), _ENTRIES)
            return [self.query("errorqueue.next()").replace("\t", " ") for _ in range(count)]

    def _count(self, line: str) -> int:
        count = parse_number(line, who=self.transport.who, asked="errorqueue.count")
        if count < 0 or count != int(count):
            raise GarbledError(f"{self.transport.who}: the error queue is said to hold {line!r} entries")
        return int(count)

    def _raise_entries(self, entries: list[str], chunk: str) -> None:
        if entries:
            raise InstrumentError(
                f"{self.transport.who}: the instrument reports {'; '.join(entries[:5])} after {chunk[:200]!r}", entries
            )
