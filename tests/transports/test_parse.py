"""What the texts of instruments mean, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.devices import Identity
from pnnlab.errors import GarbledError, NotANumberError, NotAsciiError, OverloadError, ReplyError, TerminatorError
from pnnlab.transports import decode_text, parse_identity, parse_integer, parse_number, parse_numbers

NUMBERS = [
    ("1", 1.0), ("+1.50000000E+00", 1.5), (" -2.5 ", -2.5), (".5", 0.5), ("5.", 5.0), ("-0", 0.0), ("1e-3", 1e-3),
    ("9.8999E37", 9.8999e37),
]  # fmt: skip

REFUSED = [
    ("", GarbledError), ("x", GarbledError), ("1.5V", GarbledError), ("1,5", GarbledError), ("1 5", GarbledError),
    ("1.5.2", GarbledError), ("--1", GarbledError), ("0x10", GarbledError), ("1_000", GarbledError),
    ("1e", GarbledError),
    ("VOLT 1.5", GarbledError), ("\u0661", GarbledError), ("1\u00a0", GarbledError), ("1\t", GarbledError),
    ("NaN", NotANumberError), ("9.91E37", NotANumberError), ("+9.910000E+37", NotANumberError),
    ("9.9E37", OverloadError), ("-9.9E37", OverloadError), ("+9.90000000E+37", OverloadError), ("INF", OverloadError),
    ("-Infinity", OverloadError), ("1e999", OverloadError), ("1e38", OverloadError),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers(text: str, number: float) -> None:
    assert parse_number(text, who="dac") == number


@pytest.mark.parametrize(("text", "error"), REFUSED)
def test_what_is_no_number(text: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^dac: .*VOLT\?"):
        parse_number(text, who="dac", asked="VOLT?")


@given(st.floats(-9e37, 9e37))
def test_every_number_comes_back(number: float) -> None:
    for text in (repr(number), f"{number:+.17E}"):
        assert parse_number(text, who="dac") == number


@given(st.text())
def test_no_text_becomes_another_number_than_python_reads(text: str) -> None:
    try:
        number = parse_number(text, who="dac")
    except ReplyError:
        return
    assert number == float(text)


def test_numbers_between_commas() -> None:
    assert parse_numbers("1.0,-2E-3, 3", 3, who="dac") == [1.0, -2e-3, 3.0]
    with pytest.raises(GarbledError, match="has 2 numbers, 3 are due"):
        parse_numbers("1,2", 3, who="dac")
    with pytest.raises(OverloadError):
        parse_numbers("1,9.9E37", who="dac")


def test_whole_numbers() -> None:
    assert parse_integer("+32", who="dac") == 32
    for text in ("3.0", "1e2", "", "0x3", "٣"):
        with pytest.raises(GarbledError):
            parse_integer(text, who="dac")


def test_identities() -> None:
    assert parse_identity(
        "KEITHLEY INSTRUMENTS INC.,MODEL 2400, 1234567 ,C30 Mar 17 2006/A02 ,x", who="smu"
    ) == Identity("KEITHLEY INSTRUMENTS INC.", "MODEL 2400", "1234567", "C30 Mar 17 2006/A02 ,x")
    assert parse_identity("ACME,X", who="smu") == Identity("ACME", "X", "", "")
    for text in ("", "NOP", ",,", "ACME,"):
        with pytest.raises(GarbledError, match="no identity"):
            parse_identity(text, who="smu")


def test_texts() -> None:
    assert decode_text(b"a\tb c", who="dac") == "a\tb c"
    assert decode_text(b"", who="dac") == ""
    assert decode_text(b"5 \xb5V", who="dac", encoding="latin-1") == "5 µV"
    for line, error in [
        (b"1.5\r", TerminatorError),
        (b"1.5\0", TerminatorError),
        (b"1\r.5", GarbledError),
        (b"\x1b[1m", GarbledError),
        (b"1.\xb5", NotAsciiError),
    ]:
        with pytest.raises(error, match=r"^dac: the reply"):
            decode_text(line, who="dac")
