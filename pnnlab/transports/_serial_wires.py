"""Two ways to the bytes of an open serial port: through its file, and through pyserial's calls."""

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, cast

from pnnlab.transports._deadline import Deadline

if TYPE_CHECKING:
    import serial

__all__ = ["FileWire", "PortWire", "SerialWire"]

_CHUNK: Final = 1 << 16


class SerialWire(Protocol):
    """The bytes of an open serial port; what goes wrong is an `OSError`, as pyserial's own errors are."""

    def send(self, data: bytes, deadline: Deadline) -> bool:
        """Send bytes; return whether all of them were taken in time."""
        ...

    def receive(self, due: int | None, deadline: Deadline) -> bytes:
        """Return the next bytes, at most those that are due; nothing if none come in time."""
        ...

    def has_come(self) -> bool:
        """Return whether there are bytes to be received now."""
        ...


class FileWire:
    """The file of a port under POSIX: it hands over at once what has come, and takes what there is room for.

    Args:
        file: The descriptor of a port that does not block.
    """

    def __init__(self, file: int) -> None:
        self._file = file

    def send(self, data: bytes, deadline: Deadline) -> bool:
        """See `SerialWire.send`."""
        left = data
        while left:
            with suppress(BlockingIOError):
                left = left[os.write(self._file, left) :]
            if left and not select.select((), (self._file,), (), deadline.left_s())[1]:
                return False
        return True

    def receive(self, due: int | None, deadline: Deadline) -> bytes:
        """See `SerialWire.receive`."""
        while select.select((self._file,), (), (), deadline.left_s())[0]:
            with suppress(BlockingIOError):
                if came := os.read(self._file, _CHUNK if due is None else due):
                    return came
                raise OSError("the port is ready and gives nothing: the device was unplugged")
        return b""

    def has_come(self) -> bool:
        """See `SerialWire.has_come`."""
        return bool(select.select((self._file,), (), (), 0)[0])


class PortWire:
    """A port by pyserial's calls: on Windows, and behind its URLs.

    Args:
        port: The open port. Its `timeout` is the grain of every wait, and its `write_timeout` that of every sending.
    """

    def __init__(self, port: "serial.Serial") -> None:
        self._port = port

    def send(self, data: bytes, deadline: Deadline) -> bool:
        """See `SerialWire.send`; the port's own timeout holds, whatever is asked for here."""
        import serial

        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            return False
        return True

    def receive(self, due: int | None, deadline: Deadline) -> bytes:
        """See `SerialWire.receive`."""
        while True:
            left_s = deadline.left_s()
            # the port waits for as many bytes as it is asked for: for its grain, if they do not come
            came = cast(bytes, self._port.read(max(1, self._port.in_waiting) if due is None else due))
            if came or not left_s:
                return came

    def has_come(self) -> bool:
        """See `SerialWire.has_come`."""
        return bool(self._port.in_waiting)
