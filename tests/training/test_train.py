"""A recorded training: it learns, it stops when told, and a killed one goes on to the same numbers."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pnnlab.bench import Bench
from pnnlab.calibration import Settling, SettlingOptions
from pnnlab.errors import BenchFileError, RunError
from pnnlab.runs import Run, list_runs
from pnnlab.training import (
    Progress,
    Watcher,
    build_model,
    build_twins,
    deploy,
    fit_only,
    linear_on_inputs,
    linear_on_physics,
    load_task,
    read_recipe,
    resume_training,
    train,
)

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


class StopAfter(Watcher):
    """Ends the process's work after a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, progress: Progress) -> None:
        if progress.step == self.at:
            raise KeyboardInterrupt


def numbers(path: Path) -> list[object]:
    """Return all logged numbers but the wall time, which no run repeats."""
    return [{**line, "wall_s": 0.0} for line in Run.open(path).metrics()]


def test_training_learns_and_its_record_says_everything(tmp_path: Path) -> None:
    outcome = train(SMALL, changes={"epochs": 6, "batch": 64}, root=tmp_path)
    assert outcome.test_accuracy > 0.5  # ten classes; untrained is 0.1
    run = Run.open(outcome.run)
    assert run.status == "finished"
    record = run.record
    assert record.summary["test_accuracy"] == outcome.test_accuracy
    assert record.configuration["recipe"]["epochs"] == 6  # type: ignore[index, call-overload]
    assert (outcome.run / "instruments.yaml").read_text() == SMALL.read_text()
    assert record.devices["slm"]
    # every sample twice through the optics in training, validation each epoch, and the test
    assert outcome.shots == 2 * (6 * (1247 + 100) + 450)
    assert len(run.metrics()) == outcome.steps == 6 * 20


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 7, 9])
def test_stopped_between_any_two_steps_it_resumes_to_the_same_numbers(stop: int, tmp_path: Path) -> None:
    """Steps 1 lies before the first checkpoint, 5 at an epoch's end, 2 on a checkpoint, 3 between two."""
    whole = train(SMALL, root=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, root=tmp_path / "cut", watcher=StopAfter(stop))
    (folder,) = list_runs(tmp_path / "cut")
    assert Run.open(folder).status == "interrupted"
    again = resume_training(folder)
    assert numbers(folder) == numbers(whole.run)
    assert replace(again, run=whole.run) == whole
    last = [torch.load(run / "checkpoints" / "last.pt", weights_only=True)["model"] for run in (folder, whole.run)]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


def test_a_run_keeps_the_calibrations_it_began_with_and_resumes_by_them(tmp_path: Path) -> None:
    file = tmp_path / "instruments.yaml"
    # one pattern at a time: there the settling time decides when a frame is taken, and so the bench time of every step
    slow = SMALL.read_text().replace('flatness: "0.2 rad"', 'sequence_memory: 0, flatness: "0.2 rad"')
    file.write_text(slow, encoding="utf-8")
    few = {"max_steps": 5}  # each pattern is written and read alone: a step is slow
    by_data_sheet = train(file, changes=few, root=tmp_path / "before")
    with Bench.from_file(file) as bench:
        quick = SettlingOptions(patterns=4, averages=4)
        record = bench.store.add(Settling().run(bench.systems["optics"], quick))
    whole = train(file, changes=few, root=tmp_path / "whole")
    assert whole.bench_s != pytest.approx(by_data_sheet.bench_s, rel=1e-3)
    (kept,) = Run.open(whole.run).record.calibrations
    assert isinstance(kept, dict) and (kept["id"], kept["kind"]) == (record.id, "settling")
    assert kept["values"]["settle_s"] == str(record.values["settle_s"])  # type: ignore[index, call-overload]
    with pytest.raises(KeyboardInterrupt):
        train(file, changes=few, root=tmp_path / "cut", watcher=StopAfter(3))
    shutil.rmtree(tmp_path / "calibrations")
    (folder,) = list_runs(tmp_path / "cut")
    again = resume_training(folder)
    assert replace(again, run=whole.run) == whole and numbers(folder) == numbers(whole.run)
    assert Run.open(folder).record.calibrations == Run.open(whole.run).record.calibrations
    assert Run.open(by_data_sheet.run).record.calibrations == ()


