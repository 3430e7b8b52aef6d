"""How a bench file names an instrument that is spoken to by messages, and how it is reached."""

import re
from typing import Final, Literal

from pydantic import Field

from pnnlab.devices import DeviceOptions
from pnnlab.quantities import Seconds
from pnnlab.transports._deadline import Timeouts
from pnnlab.transports._link import Link
from pnnlab.transports._serial import SerialLine, open_serial
from pnnlab.transports._traffic import RecordedLink, Traffic
from pnnlab.transports._transport import Transport

__all__ = ["LinkOptions", "open_link", "open_transport"]

_SERIAL_VISA: Final = re.compile(r"ASRL(.+?)(?:::INSTR)?", re.IGNORECASE)


class LinkOptions(DeviceOptions):
    """The options of every driver whose instrument is spoken to by messages.

    Attributes:
        resource: A VISA resource name, as `TCPIP::192.168.0.7::5025::SOCKET` or `USB0::0x0957::0x2807::MY123::INSTR`,
            or a serial port, as `COM3` or `/dev/ttyACM0`.
        backend: The VISA library: `@py` is pyvisa-py, `@ivi` that of NI, Keysight or Rohde & Schwarz; not used for
            serial ports, but for those that another library names `ASRL...`.
        baud_rate: Bits per second of a serial port.
        parity: Parity of its characters.
        stop_bits: Stop bits of its characters: 1, 1.5 or 2.
        flow_control: Who holds back whom on it.
        quick_s: How long to wait for a setting or a reading that is there.
        operation_s: How long to wait for what the instrument has to do first.
        bulk_s: How long to wait for many samples.
        traffic: File to which everything that is sent and received is added; nothing is written if empty.
    """

    resource: str = Field(min_length=1)
    backend: str = "@py"
    baud_rate: int = Field(default=9600, gt=0)
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stop_bits: float = Field(default=1, ge=1, le=2)
    flow_control: Literal["none", "xon-xoff", "rts-cts"] = "none"
    quick_s: Seconds = Field(default=2.0, gt=0)
    operation_s: Seconds = Field(default=30.0, gt=0)
    bulk_s: Seconds = Field(default=30.0, gt=0)
    traffic: str = ""

    @property
    def timeouts(self) -> Timeouts:
        """Return how long to wait for which kind of answer."""
        return Timeouts(self.quick_s, self.operation_s, self.bulk_s)

    @property
    def line(self) -> SerialLine:
        """Return how bytes are coded on a serial port."""
        return SerialLine(
            baud_rate=self.baud_rate, parity=self.parity, stop_bits=self.stop_bits, flow_control=self.flow_control
        )


def open_link(resource: str, *, backend: str = "@py", line: SerialLine | None = None) -> Link:
    """Return a link to an instrument.

    Args:
        resource: See `LinkOptions`.
        backend: See `LinkOptions`.
        line: How bytes are coded, where it is a serial port.

    Raises:
        DeviceError: It cannot be reached; the message says what to check.
    """
    serial = _SERIAL_VISA.fullmatch(resource) if backend == "@py" else None
    if serial is not None:
        number = serial[1]
        return open_serial(f"COM{number}" if number.isdigit() else number, line or SerialLine())
    if "::" in resource:
        from pnnlab.transports._visa import open_visa  # pyvisa takes its time to import

        return open_visa(resource, backend)
    return open_serial(resource, line or SerialLine())


def open_transport(options: LinkOptions, *, who: str, terminator: str = "\n",
                   reply_terminator: str | None = None) -> Transport:  # fmt: skip
    """Return the conversation with the instrument that a bench file names.

    Args:
        options: The driver's options.
        who: Name of the device.
        terminator: What ends a message.
        reply_terminator: What ends an answer; the same if `None`.

    Raises:
        DeviceError: It cannot be reached; the message says what to check.
        RecordError: Its traffic cannot be recorded.
    """
    link = open_link(options.resource, backend=options.backend, line=options.line)
    if options.traffic:
        try:
            link = RecordedLink(link, Traffic(options.traffic, options.resource))
        except BaseException:
            link.close()
            raise
    return Transport(link, who=who, terminator=terminator, reply_terminator=reply_terminator, timeouts=options.timeouts)
