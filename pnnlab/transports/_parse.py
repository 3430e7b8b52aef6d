"""What the texts of instruments mean; whatever is not exactly right is an error, never another number."""

import re
from typing import Final

from pnnlab.devices import Identity
from pnnlab.errors import GarbledError, NotANumberError, NotAsciiError, OverloadError, TerminatorError

__all__ = ["decode_text", "parse_identity", "parse_integer", "parse_number", "parse_numbers"]

_NUMBER: Final = re.compile(r" *([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?) *")
_INTEGER: Final = re.compile(r" *([+-]?[0-9]{1,19}) *")
_NOT_A_NUMBER: Final = re.compile(r" *[+-]?nan *", re.IGNORECASE)
_INFINITE: Final = re.compile(r" *[+-]?inf(?:inity)? *", re.IGNORECASE)

_SCPI_NAN: Final = 9.91e37
_SCPI_INFINITY: Final = 9.9e37
"""What instruments send instead of infinity, and 9.91E37 instead of NaN (SCPI-99, volume 1, 7.2.1.4 and 7.2.1.5)."""


def decode_text(line: bytes, *, who: str, encoding: str = "ascii") -> str:
    """Return a reply as text.

    Raises:
        NotAsciiError: It has bytes that are no text in this encoding.
        TerminatorError: It ends in a carriage return, a line feed or a zero byte that are not its terminator.
        GarbledError: It has other control characters.
    """
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        raise NotAsciiError(
            f"{who}: the reply {_shown(line)} has the byte 0x{line[error.start]:02x} at {error.start}, which is no "
            f"{encoding} text; check the line's speed and parity, and what is connected"
        ) from None
    # all of ASCII that has no picture, but for the tab that some tables are made with
    if text.isprintable() or text.replace("\t", " ").isprintable():
        return text
    if text[-1] in "\r\n\0" and text[:-1].isprintable():
        raise TerminatorError(
            f"{who}: the reply {_shown(line)} ends in {text[-1]!r} before its terminator; set the terminator of "
            "replies to what the instrument sends"
        )
    raise GarbledError(f"{who}: the reply {_shown(line)} has control characters; check what is connected")


def parse_number(text: str, *, who: str, asked: str = "") -> float:
    """Return the number that a reply is.

    Args:
        text: The reply, without its terminator; spaces around the number are allowed, nothing else is.
        who: Who replied, for the message.
        asked: What was asked, for the message.

    Raises:
        NotANumberError: The instrument says that there is none.
        OverloadError: The instrument says that it is out of range.
        GarbledError: The reply is none.
    """
    match = _NUMBER.fullmatch(text)
    question = f" to {asked!r}" if asked else ""
    if match is None:
        if _NOT_A_NUMBER.fullmatch(text):
            raise NotANumberError(f"{who}: the reply {text!r}{question} says that there is no number")
        if _INFINITE.fullmatch(text):
            raise OverloadError(f"{who}: the reply {text!r}{question} says that the number is out of range")
        raise GarbledError(f"{who}: the reply {text[:80]!r}{question} is no number; check what is connected")
    number = float(match[1])
    if abs(number) < _SCPI_INFINITY:
        return number
    if number == _SCPI_NAN:
        raise NotANumberError(f"{who}: the reply {text!r}{question} is SCPI's NaN: the instrument has no number")
    raise OverloadError(f"{who}: the reply {text!r}{question} means overload: the number is out of range")


def parse_numbers(text: str, n: int | None = None, *, who: str, asked: str = "") -> list[float]:
    """Return the numbers of a reply that has commas between them.

    Args:
        text: The reply, without its terminator.
        n: How many are due; `None` where that is not known.
        who: Who replied, for the message.
        asked: What was asked, for the message.

    Raises:
        GarbledError: One is none, or there are more or fewer.
        NotANumberError: See `parse_number`.
        OverloadError: See `parse_number`.
    """
    parts = text.split(",")
    if n is not None and len(parts) != n:
        raise GarbledError(
            f"{who}: the reply {text[:80]!r} to {asked!r} has {len(parts)} numbers, {n} are due; check the settings "
            "that decide what a reading consists of"
        )
    return [parse_number(part, who=who, asked=asked) for part in parts]


def parse_integer(text: str, *, who: str, asked: str = "") -> int:
    """Return the whole number that a reply is, written without a point or an exponent.

    Raises:
        GarbledError: The reply is none.
    """
    match = _INTEGER.fullmatch(text)
    if match is None:
        raise GarbledError(f"{who}: the reply {text[:80]!r} to {asked!r} is no whole number; check what is connected")
    return int(match[1])


def parse_identity(text: str, *, who: str) -> Identity:
    """Return who an instrument is by its reply to `*IDN?`: vendor, model, serial number, firmware.

    Raises:
        GarbledError: It is not made of these, separated by commas; a missing serial number or firmware is empty.
    """
    parts = [part.strip() for part in text.strip().split(",", 3)]
    if len(parts) < 2 or not all(parts[:2]):
        raise GarbledError(
            f"{who}: the reply {text[:80]!r} to '*IDN?' is no identity (vendor,model,serial,firmware); check what is "
            "connected"
        )
    vendor, model, serial, firmware = [*parts, "", ""][:4]
    return Identity(vendor, model, serial, firmware)


def _shown(line: bytes) -> str:
    return repr(line[:80]) + "..." * (len(line) > 80)
