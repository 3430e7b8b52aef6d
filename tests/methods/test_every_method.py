"""What every method promises, on a small bench of each kind: it trains, counts its shots, predicts, and resumes."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pnnlab.bench import Bench
from pnnlab.methods import find_method, known_methods, lacking, physical_layers
from pnnlab.training import Progress, Recipe, Task, Trainer, build_method, build_model, build_twins, deploy, read_recipe

DATA = Path(__file__).parents[1] / "data"
SHARED = DATA / "small_crossbar.yaml"
"""A bench whose shots of a batch share their controls; on the two others each shot may have its own."""
FREE = [DATA / "small.yaml", DATA / "small_circuit.yaml"]
EPOCHS, STOP = 3, 3
"""Three epochs of two steps each; stopped in the middle of the second."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {}
"""What makes a method quick, by its name, where its defaults are made for longer training."""


@cache
def small_task() -> Task:
    """Return few digits of 4 x 4 pixels."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    images = torch.tensor(pixels[:36] / 16, dtype=torch.float32).unflatten(-1, (4, 2, 4, 2)).mean((-3, -1)).flatten(1)
    parts = [(images[part], torch.tensor(classes[:36][part])) for part in (slice(20), slice(20, 28), slice(28, 36))]
    return Task("digits", (4, 4), 10, *parts)


class Diary:
    """Everything that a training tells after each step; may stop it as Ctrl-C would."""

    def __init__(self, stop: int | None = None) -> None:
        self.steps: list[tuple[int, int, float, dict[str, float]]] = []
        self._stop = stop

    def __call__(self, progress: Progress) -> None:
        self.steps.append((progress.step, progress.shots, progress.bench_s, dict(progress.metrics)))
        if progress.step == self._stop:
            raise KeyboardInterrupt


def begun(bench: Bench, method: str, diary: Diary, epochs: int = EPOCHS) -> Trainer:
    """Return a training before its first step, on an open bench that lacks nothing."""
    if without := lacking(find_method(method), bench.systems.values()):
        pytest.skip("; ".join(without))
    _, recipe = read_recipe(bench.file)
    changes = {"method": method, "method_options": {method: OPTIONS.get(method, {})}, "batch": 10, "epochs": epochs}
    recipe = Recipe.model_validate(recipe.model_dump() | changes)
    torch.manual_seed(0)
    for plant in bench.plants.values():
        plant.reseed(0)
    twins = build_twins(recipe, bench.systems)
    for twin in twins.values():
        twin.freeze()
    model = build_model(recipe, small_task(), bench.systems, twins)
    return Trainer(model, build_method(recipe), small_task(), recipe, bench=bench, observers=(diary,))


def numbers(trainer: Trainer) -> list[Tensor]:
    """Return what is trained in the model itself."""
    return [value.clone() for value in trainer.model.state_dict().values()]


@pytest.mark.parametrize("file", [*FREE, SHARED], ids=lambda file: file.stem)
@pytest.mark.parametrize("method", known_methods())
def test_it_trains_predicts_and_counts_its_shots(method: str, file: Path) -> None:
    with Bench.from_file(file) as bench:
        trainer = begun(bench, method, diary := Diary(), epochs=1)
        before = numbers(trainer)
        trainer.run()
        x, y = small_task().test
        logits = trainer.method.predict(trainer.model, x)
        trained = trainer.shots
        score = deploy(trainer.model, (x, y), method=trainer.method)
        layers, counted = physical_layers(trainer.model), trainer.shots
    shots = [entry[1] for entry in diary.steps]
    assert [entry[0] for entry in diary.steps] == [1, 2] and shots == sorted(shots)
    assert all(entry[2] >= 0 and torch.isfinite(torch.tensor(entry[3]["loss"])) for entry in diary.steps)
    assert logits.shape == (8, 10) and torch.isfinite(logits).all()
    assert 0 <= score.accuracy <= 1 and counted - trained >= 8 * len(layers)  # the test is measured, whatever trained
    changed = any(not torch.equal(one, other) for one, other in zip(before, numbers(trainer), strict=True))
    assert changed or trainer.method.state()


@pytest.mark.parametrize("file", [FREE[0], SHARED], ids=lambda file: file.stem)
@pytest.mark.parametrize("method", known_methods())
def test_stopped_and_resumed_it_comes_to_the_same_numbers(method: str, file: Path) -> None:
    with Bench.from_file(file) as bench:
        whole = begun(bench, method, diary := Diary())
        whole.run()
    checkpoint = io.BytesIO()
    with Bench.from_file(file) as bench:
        cut = begun(bench, method, first := Diary(STOP))
        with pytest.raises(KeyboardInterrupt):
            cut.run()
        torch.save(cut.state(), checkpoint)
    checkpoint.seek(0)
    with Bench.from_file(file) as bench:
        again = begun(bench, method, second := Diary())
        again.load_state(torch.load(checkpoint, weights_only=True))
        again.run()
    assert first.steps + second.steps == diary.steps
    assert all(torch.equal(one, other) for one, other in zip(numbers(again), numbers(whole), strict=True))
