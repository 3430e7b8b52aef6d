"""Exchanges, and agreement after one that went wrong, over a socket, over plain VISA calls and over a serial line."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from pnnlab.errors import (
    BlockError,
    DeviceError,
    GarbledError,
    InstrumentError,
    LinkLostError,
    OverloadError,
    ReplyTimeoutError,
    TerminatorError,
    UnaskedError,
)
from pnnlab.transports import Reply, Scpi, Timeouts, Transport, block, open_link
from tests.transports.servers import IDENTITY, Instrument, connected, scpi

TIMEOUTS = Timeouts(quick_s=0.4, operation_s=4.0, bulk_s=0.5)


@pytest.fixture(params=["socket", "visa", "serial"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def instrument() -> Instrument:
    return Instrument()


@pytest.fixture
def transport(kind: str, instrument: Instrument) -> Iterator[Transport]:
    with connected(instrument, kind, TIMEOUTS) as transport:
        Scpi(transport).identity()
        instrument.heard.clear()
        yield transport


@pytest.fixture
def talk(transport: Transport) -> Scpi:
    return Scpi(transport)


def answering(**answers):
    """Answer `NAME?` by a keyword argument, and the common queries."""

    def answer(message: bytes):
        name = message.decode("latin-1").removesuffix("?")
        return answers[name] if name in answers else scpi(message)

    return answer


def test_the_identity_is_told(talk: Scpi) -> None:
    found = talk.identity()
    assert (found.vendor, found.model, found.serial, found.firmware) == ("ACME", "DAC8", "17", "1.0")


def test_a_command_and_its_errors_are_one_message(talk: Scpi, instrument: Instrument) -> None:
    talk.command("VOLT 1", "OUTP ON")
    assert instrument.heard == [b"VOLT 1;:OUTP ON;:SYST:ERR?"]


def test_an_operation_is_one_message(talk: Scpi, instrument: Instrument) -> None:
    talk.complete("*RST")
    assert instrument.heard == [b"*RST;*OPC?;:SYST:ERR?"]


def test_errors_of_the_instrument_are_all_told(talk: Scpi, instrument: Instrument) -> None:
    queue = [b'-222,"Data out of range; 11 V"', b'-113,"Undefined header"', b'0,"No error"']
    instrument.answer = lambda message: queue.pop(0) + b"\n"
    with pytest.raises(InstrumentError, match=r"Data out of range; 11 V.*Undefined header.*VOLT 11") as caught:
        talk.command("VOLT 11")
    assert len(caught.value.entries) == 2
    assert not queue


def test_an_instrument_that_drops_a_wrong_message_still_tells_why(talk: Scpi, instrument: Instrument) -> None:
    queue = [b'-113,"Undefined header"', b'0,"No error"']

    def answer(message: bytes) -> bytes:
        if message == b"SYST:ERR?":
            return queue.pop(0) + b"\n"
        return b"" if message.startswith(b"VLT") else scpi(message)

    instrument.answer = answer
    with pytest.raises(InstrumentError, match="Undefined header"):
        talk.command("VLT 1")


def test_several_queries_are_one_message(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = lambda message: b'1.5;"a;b";3\n'
    assert talk.queries("VOLT?", "NAME?", "RANG?") == ["1.5", '"a;b"', "3"]
    assert instrument.heard == [b"VOLT?;:NAME?;:RANG?"]
    with pytest.raises(GarbledError, match=r"3 answers came .*, 2 are due"):
        talk.queries("VOLT?", "NAME?")


def test_a_block_is_read_by_its_length(talk: Scpi, instrument: Instrument) -> None:
    samples = np.arange(5000, dtype=">f4")  # with line feeds among its bytes
    instrument.answer = answering(CURV=block(samples.tobytes()) + b"\n", VOLT=b"2.5\n")
    np.testing.assert_array_equal(talk.samples("CURV?", 5000, ">f4"), samples)
    assert talk.number("VOLT?") == 2.5


def test_a_block_of_indefinite_length_needs_its_size(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = answering(CURV=b"#0\n\n34\n", VOLT=b"2.5\n")
    assert talk.transport.exchange("CURV?", lambda reply: reply.block(4)) == b"\n\n34"
    with pytest.raises(BlockError, match="nobody said how long"):
        talk.transport.exchange("CURV?", Reply.block)
    assert talk.number("VOLT?") == 2.5


@pytest.mark.parametrize(
    ("sent", "error", "says"),
    [
        (b"1.5\n", BlockError, "begins with b'1.'"),
        (b"#1x\n", BlockError, "digits are due"),
        (b"#9999999999\n", BlockError, "999999999 bytes came"),
        (b"#15abcde\n", BlockError, "5 bytes came, 4 are due"),
        (b"#14abcdef\n", BlockError, "b'ef' follow the 4 bytes"),
        (b"#14abc", ReplyTimeoutError, "with b'abc' only"),
        (b"#", ReplyTimeoutError, "with b'#' only"),
    ],
)
def test_a_wrong_block_is_an_error_and_the_next_answer_is_right(
    talk: Scpi, instrument: Instrument, sent: bytes, error: type[Exception], says: str
) -> None:
    instrument.answer = answering(CURV=sent, VOLT=b"2.5\n")
    with pytest.raises(error, match=says if "only" not in says else None):
        talk.samples("CURV?", 4, "u1")
    assert talk.number("VOLT?") == 2.5


def test_samples_that_are_no_numbers_are_refused(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = answering(CURV=block(np.array([1, np.inf], "<f4").tobytes()) + b"\n")
    with pytest.raises(OverloadError, match="sample 1"):
        talk.samples("CURV?", 2, "<f4")


@pytest.mark.parametrize("pause", [0.45, 0.6])
def test_a_late_answer_is_not_taken_for_the_next_one(talk: Scpi, instrument: Instrument, pause: float) -> None:
    instrument.answer = answering(LATE=[b"1.", pause, b"25\n"], VOLT=b"2.5\n")
    with pytest.raises(ReplyTimeoutError, match=r"dac: .*did not answer b'LATE\?|with b'1\.' only"):
        talk.number("LATE?")
    assert talk.number("VOLT?") == 2.5


def test_a_late_identity_is_not_taken_for_the_marker(talk: Scpi, instrument: Instrument) -> None:
    late = [[0.6, IDENTITY + b"\n"]]
    instrument.answer = lambda message: (
        late.pop() if message == b"*IDN?" and late else answering(VOLT=b"2.5\n")(message)
    )
    with pytest.raises(ReplyTimeoutError):
        talk.identity()
    assert talk.number("VOLT?") == 2.5


def test_an_answer_that_is_lost_is_not_waited_for(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = answering(LOST=b"", VOLT=b"2.5\n")
    with pytest.raises(ReplyTimeoutError):
        talk.number("LOST?")
    begin = time.monotonic()
    assert talk.number("VOLT?") == 2.5
    assert time.monotonic() - begin < 2.0


def test_an_instrument_that_does_not_come_back_is_given_up(talk: Scpi, instrument: Instrument) -> None:
    talk.transport.timeouts = Timeouts(0.05, 0.2, 0.2)
    instrument.answer = lambda message: b""
    with pytest.raises(ReplyTimeoutError):
        talk.number("VOLT?")
    with pytest.raises(LinkLostError, match=r"did not come back within 0\.2 s"):
        talk.number("VOLT?")
    instrument.answer = lambda message: b"2.5\n"
    with pytest.raises(LinkLostError, match="did not come back"):
        talk.number("VOLT?")


def test_without_a_marker_a_late_answer_ends_the_conversation(kind: str, instrument: Instrument) -> None:
    with connected(instrument, kind, Timeouts(0.05, 0.2, 0.2)) as transport:
        instrument.answer = lambda message: b""
        with pytest.raises(ReplyTimeoutError):
            transport.query("VOLT?")
        with pytest.raises(LinkLostError, match="no query is known"):
            transport.query("VOLT?")


@pytest.mark.parametrize(("sent", "error"), [(b"1.5\r\n", TerminatorError), (b"1.5\r", ReplyTimeoutError)])
def test_a_wrong_terminator_is_named(talk: Scpi, instrument: Instrument, sent: bytes, error: type[Exception]) -> None:
    instrument.answer = answering(VOLT=sent, CURR=b"2.5\n")
    with pytest.raises(error, match=r"terminator|did not answer"):
        talk.number("VOLT?")
    assert talk.number("CURR?") == 2.5


@pytest.mark.parametrize("kind", ["socket", "serial"], indirect=True)
def test_an_answer_that_comes_twice_is_an_error(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = answering(VOLT=b"1.5\n1.5\n", CURR=b"2.5\n")
    assert talk.number("VOLT?") == 1.5
    with pytest.raises(UnaskedError, match=r"b'1\.5\\n' came unasked"):
        talk.number("CURR?")
    assert talk.number("CURR?") == 2.5


def test_an_endless_line_is_an_error(kind: str, instrument: Instrument) -> None:
    with connected(instrument, kind, TIMEOUTS) as transport:
        talk = Scpi(transport)
        talk.identity()
        transport._limit = 10000
        instrument.answer = answering(VOLT=b"9" * 30000, CURR=b"2.5\n")
        with pytest.raises((UnaskedError, ReplyTimeoutError)):
            talk.number("VOLT?")
        assert talk.number("CURR?") == 2.5


def test_threads_get_their_own_answers(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = lambda message: message.removesuffix(b"?") + b"\n"
    wrong: list[object] = []

    def ask(k: int) -> None:
        wrong.extend(found for _ in range(50) if (found := talk.number(f"{k}?")) != k)

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_held_keeps_others_out(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = lambda message: b"1\n"
    with talk.transport.held():
        talk.query("A?")
        other = threading.Thread(target=talk.query, args=("OTHER?",))
        other.start()
        time.sleep(0.05)
        talk.query("B?")
    other.join()
    assert instrument.heard == [b"A?", b"B?", b"OTHER?"]


def test_an_interrupted_exchange_is_made_good(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = answering(VOLT=b"1.5\n", CURR=b"2.5\n")

    def interrupt(_: Reply) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk.transport.exchange("VOLT?", interrupt)
    assert talk.number("CURR?") == 2.5


def test_a_closed_transport_says_so(talk: Scpi) -> None:
    talk.transport.close()
    talk.transport.close()
    with pytest.raises(LinkLostError, match="was closed"):
        talk.number("VOLT?")


@pytest.mark.parametrize("kind", ["socket"], indirect=True)
def test_an_instrument_that_hangs_up_is_noticed_at_once(talk: Scpi, instrument: Instrument) -> None:
    def hang_up(message: bytes) -> bytes:
        raise OSError

    instrument.answer = hang_up
    begin = time.monotonic()
    with pytest.raises(LinkLostError, match="closed the connection"):
        talk.query("VOLT?", wait=10.0)
    assert time.monotonic() - begin < 1.0


@pytest.mark.parametrize("kind", ["socket"], indirect=True)
def test_an_instrument_that_takes_nothing_does_not_stop_the_program(talk: Scpi, instrument: Instrument) -> None:
    instrument.answer = lambda message: [0.8]
    with pytest.raises(ReplyTimeoutError, match="did not take"):
        talk.transport.send(b"x\n" + b"x" * 30_000_000, wait=0.3)


def test_nothing_listens() -> None:
    for resource, says in [
        ("TCPIP::127.0.0.1::9::SOCKET", "nothing listens there"),
        ("no-such-port", "this serial port cannot be opened"),
        ("ASRL77::INSTR", "this serial port cannot be opened"),
        ("NONSENSE::", "cannot open it"),
    ]:
        with pytest.raises(DeviceError, match=says):
            open_link(resource)