def test_a_fitted_twin_is_not_fitted_again(tmp_path: Path) -> None:
    whole = train(SMALL, "fitted", root=tmp_path / "whole")
    assert whole.fits["optics"].r2_total > 0.3
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, "fitted", root=tmp_path / "cut", watcher=StopAfter(3))
    (folder,) = list_runs(tmp_path / "cut")
    again = resume_training(folder)
    assert replace(again, run=whole.run, fits=whole.fits) == whole


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's; the test above stops a run everywhere")
def test_killed_without_warning_it_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    whole = train(SMALL, root=tmp_path / "whole")
    script = (
        "import os, signal, sys; from pathlib import Path; from pnnlab.training import Watcher, train\n"
        "class Kill(Watcher):\n"
        "    def step(self, progress):\n"
        "        if progress.step == 7: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"train(Path({str(SMALL)!r}), root=Path({str(tmp_path / 'cut')!r}), watcher=Kill())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    (folder,) = list_runs(tmp_path / "cut")
    assert Run.open(folder).status == "interrupted"
    again = resume_training(folder)
    assert numbers(folder) == numbers(whole.run)
    assert replace(again, run=whole.run) == whole


def test_seed_decides_everything(tmp_path: Path) -> None:
    one, same, other = (train(SMALL, changes={"seed": seed}, root=tmp_path) for seed in (3, 3, 4))
    assert numbers(one.run) == numbers(same.run) != numbers(other.run)


def test_in_silico_spends_no_shot_before_the_test(tmp_path: Path) -> None:
    outcome = train(SMALL, changes={"method": "in_silico"}, root=tmp_path)
    assert outcome.shots == 2 * 450


def test_budget_of_shots_stops_training(tmp_path: Path) -> None:
    outcome = train(SMALL, changes={"budget_shots": 1600, "epochs": 50}, root=tmp_path)
    assert outcome.stopped_because.startswith("the budget of 1600 shots is spent")
    assert outcome.steps == 3  # 500 shots a step
    assert resume_refused(outcome.run, "it is finished")


def test_patience_stops_training(tmp_path: Path) -> None:
    outcome = train(SMALL, changes={"patience": 1, "epochs": 50, "learning_rate": 1e-9}, root=tmp_path)
    assert outcome.stopped_because.startswith("validation accuracy has not improved for 1 epochs")
    assert outcome.steps < 100


def resume_refused(folder: Path, message: str) -> bool:
    with pytest.raises(RunError, match=message):
        resume_training(folder)
    return True


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    folder, _ = fit_only(SMALL, "fitted", root=tmp_path / "fit")
    assert resume_refused(folder, r"a run of the kind 'fit'; only trainings can be resumed")
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, root=tmp_path / "cut", watcher=StopAfter(3))
    (cut,) = list_runs(tmp_path / "cut")
    text = (cut / "instruments.yaml").read_text()
    (cut / "instruments.yaml").write_text(text.replace("medium_mismatch: 0.2", "medium_mismatch: 0.3"))
    assert resume_refused(cut, r"its copy of the bench file, or a driver's defaults, changed")
    (cut / "instruments.yaml").write_text(text)
    for name in ("last.pt", "last.previous.pt"):
        (cut / "checkpoints" / name).write_bytes(b"\x80junk")
    assert resume_refused(cut, "last")


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    whole = train(SMALL, root=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, root=tmp_path / "cut", watcher=StopAfter(7))
    (cut,) = list_runs(tmp_path / "cut")
    last = cut / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:100])
    warnings: list[str] = []
    watcher = Watcher()
    watcher.warn = warnings.append  # type: ignore[method-assign]
    again = resume_training(cut, watcher=watcher)
    assert warnings and "last" in warnings[0]
    assert replace(again, run=whole.run) == whole


