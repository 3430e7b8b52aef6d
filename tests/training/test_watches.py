"""What is looked at while training goes on: fidelity is logged, drift is found, told, stopped at or followed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pnnlab.errors import RunError
from pnnlab.runs import LoggedStep, Run, list_runs
from pnnlab.training import Progress, Watcher, resume_training, train

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"
DRIFT = {"every": 5, "samples": 32}
LEARNED = {"optics": {"kind": "mlp", "hidden": (32,)}}
FIT = {"shots": 512, "rounds": 4, "epochs": 4}


class Listener(Watcher):
    """Keeps warnings; ends the process's work after a step, as Ctrl-C would."""

    def __init__(self, stop: int | None = None) -> None:
        self.told: list[str] = []
        self._stop = stop

    def warn(self, text: str) -> None:
        self.told.append(text)

    def step(self, progress: Progress) -> None:
        if progress.step == self._stop:
            raise KeyboardInterrupt


def moving(folder: Path, decorrelation: str) -> Path:
    """Write the small bench with a medium that decorrelates."""
    path = folder / "instruments.yaml"
    text = SMALL.read_text().replace(
        "medium_mismatch: 0.2", f'medium_mismatch: 0.2\n      decorrelation_time: "{decorrelation}"'
    )
    path.write_text(text, encoding="utf-8")
    return path


def logged(path: Path, name: str) -> list[float]:
    return [line["metrics"][name] for line in Run.open(path).metrics() if name in line["metrics"]]


def without_wall(path: Path) -> list[LoggedStep]:
    return [{**line, "wall_s": 0.0} for line in Run.open(path).metrics()]


def test_fidelity_is_logged_at_the_price_of_its_shots(tmp_path: Path) -> None:
    plain = train(SMALL, root=tmp_path)
    watched = train(SMALL, root=tmp_path, changes={"fidelity": {"every": 5, "directions": 8, "samples": 8}})
    cosines = logged(watched.run, "fidelity_cosine_controls_1")
    assert len(cosines) == 2 and all(0.3 < cosine <= 1.3 for cosine in cosines)
    # two looks of two layers: a walk, and 8 directions both ways, twice
    assert watched.shots - plain.shots == 2 * 2 * 8 * (1 + 8 * 2 * 2)


def test_a_bench_that_stays_does_not_drift(tmp_path: Path) -> None:
    listener = Listener()
    outcome = train(SMALL, root=tmp_path, changes={"drift": DRIFT}, watcher=listener)
    assert max(logged(outcome.run, "drift_optics")) < 0.05
    assert not listener.told


def test_drift_is_told_once(tmp_path: Path) -> None:
    listener = Listener()
    outcome = train(moving(tmp_path, "5 min"), root=tmp_path, changes={"drift": DRIFT}, watcher=listener)
    assert max(logged(outcome.run, "drift_optics")) > 0.15
    assert len(listener.told) == 1 and "optics by 1." in listener.told[0]


def test_drift_stops_a_training_and_its_checkpoint_stays(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the bench has moved.*found after step 5: optics by .* \(allowed is 0.15\)"):
        train(moving(tmp_path, "5 min"), root=tmp_path, changes={"drift": {**DRIFT, "action": "stop"}})
    (folder,) = list_runs(tmp_path)
    state = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert state["step"] == 4


def test_refreshed_twins_follow_the_bench_and_resume_to_the_same_numbers(tmp_path: Path) -> None:
    bench = moving(tmp_path, "8 min")
    changes = {"drift": {**DRIFT, "action": "refresh"}, "twins": LEARNED, "fit": FIT, "epochs": 4}
    listener = Listener()
    whole = train(bench, root=tmp_path / "whole", changes=changes, watcher=listener)
    assert len(listener.told) >= 2 and all("twin of optics refreshed" in text for text in listener.told)
    left = train(bench, root=tmp_path / "left", changes={**changes, "drift": DRIFT})
    # the bench is half another one at the end: the twin that was left alone is the worse for it
    assert logged(whole.run, "twin_error_optics")[-1] < 0.9 * logged(left.run, "twin_error_optics")[-1]
    with pytest.raises(KeyboardInterrupt):
        train(bench, root=tmp_path / "cut", changes=changes, watcher=Listener(stop=13))
    (folder,) = list_runs(tmp_path / "cut")
    again = resume_training(folder)
    assert without_wall(folder) == without_wall(whole.run)
    assert replace(again, run=whole.run, fits=whole.fits) == whole


def test_a_twin_with_nothing_to_learn_cannot_be_refreshed(tmp_path: Path) -> None:
    changes = {"drift": {"action": "refresh"}, "twins": {"optics": {"kind": "plant"}}}
    with pytest.raises(RunError, match=r"the twin of optics has nothing to learn"):
        train(SMALL, root=tmp_path, changes=changes)
