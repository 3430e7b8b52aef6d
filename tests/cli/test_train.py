"""`pnnlab train`, `pnnlab twin fit` and `pnnlab methods`."""

import json
import statistics
from pathlib import Path

import pytest

from pnnlab.runs import Run, list_runs


def test_training_tells_epochs_and_result(pnnlab, folder: Path) -> None:
    answer = pnnlab("train")
    assert answer.code == 0, answer.err
    assert [line[:8] for line in answer.err.splitlines() if line.startswith("epoch")] == ["epoch 1:", "epoch 2:"]
    run = Run.open(list_runs(folder / "runs")[0])
    assert run.status == "finished"
    assert f"{run.record.summary['test_accuracy']:.4f} on the bench" in answer.out
    assert "all epochs are done" in answer.out
    assert str(run.path.relative_to(folder)) in answer.out


def test_options_change_the_recipe(pnnlab, folder: Path) -> None:
    answer = pnnlab(
        "train", "--method", "in_silico", "--seed", "5", "--epochs", "1", "--shots", "900",
        "--set", "batch=100", "--set", "network.readout_gain=4", "--set", "task.validation=50", "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["steps"] == 4  # 1797 - 1400 - 50 = 347 samples, 100 a step
    record = Run.open(list_runs(folder / "runs")[0]).record
    recipe = record.configuration["recipe"]
    assert recipe["method"] == "in_silico"
    assert recipe["budget_shots"] == 900
    assert recipe["network"]["readout_gain"] == 4
    assert recipe["network"]["layers"] == ["optics"]
    assert record.seed == 5


def test_seeds_give_mean_and_sample_standard_deviation(pnnlab, folder: Path) -> None:
    answer = pnnlab("train", "--seeds", "0,1,2", "--epochs", "1")
    assert answer.code == 0, answer.err
    records = [Run.open(path).record for path in list_runs(folder / "runs")]
    assert [record.seed for record in records] == [0, 1, 2]
    found = [record.summary["test_accuracy"] for record in records]
    assert f"{statistics.mean(found):.4f} ± {statistics.stdev(found):.4f}" in answer.out


def test_seeds_that_are_done_are_told_when_a_later_one_fails(pnnlab) -> None:
    # a seed below zero is refused by the recipe
    answer = pnnlab("train", "--seeds", "0,-1", "--epochs", "1", "--json")
    assert answer.code == 2
    assert [entry["seed"] for entry in json.loads(answer.out)] == [0]
    assert "seed: -1" in answer.err


def test_fitting_tells_how_good_the_twin_is_and_where_it_lies(pnnlab, folder: Path) -> None:
    answer = pnnlab("twin", "fit", "fitted", "--shots", "128")
    assert answer.code == 0, answer.err
    assert "held-out R²" in answer.out
    run = list_runs(folder / "runs")[0]
    for name in ("twin-optics.png", "shots-optics.nc", "checkpoints/twins.pt"):
        assert (run / name).is_file()
        assert str(Path("runs") / run.name / name) in answer.out
    assert Run.open(run).record.configuration["recipe"]["fit"]["shots"] == 128
    assert pnnlab("train", "--resume", "latest").code == 2
    assert "nothing to learn" not in answer.out


def test_a_recipe_without_fit_says_how_to_add_it(pnnlab) -> None:
    answer = pnnlab("twin", "fit", "digits")
    assert answer.code == 2
    assert "fit" in answer.err


REFUSED = {
    "recipe": (["digitz"], "digits, fitted"),
    "method": (["--method", "physics_awar"], "did you mean 'physics_aware'?"),
    "key": (["--set", "epoch=3"], "did you mean 'epochs'?"),
    "value": (["--set", "learning_rate=-1"], "learning_rate: -1"),
    "deep value": (["fitted", "--set", "fit.shots=none"], "fit.shots: 'none'"),
    "system": (["--set", "network.layers=[optix]"], "did you mean 'optics'?"),
    "no assignment": (["--set", "epochs"], "as batch=32"),
    "yaml": (["--set", "task={kind"], "--set task"),
    "twice": (["--epochs", "3", "--set", "epochs=4"], "epochs is given twice"),
    "seed twice": (["--seeds", "1,2", "--seed", "1"], "--seed"),
    "seeds": (["--seeds", "1;2"], "1;2"),
    "resume": (["--resume", "latest", "--epochs", "3"], "own recipe"),
    "no run": (["--resume", "latest"], "there is no run"),
    "no file": (["--bench", "none.yaml"], "none.yaml"),
    "option": (["--epoch", "3"], "--epochs"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_wrong_input_is_refused_before_a_run_begins(pnnlab, folder: Path, arguments: list[str], words: str) -> None:
    answer = pnnlab("train", *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert not (folder / "runs").exists()


def test_a_bug_is_called_one(pnnlab, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("pnnlab.training.train", broken)
    answer = pnnlab("train")
    assert answer.code == 1
    assert "ZeroDivisionError: of nothing" in answer.err
    assert "Traceback" not in answer.err


def test_methods_are_listed(pnnlab) -> None:
    methods = {entry["name"]: entry for entry in json.loads(pnnlab("methods", "--json").out)}
    assert methods["physics_aware"]["needs_twin"] is True
    table = pnnlab("methods").out
    assert all(name in table for name in methods)


def test_twins_are_checked_as_designed_and_where_a_run_stands(pnnlab, folder: Path) -> None:
    answer = pnnlab("twin", "check", "--directions", "6", "--samples", "8", "--plot", "check.png")
    assert answer.code == 0, answer.err
    assert "controls" in answer.out and "inputs" in answer.out and (folder / "check.png").stat().st_size > 10_000
    assert pnnlab("train", "--epochs", "1").code == 0
    answer = pnnlab("twin", "check", "--run", "latest", "--directions", "6", "--samples", "8", "--json")
    assert answer.code == 0, answer.err
    facts = json.loads(answer.out)
    assert facts["step"] > 0 and facts["found"][0]["system"] == "optics"
    assert -1 < facts["found"][0]["cosine"] < 1.5


def test_a_twin_that_is_still_to_be_fitted_says_what_to_do(pnnlab) -> None:
    answer = pnnlab("twin", "check", "fitted")
    assert answer.code == 2 and "pnnlab twin check --run latest" in answer.err
    answer = pnnlab("twin", "check", "--run", "latest", "--set", "seed=1")
    assert answer.code == 2 and "--run goes by the run's own recipe" in answer.err
