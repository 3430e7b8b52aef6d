"""Fake instruments on real wires, and how they misbehave."""

import time
from collections.abc import Callable, Iterator

import pytest
import serial

from pnnlab.testing import Faults, Lines, Script, SerialInstrument, TcpInstrument, WireInstrument

# pyserial's socket:// leaves its socket open where the other side has closed first
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

KINDS: dict[str, Callable[..., WireInstrument]] = {"network": TcpInstrument, "serial port": SerialInstrument}


class Counter:
    """An instrument that counts what it is asked; a reset sets it back."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, message: bytes) -> bytes | None:
        self.count += 1
        return b"%d %s" % (self.count, message) if message.endswith(b"?") else None

    def reset(self) -> bytes:
        self.count = 0
        return b"hello\r\n"


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[..., WireInstrument]:
    return KINDS[request.param]


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def fake(make: Callable[..., WireInstrument], counter: Counter) -> Iterator[WireInstrument]:
    with make(counter, framing=Lines(b"\r", b"\r\n"), reset=counter.reset) as fake:
        yield fake


def connect(fake: WireInstrument, timeout_s: float = 1.0) -> serial.SerialBase:
    """Connect by pyserial, which nobody here wrote."""
    url = f"socket://127.0.0.1:{fake.port}" if isinstance(fake, TcpInstrument) else fake.address
    return serial.serial_for_url(url, timeout=timeout_s)


def ask(port: serial.SerialBase, message: bytes) -> bytes:
    port.write(message)
    return port.read_until(b"\r\n")


def test_messages_are_answered_and_kept(fake: WireInstrument) -> None:
    with connect(fake) as port:
        port.write(b"set\rA?\rB")
        assert port.read_until(b"\r\n") == b"2 A?\r\n"
        assert ask(port, b"?\r") == b"3 B?\r\n"
    with connect(fake) as port:
        assert ask(port, b"C?\r") == b"4 C?\r\n"
    assert fake.heard == [b"set", b"A?", b"B?", b"C?"]


@pytest.mark.parametrize(
    ("faults", "answer"),
    [
        ({"partial": 3}, b"1 A"),
        ({"terminator": b"\n"}, b"1 A?\n"),
        ({"garbage": b"\xff\x00"}, b"\xff\x001 A?\r\n"),
        ({"echo": True}, b"A?\r\n"),
        ({"busy": b"BUSY"}, b"BUSY\r\n"),
        ({"silent": True}, b""),
        ({"lost_every": 1}, b""),
        ({"one_by_one": True}, b"1 A?\r\n"),
    ],
)
def test_faults_on_demand_end_with_the_demand(
    fake: WireInstrument, counter: Counter, faults: dict[str, object], answer: bytes
) -> None:
    with connect(fake, timeout_s=0.1) as port:
        with fake.misbehaving(**faults):
            assert ask(port, b"A?\r") == answer
        port.timeout = 1.0
        if "echo" in faults:
            assert port.read_until(b"\r\n") == b"1 A?\r\n"
        obeyed = not faults.keys() & {"silent", "busy"}
        assert counter.count == obeyed, "a lost answer is that of a message that was obeyed"
        assert ask(port, b"B?\r") == (b"2 B?\r\n" if obeyed else b"1 B?\r\n")
    assert fake.faults == Faults()


def test_late_answers_come_late(fake: WireInstrument) -> None:
    with connect(fake) as port, fake.misbehaving(late_s=0.15):
        begin_s = time.monotonic()
        assert ask(port, b"A?\r") == b"1 A?\r\n"
        assert time.monotonic() - begin_s >= 0.15


def test_every_second_answer_is_lost(fake: WireInstrument) -> None:
    with connect(fake) as port, fake.misbehaving(lost_every=2):
        port.write(b"A?\rB?\rC?\rD?\rE?\r")
        assert [port.read_until(b"\r\n") for _ in range(3)] == [b"1 A?\r\n", b"3 C?\r\n", b"5 E?\r\n"]


def test_an_opened_connection_resets_it(fake: WireInstrument, counter: Counter) -> None:
    with connect(fake) as port:
        assert ask(port, b"A?\r") == b"1 A?\r\n"
    while fake.connected:
        time.sleep(1e-3)
    with fake.misbehaving(reset_on_open=True), connect(fake) as port:
        assert port.read_until(b"\r\n") == b"hello\r\n"
        assert counter.count == 0
        assert ask(port, b"A?\r") == b"1 A?\r\n"


def test_what_comes_during_a_reset_is_not_heard(fake: WireInstrument) -> None:
    with fake.misbehaving(reset_on_open=True), connect(fake) as port:
        assert ask(port, b"A?\r") == b"hello\r\n"
        assert ask(port, b"B?\r") == b"1 B?\r\n"


@pytest.mark.parametrize("how", ["unplugged", "dropped"])
def test_an_ended_connection_is_gone_and_another_one_works(fake: WireInstrument, how: str) -> None:
    with connect(fake) as port:
        assert ask(port, b"A?\r") == b"1 A?\r\n"
        if how == "unplugged":
            with fake.unplugged():
                with pytest.raises(OSError):
                    ask(port, b"B?\r")
                with pytest.raises(OSError):
                    connect(fake)
        else:
            with fake.misbehaving(drop=True), pytest.raises(OSError):
                ask(port, b"B?\r")
    with connect(fake) as port:
        assert ask(port, b"C?\r") == b"2 C?\r\n"


def test_a_port_is_there_again_as_soon_as_it_is_seen_gone(counter: Counter) -> None:
    with SerialInstrument(counter) as fake:
        for k in range(20):
            with connect(fake) as port, fake.misbehaving(drop=True), pytest.raises(OSError):
                ask(port, b"A?\n")
            assert len(fake.heard) == k + 1


def test_a_client_too_many_is_turned_away(counter: Counter) -> None:
    with TcpInstrument(counter, clients=1) as fake, connect(fake) as first:
        assert first.write(b"A?\n") and first.read_until(b"\n") == b"1 A?\n"
        with connect(fake) as second, pytest.raises(OSError):
            second.write(b"B?\n")
            second.read(1)
        assert first.write(b"C?\n") and first.read_until(b"\n") == b"2 C?\n"


def test_a_script_is_one_conversation(make: Callable[..., WireInstrument]) -> None:
    script = Script([(b"*IDN?", b"Acme,One,7,1.0"), (b"OUTP ON", None), (b"MEAS?", b"1.5")])
    with make(script) as fake, connect(fake, timeout_s=0.2) as port:
        assert ask(port, b"*IDN?\n") == b"Acme,One,7,1.0\n"
        with pytest.raises(AssertionError, match="2 messages are still due"):
            script.assert_done()
        assert ask(port, b"OUTP ON\nMEAS?\n") == b"1.5\n"
        script.assert_done()
        assert ask(port, b"MEAS?\n") == b""
    with pytest.raises(AssertionError, match="came at the end"):
        script.assert_done()


def test_messages_may_be_binary(make: Callable[..., WireInstrument]) -> None:
    class Counted:
        """A length, then as many bytes."""

        def take(self, kept: bytearray) -> bytes | None:
            if not kept or len(kept) <= kept[0]:
                return None
            message = bytes(kept[1 : kept[0] + 1])
            del kept[: kept[0] + 1]
            return message

        def wrap(self, answer: bytes, terminator: bytes | None) -> bytes:
            return bytes([len(answer)]) + answer

    with make(lambda message: message[::-1], framing=Counted()) as fake, connect(fake) as port:
        port.write(b"\x03abc\x02")
        assert port.read(4) == b"\x03cba"
        port.write(b"\n\r")
        assert port.read(3) == b"\x02\r\n"