def test_recipes_that_do_not_fit_say_so(tmp_path: Path) -> None:
    with pytest.raises(BenchFileError, match=r"there is no recipe 'digitz'; there are digits, fitted"):
        train(SMALL, "digitz", root=tmp_path)
    with pytest.raises(RunError, match=r"method 'physics_awre' is not known; did you mean 'physics_aware'\?"):
        train(SMALL, changes={"method": "physics_awre"}, root=tmp_path)
    with pytest.raises(RunError, match=r"system 'optic' is not on the bench; did you mean 'optics'\?"):
        train(SMALL, changes={"network": {"layers": ["optic"]}}, root=tmp_path)
    with pytest.raises(RunError, match=r"recipe 'digits' cannot be changed so: epochs: .*greater than 0"):
        train(SMALL, changes={"epochs": 0}, root=tmp_path)
    with pytest.raises(RunError, match=r"recipe 'digits' has no `fit`"):
        fit_only(SMALL, "digits", root=tmp_path)


def test_fitting_alone_keeps_shots_twins_and_reports(tmp_path: Path) -> None:
    folder, reports = fit_only(SMALL, "fitted", root=tmp_path)
    assert {"shots-optics.nc", "twin-optics.png", "run.json"} <= {path.name for path in folder.iterdir()}
    summary = json.loads((folder / "run.json").read_text())["summary"]
    assert summary["optics"]["r2_total"] == pytest.approx(reports["optics"].r2_total)


def test_baselines_stand_where_the_literature_has_them() -> None:
    """Ridge on the pixels: 94.0 % on another split of the same size (450 test samples: ± 1.1 points)."""
    with Bench.from_file(SMALL) as bench:
        _, recipe = read_recipe(bench.file)
        torch.manual_seed(0)
        task = load_task(recipe.task)
        assert linear_on_inputs(task) == pytest.approx(0.940, abs=0.03)
        model = build_model(recipe, task, bench.systems, build_twins(recipe, bench.systems))
        untrained = deploy(model, task.test).accuracy
        assert untrained < 0.3 < linear_on_physics(model, task)


@pytest.mark.parametrize(("method", "watch", "fitted"), [("spsa", None, False), ("spsa", {"every": 1}, True)])
def test_twins_that_nothing_looks_at_cost_no_shots(
    tmp_path: Path, method: str, watch: dict[str, int] | None, fitted: bool
) -> None:
    changes = {"method": method, "epochs": 1, "max_steps": 1, "fidelity": watch}
    outcome = train(SMALL, "fitted", changes=changes, root=tmp_path)
    assert bool(outcome.fits) is fitted


def test_a_method_that_finds_the_difference_itself_keeps_the_twin_of_the_design(tmp_path: Path) -> None:
    bench = Path(__file__).parents[2] / "scripts" / "benches" / "factored_mesh.yaml"
    outcome = train(bench, "fitted", changes={"method": "l2ight", "max_steps": 1}, root=tmp_path)
    assert not outcome.fits


def test_vowels_are_heard_by_a_cavity_from_the_file_that_is_named(tmp_path: Path) -> None:
    bench, path = Path(__file__).parents[2] / "scripts" / "benches" / "wave_medium.yaml", tmp_path / "vowels.csv"
    names = ("ae", "ah", "aw", "er", "ih", "iy", "uw")
    drawn = torch.rand(len(names), 12, generator=torch.Generator().manual_seed(0)).tolist()
    lines = ["token," + ",".join(f"F{k}" for k in range(12))]
    for k in range(6):
        for name, formants in zip(names, drawn, strict=True):
            lines.append(f"w{k:02d}{name}," + ",".join(f"{1000 + 500 * f + k:.1f}" for f in formants))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = {"kind": "vowels", "path": str(path), "test": 7, "validation": 7}
    outcome = train(bench, "vowels", changes={"task": task, "epochs": 10, "batch": 7}, root=tmp_path / "runs")
    assert outcome.test_accuracy > 0.8
    with pytest.raises(RunError, match=r"absent\.csv: no vowels can be read"):
        train(bench, "vowels", changes={"task": {"kind": "vowels", "path": "absent.csv"}}, root=tmp_path / "runs")
