"""`pnnlab runs`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from pnnlab.runs import Run

RECIPE = {"epochs": 2, "network": {"layers": ["optics"], "readout_gain": 8.0}}


def record(root: Path, *, epochs: int = 2, steps: int = 6, shots_a_step: int = 64) -> Path:
    """Record a training that never took place."""
    recipe = {**RECIPE, "epochs": epochs}
    run = Run.create(
        root, "digits physics_aware", kind="train", configuration={"recipe": recipe}, bench_hash="abc",
        bench_snapshot={"devices": {"slm": {"seed": 1}}, "training": {"other": {"epochs": epochs + 7}}}, seed=0,
    )  # fmt: skip
    with run:
        for step in range(1, steps + 1):
            metrics = {"loss": 2.0 / step}
            if step % 3 == 0:
                metrics |= {"validation_loss": 2.2 / step, "validation_accuracy": 0.1 * step}
            shots = 100 + shots_a_step * step
            run.log(metrics, step=step, epoch=1 + step // 4, shots=shots, bench_s=shots / 30, wall_s=step / 10)
        run.finish("finished", {"test_accuracy": 0.5, "shots": 1000, "bench_s": 3700.0})
    return run.path


def test_runs_are_listed_newest_last(pnnlab, folder: Path) -> None:
    for _ in range(2):
        record(folder / "runs")
    answer = pnnlab("runs")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines] == ["#", "1", "2"]
    assert "0.5000" in lines[1]
    assert "1,000  1 h 01 min" in lines[1]
    assert [entry["counter"] for entry in json.loads(pnnlab("runs", "list", "--json").out)] == [1, 2]


def test_a_broken_record_is_a_line_of_the_list(pnnlab, folder: Path) -> None:
    (record(folder / "runs") / "run.json").write_text("{")
    record(folder / "runs")
    answer = pnnlab("runs")
    assert answer.code == 0
    assert "unreadable" in answer.out.splitlines()[1]
    assert "finished" in answer.out.splitlines()[2]


def test_no_runs_are_no_error(pnnlab) -> None:
    assert pnnlab("runs").code == 0
    assert json.loads(pnnlab("runs", "--json").out) == []


@pytest.mark.parametrize("name", ["latest", "1", "2"])
def test_a_run_is_shown(pnnlab, folder: Path, name: str) -> None:
    first, second = record(folder / "runs"), record(folder / "runs", epochs=3)
    path = first if name == "1" else second
    answer = pnnlab("runs", "show", name)
    assert answer.code == 0
    assert answer.out.splitlines()[0] == path.name
    facts = dict(line.split(maxsplit=1) for line in answer.out.splitlines() if line.startswith("  "))
    assert facts["network.layers"] == "['optics']"
    assert facts["test_accuracy"] == "0.5"
    assert facts["status"] == "finished"
    assert json.loads(pnnlab("runs", "show", name, "--json").out)["bench_hash"] == "abc"


def test_a_run_is_found_by_its_folder_and_in_another_root(pnnlab, folder: Path) -> None:
    path = record(folder / "elsewhere")
    assert pnnlab("runs", "show", f"elsewhere/{path.name}/").code == 0
    assert pnnlab("runs", "show", "1", "--runs", "elsewhere").code == 0
    assert pnnlab("runs", "show", "1").code == 2


def test_the_differences_of_two_runs(pnnlab, folder: Path) -> None:
    record(folder / "runs"), record(folder / "runs", epochs=3)
    rows = [line.split() for line in pnnlab("runs", "diff", "1", "2").out.splitlines()]
    assert rows == [["key", "1", "2"], ["recipe.epochs", "2", "3"]]
    assert "no differences" in pnnlab("runs", "diff", "1", "1").out
    assert json.loads(pnnlab("runs", "diff", "1", "2", "--json").out) == {"recipe.epochs": {"a": "2", "b": "3"}}


@pytest.mark.parametrize("shots_a_step", [64, 0])
def test_curves_are_drawn_against_shots_and_time_or_against_steps(pnnlab, folder: Path, shots_a_step: int) -> None:
    path = record(folder / "runs", shots_a_step=shots_a_step)
    answer = pnnlab("runs", "plot", "latest")
    assert answer.code == 0, answer.err
    assert Path(answer.out.strip()) == Path("runs") / path.name / "curves.png"
    with Image.open(path / "curves.png") as picture:
        # two columns of panels, or one where no shots were taken; dots as wide as the figure is in inches by 120
        assert picture.width == (2 if shots_a_step else 1) * 660
        assert len(picture.convert("L").getcolors()) > 10


def test_a_picture_that_cannot_be_drawn_is_refused(pnnlab, folder: Path) -> None:
    record(folder / "runs")
    assert pnnlab("runs", "plot", "1", "--out", "a.nonsense").code == 2
    assert pnnlab("runs", "plot", "1", "--out", "none/a.png").code == 2
    record(folder / "runs", steps=0)
    assert "no step" in pnnlab("runs", "plot", "2").err
    Run.create(folder / "runs", "twin", kind="fit", configuration={}).finish("finished")
    assert "'fit'" in pnnlab("runs", "plot", "3").err
