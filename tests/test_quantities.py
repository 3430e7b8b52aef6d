"""Text with a unit in, SI numbers out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pnnlab.quantities import FROM_FILE, Edges, FrozenModel, Numbers, Seconds, parse_quantity, parse_range


class Exposure(FrozenModel):
    exposure_s: Seconds = 2e-3


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("16.7 ms", "s", 16.7e-3), ("10 us", "s", 1e-5), ("5us", "s", 5e-6), ("5 µs", "s", 5e-6), ("60 Hz", "Hz", 60),
        ("8 kHz", "Hz", 8e3), ("-1.8 V", "V", -1.8), ("2.5e-3 mV", "V", 2.5e-6), ("25 uS", "S", 25e-6),
        ("1 kohm", "ohm", 1e3), ("10 V/s", "V/s", 10), ("1 uS/s", "S/s", 1e-6), ("180 degree", "rad", math.pi),
        ("255", "", 255), ("1 inch", "m", 0.0254),
    ],
)  # fmt: skip
def test_reads_what_it_says_to_the_last_bit(text: str, unit: str, value: float) -> None:
    # a unit's own factor may be irrational (degrees): one rounding more
    assert parse_quantity(text, unit) == (pytest.approx(value, rel=1e-15) if "degree" in text else value)


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "V",
        "",
        "1,5 V",
        "1 V 2",
        "2 V - 1 V",
        "2*3 V",
        "9**9**9**9 V",
        "1e999 V",
        "nan V",
        "inf V",
        "5 s",
        "5 Vlt",
        "1__0 V",
    ],
)
def test_refuses_everything_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|finite"):
        parse_quantity(text, "V")


@given(st.text(max_size=30))
def test_never_anything_but_a_number_or_a_refusal(text: str) -> None:
    try:
        assert math.isfinite(parse_quantity(text, "V"))
    except ValueError as error:
        assert "write" in str(error)


@given(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), st.sampled_from(["V", "mV", "kV"]))
def test_prefixes_scale(number: float, unit: str) -> None:
    factor = {"V": 1, "mV": 1e-3, "kV": 1e3}[unit]
    assert parse_quantity(f"{number!r} {unit}", "V") == pytest.approx(number * factor, rel=1e-15)


def test_ranges() -> None:
    assert parse_range("±5 V", "V") == (-5, 5)
    assert parse_range("+/-10 mV", "V") == (-0.01, 0.01)
    assert parse_range("0 to 255", "") == (0, 255)
    assert parse_range("-1 V to 1.8 V", "V") == (-1, 1.8)
    for wrong in ("5 V", "5 V to 1 V", "0 to 5 V", "to"):
        with pytest.raises(ValueError, match="write"):
            parse_range(wrong, "V")


def test_a_bare_number_is_for_python_only() -> None:
    assert Exposure(exposure_s=0.5).exposure_s == 0.5
    assert Exposure.model_validate({"exposure": "3 ms"}, context=FROM_FILE).exposure_s == 3e-3
    with pytest.raises(ValueError, match=r"the number 3 has no unit; write it in s, as '16\.7 ms'"):
        Exposure.model_validate({"exposure": 3}, context=FROM_FILE)


def test_two_fields_of_one_name_in_a_file_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"'gain' and 'gain_v' are both written 'gain'.*rename one"):

        class Ambiguous(FrozenModel):
            gain: float
            gain_v: float

    class First(FrozenModel):
        settle_s: float

    with pytest.raises(TypeError, match="'settle_s' and 'settle_m' are both written 'settle'"):

        class Second(First):
            settle_m: float


class Graph(FrozenModel):
    channels: Numbers
    edges: Edges


def test_numbers_and_edges_are_also_text() -> None:
    graph = Graph.model_validate({"channels": "0-2, 7", "edges": ["0-1 x 2-3", [4, 5]]})
    assert graph.channels == (0, 1, 2, 7)
    assert graph.edges == ((0, 2), (0, 3), (1, 2), (1, 3), (4, 5))
    assert Graph.model_validate({"channels": [3], "edges": "1 x 2"}) == Graph(channels=(3,), edges=((1, 2),))


@pytest.mark.parametrize(("channels", "edges", "told"), [
    ("3-1", [], "'3-1' are no numbers"), ("a", [], "'a' are no numbers"), ("-1", [], "are no numbers"),
    ([-1], [], "greater than or equal to 0"), ([0], ["1-2"], "'1-2' joins nothing"), ([0], 7, "valid tuple"),
])  # fmt: skip
def test_what_is_neither_is_refused(channels: object, edges: object, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Graph.model_validate({"channels": channels, "edges": edges})
