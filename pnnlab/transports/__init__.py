"""Conversations with instruments that speak in messages, text and binary, over VISA and serial ports."""

from pnnlab.transports._blocks import block
from pnnlab.transports._deadline import Deadline, Timeouts, Wait
from pnnlab.transports._link import Link, SilenceError
from pnnlab.transports._marker import Marker, PlainMarker, ScpiMarker
from pnnlab.transports._open import LinkOptions, open_link, open_transport
from pnnlab.transports._parse import decode_text, parse_identity, parse_integer, parse_number, parse_numbers
from pnnlab.transports._replay import Replay, ReplayServer, replayed
from pnnlab.transports._reply import Reply
from pnnlab.transports._scpi import Scpi, joined
from pnnlab.transports._serial import SerialLine, SerialLink, open_serial
from pnnlab.transports._session import plain, recorded_session, unpacked
from pnnlab.transports._socket import SocketLink
from pnnlab.transports._traffic import Exchange, RecordedLink, Traffic, exchanges, read_traffic
from pnnlab.transports._transport import Transport
from pnnlab.transports._tsp import Tsp
from pnnlab.transports._written_test import write_test

__all__ = [
    "Deadline",
    "Exchange",
    "Link",
    "LinkOptions",
    "Marker",
    "PlainMarker",
    "RecordedLink",
    "Replay",
    "ReplayServer",
    "Reply",
    "Scpi",
    "ScpiMarker",
    "SerialLine",
    "SerialLink",
    "SilenceError",
    "SocketLink",
    "Timeouts",
    "Traffic",
    "Transport",
    "Tsp",
    "Wait",
    "block",
    "decode_text",
    "exchanges",
    "joined",
    "open_link",
    "open_serial",
    "open_transport",
    "parse_identity",
    "parse_integer",
    "parse_number",
    "parse_numbers",
    "plain",
    "read_traffic",
    "recorded_session",
    "replayed",
    "unpacked",
    "write_test",
]
