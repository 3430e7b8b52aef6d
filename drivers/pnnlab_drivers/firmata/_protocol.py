"""The messages of Firmata 2, on their way to bytes and back.

Bytes with the highest bit set begin a message, all others are data of seven bits; so a reader finds its way again after
whatever has come. Source: github.com/firmata/protocol, protocol.md, version 2.4.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = [
    "ANALOG", "PWM", "QUERY_ANALOG_PINS", "QUERY_CAPABILITIES", "QUERY_FIRMWARE", "QUERY_VERSION", "AnalogReading",
    "Firmware", "Message", "Parser", "PinState", "Reply", "SysexCommand", "Version", "read_analog_pins",
    "read_capabilities", "read_firmware", "read_pin_state", "request_pin_state", "request_report",
    "request_sampling_interval", "set_mode", "write_code",
]  # fmt: skip

_ANALOG_MESSAGE: Final = 0xE0
_DIGITAL_MESSAGE: Final = 0x90
_REPORT_ANALOG: Final = 0xC0
_SET_PIN_MODE: Final = 0xF4
_VERSION: Final = 0xF9
_START: Final = 0xF0
_END: Final = 0xF7
_LONGEST: Final = 4096
"""Data of a sysex message at most: the capabilities of the largest boards are a few hundred bytes."""
_SHORT_PINS: Final = 16
"""Pins below this one have messages of their own."""

ANALOG: Final = 2
"""The mode of a pin whose voltage is measured."""
PWM: Final = 3
"""The mode of a pin whose voltage is made by pulses."""


class SysexCommand(IntEnum):
    """What a sysex message is about."""

    ANALOG_PINS_QUERY = 0x69
    ANALOG_PINS = 0x6A
    CAPABILITY_QUERY = 0x6B
    CAPABILITIES = 0x6C
    PIN_STATE_QUERY = 0x6D
    PIN_STATE = 0x6E
    EXTENDED_ANALOG = 0x6F
    FIRMWARE = 0x79
    SAMPLING_INTERVAL = 0x7A


@dataclass(frozen=True, slots=True)
class AnalogReading:
    """The code of one analog channel."""

    channel: int
    code: int


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the protocol that the board speaks."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A sysex message.

    Attributes:
        command: What it is about.
        data: Bytes of seven bits.
    """

    command: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the board says of its firmware."""

    name: str
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class PinState:
    """What a pin was last told: its mode and its code."""

    pin: int
    mode: int
    code: int


Message = AnalogReading | Version | Reply

QUERY_VERSION: Final = bytes([_VERSION])


def _sysex(command: SysexCommand, *data: int) -> bytes:
    return bytes([_START, command, *data, _END])


QUERY_FIRMWARE: Final = _sysex(SysexCommand.FIRMWARE)
QUERY_CAPABILITIES: Final = _sysex(SysexCommand.CAPABILITY_QUERY)
QUERY_ANALOG_PINS: Final = _sysex(SysexCommand.ANALOG_PINS_QUERY)


def set_mode(pin: int, mode: int) -> bytes:
    """Return what gives a pin its mode."""
    return bytes([_SET_PIN_MODE, pin, mode])


def write_code(pin: int, code: int) -> bytes:
    """Return what makes a pulse-width code, of up to 14 bits, at a pin."""
    if pin < _SHORT_PINS:
        return bytes([_ANALOG_MESSAGE | pin, code & 0x7F, code >> 7])
    return _sysex(SysexCommand.EXTENDED_ANALOG, pin, code & 0x7F, code >> 7)


def request_report(channel: int, *, on: bool) -> bytes:
    """Return what lets the board tell an analog channel again and again, or stop it."""
    return bytes([_REPORT_ANALOG | channel, on])


def request_sampling_interval(milliseconds: int) -> bytes:
    """Return what sets the time from one telling of all channels to the next."""
    return _sysex(SysexCommand.SAMPLING_INTERVAL, milliseconds & 0x7F, milliseconds >> 7)


def request_pin_state(pin: int) -> bytes:
    """Return the question what a pin was last told."""
    return _sysex(SysexCommand.PIN_STATE_QUERY, pin)


def read_firmware(reply: Reply) -> Firmware | None:
    """Return what a report of the firmware says; `None` where it is none."""
    if reply.command != SysexCommand.FIRMWARE or len(reply.data) < 2:
        return None
    letters = zip(reply.data[2::2], reply.data[3::2], strict=False)
    name = "".join(chr(low | high << 7) for low, high in letters)
    return Firmware("".join(c for c in name if c.isprintable()).strip(), reply.data[0], reply.data[1])


def read_pin_state(reply: Reply) -> PinState | None:
    """Return what a pin was last told; `None` where a message says nothing of this."""
    if reply.command != SysexCommand.PIN_STATE or len(reply.data) < 3:
        return None
    code = sum(part << 7 * k for k, part in enumerate(reply.data[2:]))
    return PinState(reply.data[0], reply.data[1], code)


def read_capabilities(reply: Reply) -> list[dict[int, int]] | None:
    """Return the modes of each pin with their resolutions in bits; `None` where a message says nothing of this."""
    if reply.command != SysexCommand.CAPABILITIES or not reply.data.endswith(b"\x7f"):
        return None
    pins = reply.data[:-1].split(b"\x7f")
    return [dict(zip(pin[0::2], pin[1::2], strict=False)) for pin in pins]


def read_analog_pins(reply: Reply) -> dict[int, int] | None:
    """Return the pin of each analog channel; `None` where a message says nothing of this."""
    if reply.command != SysexCommand.ANALOG_PINS:
        return None
    return {channel: pin for pin, channel in enumerate(reply.data) if channel != 0x7F}


class Parser:
    """Finds messages in what comes from a board; whatever is none is skipped.

    Mutable: it keeps the beginning of a message until the rest has come.
    """

    def __init__(self) -> None:
        self._command = 0
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with some more bytes."""
        found: list[Message] = []
        for byte in data:
            message = self._take(byte)
            if message is not None:
                found.append(message)
        return found

    def _take(self, byte: int) -> Message | None:
        if byte & 0x80:
            command, self._command = self._command, byte
            if byte == _END and command == _START and self._data:
                self._command = 0
                message = Reply(self._data[0], bytes(self._data[1:]))
                self._data.clear()
                return message
            self._data.clear()
            return None
        if not self._command or len(self._data) >= _LONGEST:
            self._command = 0  # data of no message
            return None
        self._data.append(byte)
        kind = self._command if self._command >= _START else self._command & 0xF0
        if kind == _START or len(self._data) < 2:
            return None
        low, high = self._data
        command, self._command = self._command, 0
        self._data.clear()
        if kind == _ANALOG_MESSAGE:
            return AnalogReading(command & 0x0F, low | high << 7)
        return Version(low, high) if kind == _VERSION else None
