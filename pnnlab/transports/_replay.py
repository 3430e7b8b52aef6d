"""A recorded instrument, which answers over a real socket as it did."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pnnlab.errors import RecordError
from pnnlab.transports._traffic import Exchange, exchanges, read_traffic

__all__ = ["Replay", "ReplayServer", "replayed"]


class Replay:
    """What a recorded instrument answers to the bytes that come.

    In order, each message has to be the next recorded one, byte for byte; otherwise, a message gets the answers that
    were recorded for it one after the other, then the last one for ever, and one that was not recorded gets none.

    Mutable: `feed` moves it on.

    Args:
        recorded: The messages and their answers.
        in_order: Whether each message has to be the next one.
    """

    def __init__(self, recorded: Sequence[Exchange], *, in_order: bool) -> None:
        self._recorded, self._in_order = list(recorded), in_order
        self._next = 0
        self._kept = b""
        self._asked: dict[bytes, int] = {}
        self.fault = ""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what the instrument says to them.

        Raises:
            RecordError: They are not what was recorded; `fault` says the same from then on.
        """
        self._kept += data
        said = b""
        while (answer := self._expected() if self._in_order else self._known()) is not None:
            said += answer
        return said

    def check(self) -> None:
        """Return if all that was recorded has come.

        Raises:
            RecordError: Something else came, or not all.
        """
        if not self.fault and self._in_order:
            left = [exchange.sent for exchange in self._recorded[self._next :] if exchange.sent]
            if left or self._kept:
                due = repr(left[0][:100]) if left else "nothing"
                self.fault = (
                    f"{len(left)} recorded messages did not come; next was due {due}, {self._kept[:100]!r} came"
                )
        if self.fault:
            raise RecordError(self.fault)

    def _expected(self) -> bytes | None:
        """Return the answer to the recorded message that is next, once all of it has come."""
        if self._next == len(self._recorded):
            return self._refuse(b"") if self._kept else None
        due = self._recorded[self._next]
        if not self._kept.startswith(due.sent):
            return None if due.sent.startswith(self._kept) else self._refuse(due.sent)
        self._kept = self._kept[len(due.sent) :]
        self._next += 1
        return due.got

    def _refuse(self, due: bytes) -> bytes:
        self.fault = (
            f"{self._kept[:100]!r} came as message {self._next + 1}, recorded is {due[:100]!r}"
            if due
            else f"{self._kept[:100]!r} came after the last recorded message"
        )
        raise RecordError(self.fault)

    def _known(self) -> bytes | None:
        """Return the next answer to whatever recorded message stands first in what has come."""
        self._kept = self._kept.lstrip(b"\r\n")
        messages = {exchange.sent for exchange in self._recorded if exchange.sent}
        whole = [sent for sent in messages if self._kept.startswith(sent)]
        # some clients end a message by pausing
        whole = whole or [sent for sent in messages if self._kept == sent.rstrip(b"\r\n")]
        if not whole:
            # not recorded, or not all there yet: a line is the most that can be told apart
            _, end, rest = self._kept.partition(b"\n")
            if not end or any(sent.startswith(self._kept) for sent in messages):
                return None
            self._kept = rest
            return b""
        sent = max(whole, key=len)
        answers = [exchange.got for exchange in self._recorded if exchange.sent == sent]
        count = self._asked.get(sent, 0)
        self._asked[sent] = count + 1
        self._kept = self._kept[len(sent) :]
        return answers[min(count, len(answers) - 1)]


class ReplayServer:
    """Serves a replay on the loopback address, to one client after the other.

    Args:
        replay: What is answered.
        port: Where; any free one if 0.
    """

    def __init__(self, replay: Replay, port: int = 0) -> None:
        self._replay = replay
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="replayed instrument", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Return the port's number."""
        return int(self._listener.getsockname()[1])

    @property
    def visa(self) -> str:
        """Return the VISA resource name."""
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    @property
    def serial(self) -> str:
        """Return what stands for a serial port."""
        return f"socket://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Serve until the program is interrupted."""
        while self._thread.is_alive():
            self._thread.join(0.2)

    def close(self) -> None:
        """Stop serving."""
        for each in (self._listener, self._connection):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._connection, _ = self._listener.accept()
                with self._connection as connection, suppress(OSError, RecordError):
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        data = b""
        while True:
            # with nothing at first: an instrument may speak unasked
            answer = self._replay.feed(data)
            if answer:
                connection.sendall(answer)
            data = connection.recv(1 << 16)
            if not data:
                return


@contextmanager
def replayed(source: str | Path | Sequence[tuple[bytes, bytes]], *, in_order: bool = True) -> Iterator[ReplayServer]:
    """Serve a recorded instrument, and afterwards be sure that all came as it was recorded.

    Args:
        source: A file of traffic, or messages with their answers.
        in_order: See `Replay`.

    Raises:
        RecordError: Something else came than was recorded, or not all of it.
    """
    if isinstance(source, str | Path):
        recorded = exchanges(read_traffic(source))
    else:
        recorded = [Exchange(sent, got) for sent, got in source]
    replay = Replay(recorded, in_order=in_order)
    server = ReplayServer(replay)
    try:
        yield server
    except Exception as error:
        if replay.fault:
            # what the client makes of the broken connection only hides it
            raise RecordError(replay.fault) from error
        raise
    else:
        replay.check()
    finally:
        server.close()
