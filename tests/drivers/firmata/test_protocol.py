"""Firmata's bytes: every message comes back, whatever lies around it, and garbage is never taken for a message."""

from hypothesis import given
from hypothesis import strategies as st

from pnnlab_drivers.firmata._protocol import (
    AnalogReading,
    Firmware,
    Message,
    Parser,
    PinState,
    Reply,
    Version,
    read_analog_pins,
    read_capabilities,
    read_firmware,
    read_pin_state,
    request_sampling_interval,
    set_mode,
    write_code,
)

SEVEN = st.integers(0, 127)
READINGS = st.builds(AnalogReading, st.integers(0, 15), st.integers(0, 2**14 - 1))
VERSIONS = st.builds(Version, SEVEN, SEVEN)
REPLIES = st.builds(Reply, SEVEN, st.binary(max_size=40).map(lambda data: bytes(b & 0x7F for b in data)))
MESSAGES = READINGS | VERSIONS | REPLIES


def as_bytes(message: Message) -> bytes:
    """Return the bytes of a message by the protocol's text, not by the driver."""
    if isinstance(message, AnalogReading):
        return bytes([0xE0 + message.channel, message.code % 128, message.code // 128])
    if isinstance(message, Version):
        return bytes([0xF9, message.major, message.minor])
    return bytes([0xF0, message.command, *message.data, 0xF7])


@given(st.lists(MESSAGES, max_size=12), st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_messages_come_back_however_they_are_cut(messages: list[Message], sizes: list[int]) -> None:
    data, parser, found = b"".join(map(as_bytes, messages)), Parser(), list[Message]()
    for size in [*sizes, len(data)]:
        found += parser.feed(data[:size])
        data = data[size:]
    assert found == messages


@given(st.binary(max_size=200), MESSAGES)
def test_after_any_garbage_a_message_comes_back(garbage: bytes, message: Message) -> None:
    parser = Parser()
    parser.feed(garbage)
    # a message that begins within a sysex message of the garbage ends that one
    assert parser.feed(as_bytes(message))[-1:] == [message]


@given(st.lists(MESSAGES, min_size=1, max_size=8), st.data())
def test_a_lost_byte_costs_its_own_message_only(messages: list[Message], data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(messages) - 1))
    parts = [as_bytes(message) for message in messages]
    byte = data.draw(st.integers(0, len(parts[lost]) - 1))
    parts[lost] = parts[lost][:byte] + parts[lost][byte + 1 :]
    found = Parser().feed(b"".join(parts))
    after = messages[lost + 1 :]
    assert found[:lost] == messages[:lost] and found[len(found) - len(after) :] == after
    assert len(found) <= len(messages)


def test_a_message_that_never_ends_is_given_up() -> None:
    parser = Parser()
    assert parser.feed(b"\xf0" + b"\x01" * 100_000) == []
    assert parser.feed(b"\xf7" + as_bytes(Version(2, 4))) == [Version(2, 4)]


def test_orders_are_those_of_the_protocol() -> None:
    assert set_mode(3, 3) == b"\xf4\x03\x03"
    assert write_code(3, 200) == bytes([0xE3, 200 % 128, 1])
    assert write_code(44, 200) == bytes([0xF0, 0x6F, 44, 200 % 128, 1, 0xF7])
    assert request_sampling_interval(300) == bytes([0xF0, 0x7A, 300 % 128, 2, 0xF7])


def test_replies_are_read() -> None:
    name = b"".join(bytes([ord(c), 0]) for c in "StandardFirmata.ino")
    assert read_firmware(Reply(0x79, b"\x02\x04" + name)) == Firmware("StandardFirmata.ino", 2, 4)
    assert read_firmware(Reply(0x79, b"\x02")) is None and read_firmware(Reply(0x6A, b"\x02\x04")) is None
    assert read_pin_state(Reply(0x6E, bytes([5, 3, 72, 1]))) == PinState(5, 3, 200)
    assert read_pin_state(Reply(0x6E, bytes([127]))) is None
    pins = bytes([0x7F, 0, 1, 3, 8, 0x7F, 2, 10, 0x7F])
    assert read_capabilities(Reply(0x6C, pins)) == [{}, {0: 1, 3: 8}, {2: 10}]
    assert read_capabilities(Reply(0x6C, pins[:-1])) is None
    assert read_analog_pins(Reply(0x6A, bytes([0x7F, 0x7F, 0, 1]))) == {0: 2, 1: 3}
