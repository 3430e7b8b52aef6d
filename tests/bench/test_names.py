"""Names, and the nearest right one to a wrong one."""

import pytest

from pnnlab.bench import BenchLookupError, NamedMapping
from pnnlab.bench._names import is_name, suggest
from pnnlab.errors import PnnlabError


@pytest.mark.parametrize("name", ["slm", "SLM-2", "a_b", "7"])
def test_names_of_letters_digits_dash_and_underscore(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "slm\n", "größe", "../x"])
def test_other_names(name: str) -> None:
    assert not is_name(name)


def test_the_nearest_name_is_found_whatever_the_case() -> None:
    assert suggest("sim-SLMM", ["sim-slm", "sim-camera"], noun="drivers") == "did you mean 'sim-slm'?"


def test_without_a_near_name_all_are_listed_up_to_a_bound() -> None:
    assert suggest("x", ["b", "a"], noun="drivers") == "drivers are a, b"
    assert suggest("x", [], noun="drivers") == "there are no drivers"
    many = suggest("x", [f"driver-{i:03}" for i in range(100)], noun="drivers")
    assert many.endswith("driver-015 and 84 more")


def test_a_mapping_answers_a_wrong_name_helpfully() -> None:
    mapping = NamedMapping("device", {"slm": 1, "camera": 2})
    with pytest.raises(BenchLookupError, match=r"^no device is named 'slmm'; did you mean 'slm'\?$") as caught:
        mapping["slmm"]
    assert isinstance(caught.value, PnnlabError)
    assert not isinstance(caught.value, KeyError), "its text would be shown in quotes"


def test_a_mapping_is_a_mapping() -> None:
    mapping = NamedMapping("device", {"slm": 1, "camera": 2})
    assert dict(mapping) == {"slm": 1, "camera": 2}
    assert ("slm" in mapping, "dac" in mapping, len(mapping)) == (True, False, 2)
    assert list(mapping.values()) == [1, 2]


def test_get_has_a_default() -> None:
    mapping = NamedMapping("device", {"slm": 1})
    assert mapping.get("slm") == 1
    assert mapping.get("dac") is None
    assert mapping.get("dac", 7) == 7
