import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.errors import RunError
from pnnlab.runs import JsonValue
from pnnlab.runs._json import decode, encode, plain

RESERVED = {"NaN", "Infinity", "-Infinity"}
# lone surrogates are what a command line with undecodable bytes holds
TEXTS = st.text(st.characters(exclude_categories=())).filter(lambda text: text not in RESERVED)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(left: object, right: object) -> bool:
    """Compare by type and value; NaN equals NaN, 1 does not equal 1.0 or True."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or (
            left == right and math.copysign(1, left) == math.copysign(1, right)
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


@given(VALUES)
def test_what_is_written_is_read_back(value: JsonValue) -> None:
    assert same(decode(encode(value)), value)


@given(VALUES)
def test_the_text_is_json_for_the_strictest_reader(value: JsonValue) -> None:
    def refuse(token: str) -> float:
        raise AssertionError(f"{token} is no JSON")

    json.loads(encode(value), parse_constant=refuse)


@given(VALUES)
def test_one_value_is_one_line(value: JsonValue) -> None:
    assert b"\n" not in encode(value)
    assert b"\r" not in encode(value)


@pytest.mark.parametrize(
    ("number", "text"), [(math.nan, b'"NaN"'), (math.inf, b'"Infinity"'), (-math.inf, b'"-Infinity"')]
)
def test_non_finite_numbers_are_texts_in_the_file(number: float, text: bytes) -> None:
    assert encode(number) == text


@pytest.mark.parametrize("text", sorted(RESERVED))
def test_a_text_that_would_come_back_as_a_number_is_refused(text: str) -> None:
    with pytest.raises(RunError, match=r"lists\[1\]\.key: the text .* stands for a number"):
        plain({"lists": [0, {"key": text}]}, "configuration")


def test_numpy_scalars_and_tuples_become_plain() -> None:
    values: dict[str, JsonValue] = {"a": (np.float32(0.1), np.int64(3)), "b": np.float64(-np.inf)}  # type: ignore[dict-item]
    found = plain(values, "configuration")
    assert same(found, {"a": [float(np.float32(0.1)), 3], "b": -math.inf})


@pytest.mark.parametrize(
    ("value", "kind"), [(np.zeros(2), "ndarray"), ({1, 2}, "set"), (b"x", "bytes"), (1j, "complex")], ids=str
)
def test_foreign_types_are_refused_by_place_and_type(value: JsonValue, kind: str) -> None:
    with pytest.raises(RunError, match=rf"configuration\.deep\[0\]: a {kind} is no JSON value"):
        plain({"deep": [value]}, "configuration")


def test_keys_are_texts() -> None:
    wrong: dict[str, JsonValue] = {"table": {1: 2}}  # type: ignore[dict-item]
    with pytest.raises(RunError, match=r"configuration\.table: 1 is a key"):
        plain(wrong, "configuration")
