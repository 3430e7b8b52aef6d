"""`pnnlab compare`: methods side by side, stopped and resumed, and what the report says."""

import json
import shutil
from pathlib import Path

from pnnlab.runs import Run, list_runs
from pnnlab.training import read_comparison, read_trials


def run_compare(pnnlab, *more: str):  # type: ignore[no-untyped-def]
    chosen = ("--methods", "physics_aware,in_silico", "--seeds", "0,1", "--shots", "4000", "--points", "4")
    return pnnlab("compare", *chosen, "--set", "batch=50", *more)


def test_methods_are_ranked_and_the_report_says_so(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    answer = run_compare(pnnlab)
    assert answer.code == 0, answer.err
    assert "4 of 4: in_silico, seed 1, equal shots: test accuracy" in answer.err
    path = list_runs(folder / "runs")[0]
    found = read_comparison(path)
    assert {one.method for one in found.results} == {"physics_aware", "in_silico"}
    assert found.results[0].accuracy.mean >= found.results[1].accuracy.mean
    aware = next(one for one in found.results if one.method == "physics_aware")
    silico = next(one for one in found.results if one.method == "in_silico")
    assert aware.accuracy.n == 2 and 0.5 < aware.alignment.mean <= 1
    # a step takes 50 samples twice through the optics, a validation 100
    assert 4000 - (100 + 200) < aware.shots.mean <= 4000
    assert all(4 <= len(curve.accuracy) < 8 and 4 <= len(curve.alignment) < 8 for curve in aware.curves)
    assert silico.shots.mean == 0 and not any(curve.accuracy for curve in silico.curves)
    steps = [
        len(Run.open(path / trial.run).metrics()) for trial in read_trials(path) if trial.method == "physics_aware"
    ]
    recipe = Run.open(path / read_trials(path)[0].run).record.configuration["recipe"]
    assert isinstance(recipe, dict) and steps[0] <= recipe["max_steps"] <= steps[0] + 2
    page = (path / "report.html").read_text(encoding="utf-8")
    assert "physics_aware is best" in page or "in_silico is best" in page
    assert page.count("<svg") == 3 and "declares no `power`" in page
    assert (path / "report.csv").read_text().count("\n") == 3


def test_what_was_stopped_goes_on_and_what_is_done_stays(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    assert run_compare(pnnlab).code == 0
    path = list_runs(folder / "runs")[0]
    trials = read_trials(path)
    whole = {trial.run: trial.result for trial in trials}
    entries = json.loads((path / "trials.json").read_text())
    shutil.rmtree(path / trials[1].run)
    entries[1] |= {"run": "", "result": None}
    (path / "trials.json").write_text(json.dumps(entries))
    answer = pnnlab("compare", "--resume", "latest", "--json")
    assert answer.code == 0, answer.err
    assert answer.err.count("test accuracy") == 1
    again = read_trials(path)
    assert [trial.result for trial in again if trial.run in whole] == [whole[t.run] for t in again if t.run in whole]
    assert again[1].result is not None
    assert again[1].result["test_accuracy"] == list(whole.values())[1]["test_accuracy"]


def test_energy_is_told_where_devices_declare_their_power(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    path = folder / "instruments.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count("plant: table") == 2
    path.write_text(text.replace("plant: table", 'plant: table\n    power: "10 W"'), encoding="utf-8")
    answer = pnnlab(
        "compare", "--methods", "physics_aware", "--seeds", "0", "--bench-time", "30 s", "--set", "batch=50", "--json"
    )
    assert answer.code == 0, answer.err
    (result,) = json.loads(answer.out)["results"]
    assert result["energy_j"]["mean"] == 20 * result["bench_s"]["mean"] > 0


def test_a_failing_training_is_told_and_the_others_go_on(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab(
        "compare", "--methods", "physics_aware,in_silico", "--seeds", "0", "--shots", "2000", "--set", "batch=50",
        "--set", "learning_rate=1e30", "--set", "network.readout_gain=1e30",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "RunError" in answer.err + answer.out
    assert "lower `learning_rate`" in answer.out + answer.err


def test_what_cannot_be_compared_is_refused(pnnlab) -> None:  # type: ignore[no-untyped-def]
    assert "give what each training may spend" in pnnlab("compare").err
    answer = pnnlab("compare", "--methods", "magic", "--shots", "100")
    assert answer.code == 2 and "method 'magic' is not known" in answer.err
    answer = pnnlab("compare", "--bench-time", "7", "--shots", "100")
    assert answer.code == 2 and "--bench-time" in answer.err


def test_sweeps_train_on_scaled_benches(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab(
        "compare", "--methods", "in_silico", "--seeds", "0", "--shots", "100", "--set", "epochs=3",
        "--sweep", "mismatch=0,4", "--sweep", "noise=0,1",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    path = list_runs(folder / "runs")[0]
    found = read_comparison(path)
    mismatch = found.sweeps["mismatch"]["in_silico"]
    assert mismatch[0.0].mean > mismatch[4.0].mean  # the design is the truth where there is no mismatch
    assert set(found.sweeps["noise"]["in_silico"]) == {0.0, 1.0}
    assert "mismatch times" in answer.out
    assert "Robustness" in (path / "report.html").read_text(encoding="utf-8")
    answer = pnnlab("compare", "--shots", "100", "--sweep", "luck=1")
    assert answer.code == 2 and "mismatch, noise, drift" in answer.err


def test_a_step_that_costs_more_than_the_budget_is_told(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    answer = pnnlab(
        "compare", "--methods", "finite_differences", "--seeds", "0", "--shots", "1000", "--set", "batch=50"
    )
    assert answer.code == 0, answer.err
    assert "one step takes" in answer.out + answer.err and "shots, the budget is 1000" in answer.out + answer.err


def test_all_are_those_that_the_recipe_can_run(pnnlab, folder: Path) -> None:  # type: ignore[no-untyped-def]
    """Without a twin those that need one are left out; one shot is too few for the others, which they say."""
    answer = pnnlab(
        "compare", "--seeds", "0", "--shots", "1", "--points", "1", "--set", "twins={}", "--set", "method=spsa"
    )
    trials = read_trials(list_runs(folder / "runs")[0])
    methods = {trial.method for trial in trials}
    assert {"spsa", "reservoir", "cma_es"} <= methods
    assert not methods & {"physics_aware", "in_silico", "dual_adaptive", "tiki_taka"}
    assert all("one step takes" in trial.failure for trial in trials), answer.err
