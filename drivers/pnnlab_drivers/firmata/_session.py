"""A conversation with a board that talks unasked."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from pnnlab.errors import DeviceError, LinkLostError, ReplyTimeoutError
from pnnlab.transports import Deadline, Link, SilenceError
from pnnlab_drivers.firmata._protocol import (
    QUERY_VERSION,
    AnalogReading,
    Message,
    Parser,
    Reply,
    SysexCommand,
    Version,
    read_pin_state,
    request_pin_state,
)

__all__ = ["Session"]

R = TypeVar("R")
_BUFFER: Final = 4000
"""Bytes that an operating system keeps of a serial port at least, before some are lost."""
_UNASKED: Final = frozenset({
    SysexCommand.FIRMWARE, SysexCommand.CAPABILITIES, SysexCommand.ANALOG_PINS, SysexCommand.PIN_STATE,
})  # fmt: skip
"""Answers that a board gives to questions only, or when it starts."""


class Session:
    """Questions to a board and their answers, between readings that come by themselves.

    The board does everything in the order in which it comes, so that an answer is a barrier: what was sent before has
    been done, and readings that come after it were taken after it.

    Mutable: it hands readings to `listener`.

    Args:
        link: The port.
        who: Name of the device, for messages.
        answer_s: How long to wait for an answer.
    """

    def __init__(self, link: Link, *, who: str, answer_s: float) -> None:
        self._link, self._who, self._answer_s = link, who, answer_s
        self._parser = Parser()
        self._messages: deque[Message] = deque()
        self._byte_rate_hz, self._looked_s = 0.0, time.monotonic()
        self.lock = threading.RLock()
        """To be held over what belongs together: the outputs may be made safe by another thread."""
        self.listener: Callable[[AnalogReading], None] = lambda _: None

    def expect(self, byte_rate_hz: float) -> None:
        """Be told how many bytes come unasked in a second; from now on somebody must look often enough."""
        self._byte_rate_hz, self._looked_s = byte_rate_hz, time.monotonic()

    def send(self, data: bytes) -> None:
        """Send what has no answer.

        Raises:
            LinkLostError: The connection is gone, or the board takes nothing any more.
        """
        try:
            self._link.write(data, self._answer_s)
        except SilenceError:
            raise LinkLostError(f"{self._who}: {self._link.name} takes no more bytes; look at the board") from None

    def ask(self, question: bytes, take: Callable[[Message], R | None], *, strict: bool = True) -> R:
        """Send a question and return the answer.

        Args:
            question: What is sent.
            take: Returns what a message answers, or `None` where it is no answer.
            strict: Whether nothing else that is an answer may come before.

        Raises:
            ReplyTimeoutError: None came in time.
            LinkLostError: The connection is gone.
            DeviceError: The board has started anew.
        """
        return self.ask_all(question, [take], strict=strict)[0]

    def ask_all(
        self, questions: bytes, takes: Sequence[Callable[[Message], R | None]], *, strict: bool = True
    ) -> list[R]:  # fmt: skip
        """Send several questions at once and return their answers, which come in their order; see `ask`."""
        with self.lock:
            self.send(questions)
            found = []
            for take in takes:
                answer = self.await_answer(take, self._answer_s, strict=strict)
                if answer is None:
                    raise ReplyTimeoutError(
                        f"{self._who}: {self._link.name} did not answer {questions[:8].hex(' ')} within "
                        f"{self._answer_s:g} s; check that the board has power and Firmata firmware, and its baud rate"
                    )
                found.append(answer)
            return found

    def await_answer(
        self, take: Callable[[Message], R | None], timeout_s: float, *, strict: bool = True
    ) -> R | None:  # fmt: skip
        """Return the first message that `take` finds to be an answer; `None` where none comes in time."""
        deadline = Deadline(timeout_s)
        with self.lock:
            while True:
                while self._messages:
                    message = self._messages.popleft()
                    if isinstance(message, AnalogReading):
                        self.listener(message)
                    elif (found := take(message)) is not None:
                        return found
                    elif strict:
                        self._check_unasked(message)
                if not self._fetch(deadline.left_s()):
                    return None

    def barrier(self) -> Version:
        """Return once everything that was sent before has been done; readings up to then are handed on."""
        return self.ask(QUERY_VERSION, lambda message: message if isinstance(message, Version) else None)

    def agree(self, pins: Sequence[int]) -> None:
        """Ask for the states of some pins, in an order that nobody else asks for, and skip all that comes before.

        Whoever had the port before may have left questions whose answers are still to come.
        """
        last: deque[int] = deque(maxlen=len(pins))

        def take(message: Message) -> bool | None:
            state = read_pin_state(message) if isinstance(message, Reply) else None
            if state is not None:
                last.append(state.pin)
            return True if list(last) == list(pins) else None

        self.ask(b"".join(request_pin_state(pin) for pin in pins), take, strict=False)

    def listen(self, timeout_s: float) -> None:
        """Hand on readings that have come, or the next ones that come in time."""
        with self.lock:
            if not self._messages:
                self._fetch(timeout_s)
            self.await_answer(lambda _: None, 0.0)

    def forget(self, timeout_s: float) -> None:
        """Throw away what has come, and what comes within a time, whatever it is."""
        deadline = Deadline(timeout_s)
        with self.lock:
            while self._fetch(deadline.left_s()) or deadline.left_s():
                pass
            self._messages.clear()

    def overrun(self) -> bool:
        """Return whether so much may have come since somebody looked last that some is lost; to be asked first."""
        return (time.monotonic() - self._looked_s) * self._byte_rate_hz > _BUFFER

    def close(self) -> None:
        """Let the port go."""
        self._link.close()

    def _fetch(self, timeout_s: float) -> bool:
        """Return whether something has come in time."""
        data = self._link.read_some(max(timeout_s, 0.0))
        self._looked_s = time.monotonic()
        self._messages.extend(self._parser.feed(data))
        return bool(data)

    def _check_unasked(self, message: Message) -> None:
        if isinstance(message, Version) or (isinstance(message, Reply) and message.command in _UNASKED):
            raise DeviceError(
                f"{self._who}: {self._link.name} said who it is, or answered what nobody had asked: the board has "
                "started anew, or something else talks to it, and its outputs are not what was written; look at its "
                "power and its reset line, close the device and open it again"
            )
