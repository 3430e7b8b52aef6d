"""A link over a serial line."""

import os
import select
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from pnnlab.errors import DeviceError, LinkLostError
from pnnlab.transports._deadline import Deadline
from pnnlab.transports._link import SilenceError, Stream

if TYPE_CHECKING:
    import serial

__all__ = ["SerialLine", "SerialLink", "open_serial"]


_CHUNK: Final = 1 << 16


@dataclass(frozen=True)
class SerialLine:
    """How bytes are coded on a serial line.

    Attributes:
        baud_rate: Bits per second.
        data_bits: Bits of a character.
        parity: Its parity.
        stop_bits: Its stop bits: 1, 1.5 or 2.
        flow_control: Who holds back whom: nobody, the characters XON and XOFF, or the lines RTS and CTS.
        dtr: Level of the line "data terminal ready" once the port is open. On many boards its rising edge is a reset.
        rts: Level of the line "request to send" once the port is open; nothing where it controls the flow.
        grain_s: How finely a wait is divided in s; it may be overrun by this much.
    """

    baud_rate: int = 9600
    data_bits: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stop_bits: float = 1
    flow_control: Literal["none", "xon-xoff", "rts-cts"] = "none"
    dtr: bool = True
    rts: bool = True
    grain_s: float = 0.02


def open_serial(port: str, line: SerialLine, *, write_timeout_s: float = 30.0) -> "SerialLink":
    """Return a link to the instrument at a serial port, which nobody else can open meanwhile.

    Args:
        port: As `COM3` or `/dev/ttyACM0`, or an URL that pyserial knows, as `socket://192.168.0.5:4001`.
        line: How bytes are coded on it.
        write_timeout_s: How long the instrument may take for what is sent to it.

    Raises:
        DeviceError: There is no such port, another program has it, or this program may not open it.
    """
    import serial

    try:
        opened = serial.serial_for_url(port, do_not_open=True)
        opened.baudrate, opened.bytesize = line.baud_rate, line.data_bits
        opened.parity, opened.stopbits = line.parity[0].upper(), line.stop_bits
        opened.xonxoff, opened.rtscts = line.flow_control == "xon-xoff", line.flow_control == "rts-cts"
        opened.timeout, opened.write_timeout = line.grain_s, write_timeout_s
        if "://" not in port:
            opened.exclusive = True
            opened.dtr = line.dtr
            if line.flow_control != "rts-cts":
                opened.rts = line.rts
        opened.open()
    except (OSError, ValueError) as error:
        raise DeviceError(
            f"{port}: this serial port cannot be opened: {error}; check its name and cable, that no other program uses "
            "it, and that you may open it (on Linux: the group of the file, often dialout)"
        ) from error
    return SerialLink(port, opened)


class SerialLink(Stream):
    """An open serial port.

    Args:
        name: What was opened, for messages.
        port: The open port; its `timeout` is the grain of every wait.
    """

    def __init__(self, name: str, port: "serial.Serial") -> None:
        super().__init__(name)
        self._port: serial.Serial | None = port
        # a POSIX port hands over what has come at once; pyserial would be asked how much that is, and then for it
        self._file: int | None = getattr(port, "fd", None)

    def write(self, data: bytes, timeout_s: float) -> None:
        """See `Link.write`; the port's own timeout holds, whatever is asked for here."""
        import serial

        port = self._open_port()
        try:
            port.write(data)
        except serial.SerialTimeoutException:
            raise SilenceError(sending=True) from None
        except OSError as error:
            raise self._gone(str(error)) from error

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the levels of control lines; `None` leaves one as it is."""
        port = self._open_port()
        if dtr is not None:
            port.dtr = dtr
        if rts is not None:
            port.rts = rts

    def close(self) -> None:
        """See `Link.close`."""
        if self._port is not None:
            port, self._port = self._port, None
            port.close()

    def _receive(self, due: int | None, deadline: Deadline) -> bytes:
        port = self._open_port()
        try:
            if self._file is not None:
                return self._receive_from(self._file, due, deadline)
            while True:
                left_s = deadline.left_s()
                # the port waits for as many bytes as it is asked for: for its grain, if they do not come
                came = cast(bytes, port.read(max(1, port.in_waiting) if due is None else due))
                if came or not left_s:
                    return came
        except OSError as error:
            raise self._gone(str(error)) from error

    def _receive_from(self, file: int, due: int | None, deadline: Deadline) -> bytes:
        while True:
            if not select.select((file,), (), (), deadline.left_s())[0]:
                return b""
            with suppress(BlockingIOError):
                if came := os.read(file, _CHUNK if due is None else due):
                    return came
                raise self._gone("the port is ready and gives nothing: the device was unplugged")

    def _has_come(self) -> bool:
        try:
            return bool(self._open_port().in_waiting)
        except OSError as error:
            raise self._gone(str(error)) from error

    def _open_port(self) -> "serial.Serial":
        if self._port is None:
            raise self._gone("it was closed here")
        return self._port

    def _gone(self, why: str) -> LinkLostError:
        return LinkLostError(f"{self.name}: the connection is gone: {why}; look at the instrument and open it again")
