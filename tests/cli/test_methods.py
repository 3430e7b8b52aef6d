"""`pnnlab methods`: what there is, what a bench allows, and what was measured of it."""

import json
from pathlib import Path

import pytest


def test_a_bench_is_told_what_it_allows_and_what_it_lacks(pnnlab) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab("methods", "--bench", "instruments.yaml")
    assert answer.code == 0, answer.err
    rows = {line.split()[0]: line for line in answer.out.splitlines() if line}
    assert rows["physics_aware"].split()[1] == "runs"
    assert "closed" in rows["state_separation"]
    assert "system 'optics' (slm-camera) lacks internal_state" in rows["state_separation"]


def test_without_a_twin_methods_that_need_one_are_told_apart(pnnlab) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab("methods", "--bench", "instruments.yaml", "--set", "method=spsa", "--set", "twins={}", "--json")
    methods = json.loads(answer.out)["instruments.yaml"]["methods"]
    assert methods["physics_aware"]["openness"] == "needs a twin"
    assert "optics" in methods["physics_aware"]["reason"]
    assert methods["spsa"]["openness"] == "runs"


def test_several_benches_make_a_matrix_with_what_each_lacks(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    text = (folder / "instruments.yaml").read_text(encoding="utf-8")
    (folder / "other.yaml").write_text(text.replace("small-table", "other-table"), encoding="utf-8")
    answer = pnnlab("methods", "--bench", "instruments.yaml", "--bench", "other.yaml")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].split() == ["method", "instruments", "other"]
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["spsa"] == ["runs", "runs"]
    (number,) = set(rows["state_separation"])
    assert f"{number}  lacks internal_state" in lines


def test_a_bench_of_forward_passes_only_has_nothing_to_measure(pnnlab) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab("methods", "--measure", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["instruments.yaml"]
    assert found["conditions"] == []
    assert found["shots"] == 0
    assert found["methods"]["state_separation"]["openness"] == "closed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spsa", "--measure"), "leave out NAME"),
        (("--measure", "--bench", "a.yaml", "--bench", "b.yaml"), "one bench at a time"),
        (("--bench", "nowhere.yaml"), "nowhere.yaml"),
        (("--bench", "instruments.yaml", "--recipe", "nothing"), "nothing"),
    ],
)
def test_what_cannot_be_told_is_refused(pnnlab, arguments: tuple[str, ...], message: str) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab("methods", *arguments)
    assert answer.code
    assert message in answer.err
    assert "Traceback" not in answer.err
