"""The conversation with one instrument: messages and their answers, and agreement after something went wrong."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from pnnlab.errors import LinkLostError, ReplyTimeoutError, TransportError, UnaskedError
from pnnlab.transports._deadline import Deadline, Timeouts, Wait
from pnnlab.transports._link import Link, SilenceError
from pnnlab.transports._marker import Marker
from pnnlab.transports._reply import Reply

__all__ = ["Transport"]

R = TypeVar("R")

_SHOWN: Final = 100
_ATTEMPTS: Final = 8
"""How often agreement may be interrupted; each time the question grows."""


class Transport:
    """Messages to one instrument, and its answers.

    One lock is held from a message until its answer has been read, so that any thread may use it; `held` keeps it for
    several messages. Every exchange begins with nothing unread: where an answer came late, half, twice or not at all,
    the exchange raises, and before the next one a marker is asked for (`Marker`) and everything up to its answer is
    thrown away. So an answer is never taken for that of another question. Where that cannot be reached, or is not
    possible without a marker, the transport refuses to go on.

    Mutable: it remembers what is unanswered, and whether it can still be used.

    Args:
        link: The bytes' way.
        who: Name of the device, for messages.
        terminator: What ends a message.
        reply_terminator: What ends an answer; the same if `None`.
        timeouts: How long to wait for which kind of answer.
        encoding: That of texts.
        limit: Longest line that is taken, in bytes.

    Attributes:
        marker: The query by which agreement is reached again; `None` as long as none is known.
        end: What ends a message, encoded.
    """

    def __init__(
        self, link: Link, *, who: str, terminator: str = "\n", reply_terminator: str | None = None,
        timeouts: Timeouts | None = None, encoding: str = "ascii", limit: int = 1 << 20,
    ) -> None:  # fmt: skip
        self.who, self.encoding, self.timeouts = who, encoding, timeouts or Timeouts()
        self.marker: Marker | None = None
        self._link, self._limit = link, limit
        self.end = terminator.encode(encoding)
        self._reply_end = self.end if reply_terminator is None else reply_terminator.encode(encoding)
        self._lock = threading.RLock()
        self._unanswered: list[bytes] = []
        self._cut = False
        self._attempts = 0
        self._lost = ""
        link.clear()

    def __repr__(self) -> str:
        return f"<Transport of {self.who} to {self._link.name}{', lost' * bool(self._lost)}>"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other threads away for several messages that belong together."""
        with self._lock:
            yield

    def query(self, message: str, *, wait: Wait | float = Wait.QUICK) -> str:
        """Send a text and return the line that answers it; see `exchange`."""
        return self.exchange(message, Reply.text, wait=wait)

    def exchange(self, message: str | bytes, take: Callable[[Reply], R], *, wait: Wait | float = Wait.QUICK) -> R:
        """Send a message and return what is taken of its answer.

        Args:
            message: A text, which gets its terminator, or bytes, which go out as they are.
            take: Reads the whole answer, as `Reply.text` does, and makes of it what is wanted. Where it raises, what it
                left unread is thrown away before the next exchange; otherwise that is an error of the next one.
            wait: How long the whole answer may take: its kind, or in s.

        Raises:
            ReplyTimeoutError: It did not come in time.
            ReplyError: It, or something before it, is not what is due.
            LinkLostError: The connection is gone, or both sides could not be made to agree again.
        """
        data, seconds = self._encoded(message), self.timeouts.seconds(wait)
        with self._lock:
            self._begin()
            self._unanswered.append(data)
            self._cut = True
            try:
                self._link.write(data, seconds)
                self._cut = False
                result = take(
                    Reply(self._link, Deadline(seconds), self._reply_end, self._limit, self.encoding, self.who)
                )
            except SilenceError as silence:
                raise self._late(data, seconds, silence) from None
            except LinkLostError as error:
                raise self._lose(str(error)) from error
            self._unanswered.pop()
            return result

    def send(self, message: str | bytes, *, wait: Wait | float = Wait.QUICK) -> None:
        """Send a message that has no answer.

        Args:
            message: A text, which gets its terminator, or bytes, which go out as they are.
            wait: How long the instrument may take to accept it: its kind, or in s.

        Raises:
            ReplyTimeoutError: It did not take the message.
            UnaskedError: Something had come before.
            LinkLostError: The connection is gone, or both sides could not be made to agree again.
        """
        data, seconds = self._encoded(message), self.timeouts.seconds(wait)
        with self._lock:
            self._begin()
            self._cut = True
            self._unanswered.append(data)
            try:
                self._link.write(data, seconds)
            except SilenceError as silence:
                raise self._late(data, seconds, silence) from None
            except LinkLostError as error:
                raise self._lose(str(error)) from error
            self._cut = False
            self._unanswered.pop()

    def distrust(self) -> None:
        """Agree again before the next exchange: for whoever finds that an answer cannot be that to its question."""
        with self._lock:
            self._unanswered.append(b"")

    def close(self) -> None:
        """Let the instrument go; may be called twice."""
        with self._lock:
            self._lost = self._lost or f"{self.who}: {self._link.name} was closed"
            self._link.close()

    def _begin(self) -> None:
        """Be sure that nothing of an earlier exchange is to come."""
        if self._lost:
            raise LinkLostError(self._lost)
        try:
            if self._unanswered:
                self._agree()
            elif self._link.waiting():
                self.distrust()
                came = self._link.read_some(0.0)
                raise UnaskedError(
                    f"{self.who}: {_shown(came)} came unasked, after the last answer; check the terminator of replies, "
                    "and whether something else talks to the instrument"
                )
        except LinkLostError as error:
            raise self._lose(str(error)) from error

    def _agree(self) -> None:
        """Throw away everything up to the answer of a marker; afterwards both sides agree that nothing is to come."""
        asked = self._unanswered
        after = f"after {_shown(asked[0])}" if asked[0] else "after bytes that nobody had asked for"
        if self.marker is None or self._attempts == _ATTEMPTS:
            raise LinkLostError(
                f"{self.who}: {after} another answer may still come, and no query is known by which that could be "
                "found out; close the device and open it again"
            )
        self._attempts += 1
        attempt, deadline = self._attempts, Deadline(self.timeouts.operation_s)
        question = self._encoded(self.marker.question(attempt))
        # one answer is due for this question, and for each time that it was asked before in vain
        due = 1 if self._link.clear() else 1 + asked.count(question)
        self._unanswered.append(question)
        try:
            self._link.write(self.end * self._cut + question, deadline.left_s())
            self._cut = False
            while due:
                due -= self.marker.ends_with_answer(self._old_line(deadline), attempt)
        except SilenceError as silence:
            raise LinkLostError(
                f"{self.who}: {after} the instrument did not come back within {self.timeouts.operation_s:g} s: asked "
                f"{_shown(question)}, got {_shown(silence.partial)}; look at it, close the device and open it again"
            ) from None
        self._unanswered.clear()
        self._attempts = 0

    def _old_line(self, deadline: Deadline) -> bytes:
        try:
            return self._link.read_line(self._reply_end, self._limit, deadline.left_s())
        except UnaskedError:
            if not deadline.left_s():
                raise SilenceError from None
            return b""

    def _encoded(self, message: str | bytes) -> bytes:
        return message.encode(self.encoding) + self.end if isinstance(message, str) else message

    def _late(self, data: bytes, seconds: float, silence: SilenceError) -> TransportError:
        if silence.sending:
            what = f"did not take {_shown(data)} within {seconds:g} s"
        elif silence.partial:
            what = (
                f"answered {_shown(data)} within {seconds:g} s with {_shown(silence.partial)} only, and not with the "
                f"rest; check the terminator of replies ({self._reply_end!r})"
            )
        else:
            what = f"did not answer {_shown(data)} within {seconds:g} s"
        return ReplyTimeoutError(f"{self.who}: {self._link.name} {what}; check that it is on and what it shows")

    def _lose(self, why: str) -> LinkLostError:
        self._lost = why if why.startswith(self.who) else f"{self.who}: {why}"
        return LinkLostError(self._lost)


def _shown(data: bytes) -> str:
    return repr(data[:_SHOWN]) + f"... ({len(data)} bytes)" * (len(data) > _SHOWN)
