"""The language of IEEE 488.2 and SCPI instruments."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Identity
from pnnlab.errors import GarbledError, InstrumentError, NotANumberError, OverloadError, ReplyTimeoutError
from pnnlab.transports._blocks import block
from pnnlab.transports._deadline import Wait
from pnnlab.transports._marker import PlainMarker, ScpiMarker
from pnnlab.transports._parse import parse_identity, parse_integer, parse_number, parse_numbers
from pnnlab.transports._transport import Transport

__all__ = ["Scpi", "joined"]

_ENTRY: Final = re.compile(r' *([+-]?\d+) *, *"((?:[^"]|"")*)" *|([+-]?\d+)(?:, *(.*))?')
_ANSWER: Final = re.compile(r'(?:^|;)((?:"[^"]*"|[^;"])*)')
_ENTRIES: Final = 200
"""Entries of an error queue that are read at most; the usual ones hold 20 to 100."""


class Scpi:
    """Commands and queries of a SCPI instrument, each operation as one message where the instrument allows.

    Two messages after each other over a socket can take 40 ms where one takes a fraction of one (Nagle's delay and that
    of acknowledgements), so a command carries the query of the error queue with it.

    Args:
        transport: The conversation.
        joins: Whether the instrument takes several commands in one message, with semicolons between them.
        errors: The query of its error queue; empty where it has none.
    """

    def __init__(self, transport: Transport, *, joins: bool = True, errors: str = "SYST:ERR?") -> None:
        self.transport = transport
        self._joins, self._errors = joins, errors

    def identity(self) -> Identity:
        """Return who the instrument is; from then on it can be brought back after a failed exchange."""
        transport = self.transport
        text = transport.query("*IDN?")
        identity = parse_identity(text, who=transport.who)
        marked = ScpiMarker(text.encode(transport.encoding)) if self._joins else PlainMarker("*IDN?", text)
        transport.marker = marked
        return identity

    def query(self, question: str, *, wait: Wait | float = Wait.QUICK) -> str:
        """Return the line that answers a query."""
        return self.transport.query(question, wait=wait)

    def queries(self, *questions: str, wait: Wait | float = Wait.QUICK) -> list[str]:
        """Return the answers to several queries, which are one message where the instrument allows.

        Raises:
            GarbledError: There are more answers, or fewer.
        """
        if not self._joins:
            with self.transport.held():
                return [self.query(question, wait=wait) for question in questions]
        answers = self._several((), questions, wait)
        self._check_count(answers, questions)
        return answers

    def number(self, question: str, *, wait: Wait | float = Wait.QUICK) -> float:
        """Return the number that answers a query; see `parse_number`."""
        who = self.transport.who
        return self.transport.exchange(
            question, lambda reply: parse_number(reply.text(), who=who, asked=question), wait=wait
        )

    def numbers(self, question: str, n: int | None = None, *, wait: Wait | float = Wait.QUICK) -> list[float]:
        """Return the numbers that answer a query; see `parse_numbers`."""
        who = self.transport.who
        return self.transport.exchange(
            question, lambda reply: parse_numbers(reply.text(), n, who=who, asked=question), wait=wait
        )

    def samples(self, question: str, n: int, dtype: npt.DTypeLike) -> npt.NDArray[np.number]:
        """Return the numbers in the binary block that answers a query.

        Args:
            question: The query.
            n: How many are due.
            dtype: Their type with its byte order, as `">f4"`.

        Raises:
            BlockError: The block is none, or has another size.
            NotANumberError: One of the numbers is NaN or infinite.
        """
        kind, who = np.dtype(dtype), self.transport.who
        payload = self.transport.exchange(question, lambda reply: reply.block(n * kind.itemsize), wait=Wait.BULK)
        samples: npt.NDArray[np.number] = np.frombuffer(payload, kind)
        if not np.isfinite(samples).all():
            at = int(np.flatnonzero(~np.isfinite(samples))[0])
            kind_of_error = NotANumberError if np.isnan(samples[at]) else OverloadError
            raise kind_of_error(f"{who}: sample {at} of the answer to {question!r} is {samples[at]}")
        return samples

    def command(self, *commands: str, wait: Wait | float = Wait.QUICK) -> None:
        """Send commands and read the error queue.

        Raises:
            InstrumentError: The instrument reports errors.
        """
        if self._errors:
            self.run(commands, wait=wait)
        else:
            self._send(commands, wait)

    def complete(self, *commands: str, wait: Wait | float = Wait.OPERATION) -> None:
        """Send commands, wait until the instrument has done them, and read the error queue.

        Raises:
            InstrumentError: The instrument reports errors.
            ReplyTimeoutError: It is not done in time.
        """
        (done,) = self.run(commands, "*OPC?", wait=wait)
        if done.strip() not in ("1", "+1"):
            self.transport.distrust()
            raise GarbledError(f"{self.transport.who}: the reply {done[:80]!r} to '*OPC?' should be 1")

    def run(self, commands: Sequence[str], *questions: str, wait: Wait | float = Wait.QUICK) -> list[str]:
        """Send commands, then queries, then read the error queue; return the answers to the queries.

        Raises:
            InstrumentError: The instrument reports errors.
            GarbledError: There are more answers, or fewer.
        """
        asked = [*questions, self._errors] if self._errors else [*questions]
        with self.transport.held():
            try:
                if self._joins:
                    answers = self._several(commands, asked, wait)
                else:
                    self._send(commands, wait)
                    answers = self.queries(*asked, wait=wait)
            except ReplyTimeoutError:
                # after a command that it does not know an instrument may ignore the rest of the message
                self._raise_entries(self.pending_errors(), commands)
                raise
            if self._errors and answers:
                self._raise_entries(self._entries(answers.pop()), [*commands, *questions])
            self._check_count(answers, questions)
            return answers

    def command_block(self, command: str, payload: bytes) -> None:
        """Send a command that ends in a binary block of definite length, and read the error queue.

        Args:
            command: What comes before the block, with its last comma or space.
            payload: The bytes of the block.

        Raises:
            InstrumentError: The instrument reports errors.
        """
        transport = self.transport
        with transport.held():
            transport.send(command.encode(transport.encoding) + block(payload) + transport.end, wait=Wait.BULK)
            self._raise_entries(self.pending_errors(wait=Wait.BULK), (f"{command}<{len(payload)} bytes>",))

    def pending_errors(self, *, wait: Wait | float = Wait.QUICK) -> list[str]:
        """Return what the error queue holds, oldest first, and empty it."""
        if not self._errors:
            return []
        with self.transport.held():
            return self._entries(self.query(self._errors, wait=wait))

    def status_byte(self) -> int:
        """Return the status byte (IEEE 488.2, 11.2), 0 to 255."""
        who = self.transport.who
        return self.transport.exchange("*STB?", lambda reply: parse_integer(reply.text(), who=who, asked="*STB?"))

    def _several(self, commands: Sequence[str], questions: Sequence[str], wait: Wait | float) -> list[str]:
        """Return the answers to queries that follow commands in one message."""
        line = self.query(joined(*commands, *questions), wait=wait)
        return [match[1] for match in _ANSWER.finditer(line)]

    def _check_count(self, answers: Sequence[str], questions: Sequence[str]) -> None:
        if len(answers) != len(questions):
            self.transport.distrust()
            raise GarbledError(
                f"{self.transport.who}: {len(answers)} answers came ({'; '.join(answers)[:80]!r}), {len(questions)} "
                f"are due to {';'.join(questions)[:80]!r}"
            )

    def _send(self, commands: Sequence[str], wait: Wait | float) -> None:
        for message in [joined(*commands)] if self._joins else commands:
            self.transport.send(message, wait=wait)

    def _entries(self, line: str) -> list[str]:
        """Return the entries of the error queue, of which the first one has been read."""
        found: list[str] = []
        while self._code(line) and len(found) < _ENTRIES:
            found.append(line.strip())
            line = self.query(self._errors)
        return found

    def _code(self, line: str) -> int:
        match = _ENTRY.fullmatch(line)
        if match is None:
            self.transport.distrust()
            raise GarbledError(
                f"{self.transport.who}: the reply {line[:80]!r} to {self._errors!r} is no entry of an error queue"
            )
        return int(match[1] or match[3])

    def _raise_entries(self, entries: Sequence[str], commands: Sequence[str]) -> None:
        if entries:
            raise InstrumentError(
                f"{self.transport.who}: the instrument reports {'; '.join(entries[:5])}"
                f"{f' and {len(entries) - 5} more' * (len(entries) > 5)} after {joined(*commands)[:200]!r}",
                entries,
            )


def joined(*commands: str) -> str:
    """Return commands as one message; each is taken from the root of the command tree, wherever the last one was."""
    first, *others = commands
    return first + "".join(f";{c}" if c[:1] in "*:" else f";:{c}" for c in others)
