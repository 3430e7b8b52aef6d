"""A link over a serial line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pnnlab.errors import DeviceError, LinkLostError
from pnnlab.transports._deadline import Deadline
from pnnlab.transports._link import SilenceError, Stream
from pnnlab.transports._serial_wires import FileWire, PortWire, SerialWire

if TYPE_CHECKING:
    import serial

__all__ = ["SerialLine", "SerialLink", "open_serial"]


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
        grain_s: How finely a wait is divided in s where pyserial waits (Windows, URLs); it may be overrun by this much.
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
        write_timeout_s: How long the instrument may take for what is sent to it, where pyserial waits.

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
        port: The open port; see `PortWire` for its timeouts.
    """

    def __init__(self, name: str, port: "serial.Serial") -> None:
        super().__init__(name)
        self._port: serial.Serial | None = port
        file = getattr(port, "fd", None)
        self._wire: SerialWire = PortWire(port) if file is None else FileWire(file)

    def write(self, data: bytes, timeout_s: float) -> None:
        """See `Link.write`."""
        self._check_open()
        try:
            taken = self._wire.send(data, Deadline(timeout_s))
        except OSError as error:
            raise self._gone(str(error)) from error
        if not taken:
            raise SilenceError(sending=True)

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Set the levels of control lines; `None` leaves one as it is."""
        self._check_open()
        assert self._port is not None  # noqa: S101 (just checked)
        if dtr is not None:
            self._port.dtr = dtr
        if rts is not None:
            self._port.rts = rts

    def close(self) -> None:
        """See `Link.close`."""
        if self._port is not None:
            port, self._port = self._port, None
            port.close()

    def _receive(self, due: int | None, deadline: Deadline) -> bytes:
        self._check_open()
        try:
            return self._wire.receive(due, deadline)
        except OSError as error:
            raise self._gone(str(error)) from error

    def _has_come(self) -> bool:
        self._check_open()
        try:
            return self._wire.has_come()
        except OSError as error:
            raise self._gone(str(error)) from error

    def _check_open(self) -> None:
        if self._port is None:
            raise self._gone("it was closed here")

    def _gone(self, why: str) -> LinkLostError:
        return LinkLostError(f"{self.name}: the connection is gone: {why}; look at the instrument and open it again")
