"""A fake instrument on the loopback of the network."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pnnlab.testing._faults import Faults
from pnnlab.testing._framing import Framing
from pnnlab.testing._wire import GRAIN_S, DropError, WireInstrument

__all__ = ["TcpInstrument"]

_CHUNK: Final = 1 << 16


class TcpInstrument(WireInstrument):
    """A fake instrument that listens on a port of the loopback; see `WireInstrument`.

    Args:
        instrument: See `WireInstrument`.
        framing: See `WireInstrument`.
        reset: See `WireInstrument`.
        faults: See `WireInstrument`.
        boot_s: See `WireInstrument`.
        clients: How many may be connected at once; further ones are turned away, as small instruments do.
    """

    def __init__(
        self, instrument: Callable[[bytes], bytes | None], *, framing: Framing | None = None,
        reset: Callable[[], bytes] | None = None, faults: Faults | None = None, boot_s: float = 0.05,
        clients: int = 8,
    ) -> None:  # fmt: skip
        super().__init__(instrument, framing=framing, reset=reset, faults=faults, boot_s=boot_s)
        self._clients = clients
        self._port = 0
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()

    @property
    def address(self) -> str:
        """See `WireInstrument.address`: a VISA resource name."""
        return f"TCPIP::127.0.0.1::{self._port}::SOCKET"

    @property
    def connected(self) -> bool:
        """See `WireInstrument.connected`."""
        return bool(self._connections)

    @property
    def port(self) -> int:
        """Return the number of its port."""
        return self._port

    def _begin(self) -> None:
        # plugged in again, it is where it was
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.settimeout(GRAIN_S)
        self._port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._listen, args=(self._listener,), daemon=True)]
        self._threads[0].start()

    def _end(self) -> None:
        for thread in self._threads:
            thread.join()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _listen(self, listener: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if len(self._connections) >= self._clients:
                connection.close()
                continue
            self._connections.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(GRAIN_S)
        kept = bytearray()
        with connection, suppress(OSError, DropError):
            self._greet(connection.sendall, lambda: _drain(connection))
            while not self._ended.is_set():
                try:
                    came = connection.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not came:
                    break
                kept += came
                self._hear(kept, connection.sendall)
        self._connections.discard(connection)


def _drain(connection: socket.socket) -> None:
    with suppress(TimeoutError):
        connection.recv(_CHUNK)
