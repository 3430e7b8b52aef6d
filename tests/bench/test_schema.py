"""The JSON schema for editors says what the reader says."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pnnlab.bench import Document, json_schema
from tests.bench.test_registry import Install, install

jsonschema = pytest.importorskip("jsonschema")

__all__ = ["install"]

GOOD = Path(__file__).parent / "bench.yaml"
ENTRY_POINTS = """
[pnnlab.drivers]
test-slm = tests.bench.stand_ins:Panel
test-camera = tests.bench.stand_ins:Eye
test-card = tests.bench.stand_ins:Card
test-supply = tests.bench.stand_ins:Supply
test-crash = tests.bench.crashes:Panel
[pnnlab.plants]
test-table = tests.bench.stand_ins:Table
"""


@pytest.fixture
def schema(install: Install) -> dict[str, Any]:
    install("test-drivers", ENTRY_POINTS)
    return json_schema()


@pytest.fixture
def data() -> dict[str, Any]:
    """Return the good file with installed drivers."""
    names = {"Panel": "test-slm", "Eye": "test-camera", "Card": "test-card", "Table": "test-table"}
    text = GOOD.read_text(encoding="utf-8")
    for name, driver in names.items():
        text = text.replace(f"tests.bench.stand_ins:{name}", driver)
    data = Document(text, file="bench.yaml").data
    assert isinstance(data, dict)
    return data


def errors(schema: dict[str, Any], data: object) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(data)]


def test_the_schema_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_good_files_fit(schema: dict[str, Any], data: dict[str, Any]) -> None:
    assert errors(schema, data) == []
    assert errors(schema, Document.load(GOOD).data) == [], "drivers by module:Class"


def test_a_driver_that_does_not_import_is_left_out(schema: dict[str, Any]) -> None:
    assert "test-slm" in str(schema)
    assert "test-crash" not in str(schema)


def test_defaults_are_such_as_a_file_can_hold(schema: dict[str, Any]) -> None:
    settle = schema["$defs"]["Options"]["properties"]["settle"]
    assert settle["type"] == "string"
    assert "default" not in settle, "0.001 without a unit would be refused"
    assert schema["$defs"]["Options"]["properties"]["fails"]["default"] == "never"


WRONG: dict[str, tuple[tuple[str, ...], object]] = {
    "unknown section": (("logging",), {}),
    "unknown clock": (("bench", "clock"), "fake"),
    "name with a space": (("bench", "name"), "my bench"),
    "device name with a dot": (("devices", "slm.1"), {"driver": "test-slm", "plant": "table"}),
    "no driver": (("devices", "x"), {"plant": "table"}),
    "unknown driver": (("devices", "slm", "driver"), "test-slmm"),
    "unknown option": (("devices", "slm", "options", "shpae"), [4, 4]),
    "option without unit": (("devices", "camera", "options", "settle"), 0.002),
    "option of another kind": (("devices", "slm", "options", "shape"), [4, "4"]),
    "quantity of another role": (("devices", "slm", "limits"), {"voltage": {"range": "±5 V"}}),
    "range as a list": (("devices", "slm", "limits", "level", "range"), [0, 255]),
    "serial as a number": (("devices", "slm", "identity", "serial"), 4711),
    "simulated device without plant": (("devices", "x"), {"driver": "test-slm"}),
    "real device with plant": (("devices", "x"), {"driver": "test-supply", "plant": "table"}),
    "option of the plant": (("plants", "table", "options", "wavelength"), 532),
    "negative seed": (("plants", "table", "seed"), -1),
    "unknown kind": (("systems", "optics", "kind"), "slm-cam"),
    "key of the system": (("systems", "optics", "exposure"), 0.001),
    "unknown key of the system": (("systems", "optics", "expsoure"), "1 ms"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_do_not_fit(schema: dict[str, Any], data: dict[str, Any], case: str) -> None:
    path, value = WRONG[case]
    wrong = copy.deepcopy(data)
    here = wrong
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    assert errors(schema, wrong)
