"""Conversations with instruments that speak in messages, text and binary, over VISA and serial ports."""

from pnnlab.transports._blocks import block
from pnnlab.transports._deadline import Deadline, Timeouts, Wait
from pnnlab.transports._link import Link, SilenceError
from pnnlab.transports._marker import Marker, PlainMarker, ScpiMarker
from pnnlab.transports._open import LinkOptions, open_link, open_transport
from pnnlab.transports._parse import decode_text, parse_identity, parse_integer, parse_number, parse_numbers
from pnnlab.transports._reply import Reply
from pnnlab.transports._scpi import Scpi, joined
from pnnlab.transports._serial import SerialLine, SerialLink, open_serial
from pnnlab.transports._socket import SocketLink
from pnnlab.transports._transport import Transport
from pnnlab.transports._tsp import Tsp

__all__ = [
    "Deadline",
    "Link",
    "LinkOptions",
    "Marker",
    "PlainMarker",
    "Reply",
    "Scpi",
    "ScpiMarker",
    "SerialLine",
    "SerialLink",
    "SilenceError",
    "SocketLink",
    "Timeouts",
    "Transport",
    "Tsp",
    "Wait",
    "block",
    "decode_text",
    "joined",
    "open_link",
    "open_serial",
    "open_transport",
    "parse_identity",
    "parse_integer",
    "parse_number",
    "parse_numbers",
]
