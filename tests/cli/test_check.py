"""`pnnlab check`."""

import json
from pathlib import Path

import pytest

BROKEN = sorted((Path(__file__).parents[1] / "bench" / "broken").iterdir())


def test_a_sound_file_is_summarised(pnnlab) -> None:
    answer = pnnlab("check")
    assert answer.code == 0
    assert answer.err == ""
    for word in ("no problems", "small-table", "table", "slm", "camera", "optics (slm-camera)", "fitted", "hash"):
        assert word in answer.out


def test_no_device_is_touched(pnnlab, edit) -> None:
    # a device with another serial number is found out by opening it
    edit("serial: SIM-CAM-1", "serial: ANOTHER")
    assert pnnlab("check").code == 0
    assert pnnlab("devices").code == 3


def test_problems_of_bench_and_recipes_are_told_together(pnnlab, edit) -> None:
    edit("clock: simulated", "clock: simulatd")
    edit("checkpoint_every: 2", "checkpoint_evry: 2")
    answer = pnnlab("check")
    assert answer.code == 2
    assert answer.out == ""
    assert "2 problems" in answer.err
    assert "instruments.yaml:3: bench.clock" in answer.err
    assert "training.digits.checkpoint_evry" in answer.err
    assert "'checkpoint_every'" in answer.err


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_the_file_can_be_named(pnnlab, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    (folder / "instruments.yaml").rename(folder / "other.yaml")
    if how == "variable":
        monkeypatch.setenv("PNNLAB_BENCH", "other.yaml")
    assert pnnlab("check", *(["other.yaml"] if how == "argument" else [])).code == 0


def test_the_schema_knows_recipes(pnnlab) -> None:
    answer = pnnlab("check", "--schema")
    assert answer.code == 0
    schema = json.loads(answer.out)
    assert "learning_rate" in schema["$defs"]["Recipe"]["properties"]
    assert schema["properties"]["training"]["additionalProperties"] == {"$ref": "#/$defs/Recipe"}


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.name)
def test_a_broken_file_ends_with_code_2_and_without_a_traceback(pnnlab, file: Path) -> None:
    answer = pnnlab("check", str(file))
    assert answer.code == 2
    assert answer.out == ""
    assert file.name in answer.err and "problem" in answer.err
    assert "Traceback" not in answer.err
