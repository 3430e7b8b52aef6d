"""`pnnlab profile`."""

import json
from pathlib import Path

import pytest


def test_a_profile_accounts_for_a_simulated_bench(pnnlab, folder: Path) -> None:
    answer = pnnlab("profile", "--steps", "3", "--plot", "timeline.png")
    assert answer.code == 0, answer.err
    for text in ("small-table, simulated clock", "digits: physics_aware, batch 64", "predicted duty", "devices alone"):
        assert text in answer.out
    assert "Predicted. " in answer.out and "-0 s" not in answer.out
    assert (folder / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "runs").exists() and not (folder / "calibrations").exists(), "nothing is recorded"


def test_json_is_the_same_in_si_units(pnnlab) -> None:
    found = json.loads(pnnlab("profile", "--steps", "2", "--set", "batch=32", "--json").out)
    assert (found["steps"], found["batch"], found["shots"]) == (2, 32, 64)
    (system,) = found["systems"]
    # 30 ms of settling, 2 ms of exposure and a readout of 1 ms that no settling hides, per shot
    assert 30e-3 < system["shot_s"] < 35e-3
    assert found["hardware_s"] == pytest.approx(64 * system["shot_s"])
    predicted = found["predicted"]
    assert predicted["duty"] == pytest.approx(found["hardware_s"] / predicted["wall_s"])
    assert sum(predicted["parts_s"].values()) == pytest.approx(predicted["wall_s"])
    # nothing waits in simulated time: what the clock counts is what the devices need, and the first settling
    assert 64 * system["shot_s"] <= predicted["bench_s"] * (1 + 1e-9) < 66 * system["shot_s"]
    assert found["diagnosis"]["bound"] == "hardware"


def test_a_real_clock_is_measured(pnnlab, edit) -> None:
    edit("clock: simulated", "clock: real")
    edit("{ shape: [16, 16], bend:", '{ shape: [16, 16], settling: "0.1 ms", frame_rate: "1 kHz", bend:')
    found = json.loads(pnnlab("profile", "--steps", "2", "--set", "batch=32", "--json").out)
    assert found["clock"] == "real" and found["predicted"] is None
    assert 0 < found["duty"] < 1
    assert found["duty"] == pytest.approx(found["hardware_s"] / found["wall_s"])
    assert sum(found["parts_s"].values()) == pytest.approx(found["wall_s"])
    stages = {(stage["lane"], stage["stage"]) for stage in found["stages"]}
    assert {("bench", "expose"), ("host", "backward"), ("host", "optimiser")} <= stages


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--recipe", "nosuch"), 2, "nosuch"),
        (("--steps", "0"), 2, "steps"),
        (("--set", "batch=none"), 2, "batch"),
        (("--set", "method=in_silico", "--steps", "1"), 2, "takes no shots while it trains"),
        (("--steps", "1", "--plot", "picture.nosuch"), 2, "name a file ending in .png"),
    ],
)
def test_mistakes_are_told(pnnlab, arguments, code, told) -> None:
    answer = pnnlab("profile", *arguments)
    assert "Traceback" not in answer.err
    assert answer.code == code, answer.err
    assert told in answer.err
