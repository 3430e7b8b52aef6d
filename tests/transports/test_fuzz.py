"""Replies that are wrong in every way, over real sockets and pseudo-terminals: no hang, and never a wrong number."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pnnlab.errors import ReplyTimeoutError, TransportError
from pnnlab.transports import Scpi, Timeouts, block
from tests.transports.servers import Instrument, connected, scpi

QUICK_S = 0.004
LATE_S = 0.01
SLOW_S, HANGS_S = 2.0, 30.0
"""A machine that stands still for seconds is no hang, but it does so seldom."""
CASES = settings(
    max_examples=1000, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
CONTROL = -2.7182818

Parts = list[bytes | float]

numbers = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: repr(x).encode())
special = st.sampled_from([
    b"nan", b"NAN", b"9.9E37", b"-9.9E+37", b"9.91E37", b"inf", b"1e999", b"", b" ", b"+", b"1,5", b"1.5V", b"VOLT 1.5",
    b"1_0", b"0x1F", b"1e", b"\xb2", b"1\xb5", b"1.5\r", b"\r1.5", b"--1", b"1 2", b"#15", b"FUZZ?\n1.5",
    b"-2.7182818x", b"0;ACME,DAC8,17,1.0",
])  # fmt: skip
texts = st.one_of(*[numbers] * 6, special, special, st.binary(max_size=24), st.binary(min_size=200, max_size=300))
ends = st.sampled_from([b"\n"] * 28 + [b"\r\n", b"\r", b"", b"\n\r", b"\0", b";", b"\n\n"])


def cut(data: bytes, at: int, pause_s: float) -> Parts:
    """Return bytes in two parts with a pause before the second, or before all; not after a whole line.

    Nobody can tell a second answer from the answer to the next question that comes first.
    """
    line = data.find(b"\n")
    at = min(at, len(data) if line < 0 else line)
    return [data[:at], pause_s, data[at:]]


replies = st.builds(
    cut, st.builds(lambda text, end: text + end, texts, ends), st.integers(0, 20),
    st.sampled_from([0.0] * 14 + [LATE_S, QUICK_S]),
)  # fmt: skip


def number_of(data: bytes) -> float | None:
    """Return the number that a reply is, by another way than the code under test; `None` where it is none."""
    line, end, _ = data.partition(b"\n")
    if not end or re.search(rb"[^0-9eE+\-. ]", line):
        return None
    try:
        number = float(line)
    except ValueError:
        return None
    return number if abs(number) < 9.9e37 else None


@st.composite
def broken_blocks(draw: st.DrawFn) -> bytes:
    """Return a block of which something may be wrong."""
    payload = draw(st.binary(min_size=0, max_size=80))
    whole = draw(st.sampled_from([block(payload)] * 8 + [b"#0" + payload, payload, b"#" + payload, b"#9" + payload]))
    what = draw(st.sampled_from(["whole"] * 10 + ["half", "more", "another length", "garbage before"]))
    at = draw(st.integers(0, max(0, len(whole) - 1)))
    damaged = {
        "whole": whole, "half": whole[:at], "more": whole + draw(st.binary(min_size=1, max_size=20)),
        "another length": whole[:2] + b"7" + whole[3:], "garbage before": draw(st.binary(max_size=5)) + whole,
    }  # fmt: skip
    return damaged[what] + draw(ends)


def payload_of(data: bytes) -> bytes | None:
    """Return what a reply carries as a block, by another way than the code under test."""
    for n in range(1, 10):
        if match := re.match(rb"#%d(\d{%d})" % (n, n), data):
            payload, rest = data[match.end() :][: int(match[1])], data[match.end() :][int(match[1]) :]
            return payload if len(payload) == int(match[1]) and rest[:1] == b"\n" else None
    return None


def is_one_answer(data: bytes) -> bool:
    """Return whether nothing follows the first line."""
    return data.find(b"\n") in (-1, len(data) - 1)


class Fuzzed:
    """A transport to an instrument whose next answer is decided by a test, kept for all cases."""

    def __init__(self, talk: Scpi, instrument: Instrument, kind: str) -> None:
        self.talk, self.kind = talk, kind
        self.answered = self.due = self.slow = 0
        instrument.answer = self._answer
        self.parts: Parts = []

    def _answer(self, message: bytes) -> bytes | Parts:
        if message == b"FUZZ?":
            return self.parts
        return repr(CONTROL).encode() + b"\n" if message == b"CTRL?" else scpi(message)

    def check_after(self, begin_s: float) -> None:
        """Be sure that the next answer is that of the next question, and that all ended in time."""
        for _ in range(20):
            try:
                found = self.talk.number("CTRL?")
            except TransportError:
                continue  # what was left over, or a machine that is too busy to answer within milliseconds
            assert found == CONTROL
            break
        else:
            pytest.fail("the transport did not come back")
        took_s = time.monotonic() - begin_s
        self.slow += took_s > SLOW_S
        assert took_s < HANGS_S


@pytest.fixture(params=["socket", "visa", "serial"], scope="module")
def fuzzed(request: pytest.FixtureRequest) -> Iterator[Fuzzed]:
    instrument = Instrument()
    with connected(instrument, request.param, Timeouts(0.5, 1.0, QUICK_S)) as transport:
        talk = Scpi(transport)
        talk.identity()
        transport.timeouts = Timeouts(QUICK_S, 1.0, QUICK_S)
        fuzzed = Fuzzed(talk, instrument, request.param)
        yield fuzzed
        assert fuzzed.slow <= 5, f"{fuzzed.slow} cases took more than {SLOW_S:g} s"
        assert fuzzed.due > 100  # by each of the tests alone
        assert fuzzed.answered > 0.8 * fuzzed.due, f"only {fuzzed.answered} of {fuzzed.due} good replies came through"


@CASES
@given(parts=replies)
def test_numbers(fuzzed: Fuzzed, parts: Parts) -> None:
    begin_s = time.monotonic()
    fuzzed.parts = parts
    sent = b"".join(part for part in parts if isinstance(part, bytes))
    # VISA cannot tell that a second answer is there, see VisaLink
    assume(fuzzed.kind != "visa" or is_one_answer(sent))
    due = number_of(sent)
    prompt = all(part == 0 for part in parts if isinstance(part, float))
    fuzzed.due += due is not None and prompt
    try:
        found = fuzzed.talk.number("FUZZ?")
    except TransportError as error:
        late = isinstance(error, ReplyTimeoutError)
        assert due is None or late, f"{sent!r} is a number, and was refused: {error}"
    else:
        assert found == due
        fuzzed.answered += prompt
    fuzzed.check_after(begin_s)


@CASES
@given(data=broken_blocks(), known=st.booleans())
def test_blocks(fuzzed: Fuzzed, data: bytes, known: bool) -> None:
    begin_s = time.monotonic()
    fuzzed.parts = [data]
    due = payload_of(data)
    size = len(due) if known and due is not None else None
    fuzzed.due += due is not None
    try:
        found = fuzzed.talk.transport.exchange("FUZZ?", lambda reply: reply.block(size))
    except TransportError as error:
        assert due is None or isinstance(error, ReplyTimeoutError), f"{data!r} is a block, and was refused: {error}"
    else:
        assert found == due
        fuzzed.answered += 1
    fuzzed.check_after(begin_s)
