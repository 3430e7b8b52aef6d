"""A link over a TCP socket."""

import socket
from collections.abc import Callable
from typing import Final

from pnnlab.errors import LinkLostError
from pnnlab.transports._deadline import Deadline
from pnnlab.transports._link import SilenceError, Stream

__all__ = ["SocketLink"]

_SLICE_S: Final = 0.25
"""Longest uninterrupted wait: on Windows a Ctrl-C is seen between two of them."""
_CHUNK: Final = 1 << 18


class SocketLink(Stream):
    """A connected socket; Nagle's delay is switched off, so that a message leaves when it is written.

    Args:
        name: What was opened, for messages.
        connection: The connected socket.
        release: Called once by `close`, instead of closing the socket.
    """

    def __init__(self, name: str, connection: socket.socket, release: Callable[[], None] | None = None) -> None:
        super().__init__(name)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket | None = connection
        self._release = release or connection.close

    def write(self, data: bytes, timeout_s: float) -> None:
        """See `Link.write`."""
        connection = self._connection()
        connection.settimeout(timeout_s)
        try:
            connection.sendall(data)
        except TimeoutError:
            raise SilenceError(sending=True) from None
        except OSError as error:
            raise self._gone(str(error)) from error

    def close(self) -> None:
        """See `Link.close`."""
        if self._socket is not None:
            self._socket = None
            self._release()

    def _receive(self, due: int | None, deadline: Deadline) -> bytes:
        connection = self._connection()
        while True:
            left_s = deadline.left_s()
            connection.settimeout(min(left_s, _SLICE_S))
            try:
                came = connection.recv(_CHUNK if due is None else min(due, _CHUNK))
            except (TimeoutError, BlockingIOError):
                if not left_s:
                    return b""
                continue
            except OSError as error:
                raise self._gone(str(error)) from error
            if not came:
                raise self._gone("the instrument closed the connection")
            return came

    def _has_come(self) -> bool:
        connection = self._connection()
        connection.settimeout(0.0)
        try:
            # an empty answer is the end of the connection, which the next reading tells
            return bool(connection.recv(1, socket.MSG_PEEK))
        except (TimeoutError, BlockingIOError):
            return False
        except OSError as error:
            raise self._gone(str(error)) from error

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise self._gone("it was closed here")
        return self._socket

    def _gone(self, why: str) -> LinkLostError:
        return LinkLostError(f"{self.name}: the connection is gone: {why}; look at the instrument and open it again")
