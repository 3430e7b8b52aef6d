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
BENCHES = [DATA / f"{name}.yaml" for name in ("small", "small_circuit", "small_crossbar")]
PHYSICAL = [
    DATA / f"{name}.yaml"
    for name in (
        "small_absorber",
        "small_diffractive",
        "small_echo",
        "small_factored",
        "small_free_space",
        "small_kerr_modes",
        "small_mesh",
        "small_nodes",
        "small_pulsed",
        "small_resistor_copies",
        "small_resistors",
        "small_resonators",
        "small_wave_medium",
    )
]
"""On these only methods train that need more of the physics than a forward pass."""
SLOW = BENCHES[1]
"""Not trained again from a checkpoint: whether shots of a batch may differ in their controls, the two others show."""
EPOCHS, STOP = 2, 3
"""Epochs of two steps each; stopped in the middle of the second."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "bayesian": {"first": 4, "population": 2, "groups": 3},
    "cma_es": {"population": 4},
    "finite_differences": {"coordinates": 3},
    "genetic": {"population": 4},
    "greedy_boolean": {"rounds": 2},
    "l2ight": {"calibration_sweeps": 0, "mapping_sweeps": 0, "kept_errors": 0.5, "kept_steps": 0.7},
    "madem": {"free_steps": 3, "nudged_steps": 2},
    "multiplexed": {"window": 3, "windows": 2},
    "nes": {"population": 4},
    "parameter_shift": {"coordinates": 3},
    "particle_swarm": {"particles": 3},
    "pepg": {"pairs": 2},
    "policy_gradient": {"draws": 4},
    "simulated_annealing": {"rounds": 2},
    "tiki_taka": {"settle": 40},
    "weight_perturbation": {"perturbations": 2},
}
"""What makes a method quick, by its name, where its defaults are made for longer training."""


@cache
def small_task() -> Task:
    """Return few digits of 4 x 4 pixels."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    images = torch.tensor(pixels[:20] / 16, dtype=torch.float32).unflatten(-1, (4, 2, 4, 2)).mean((-3, -1)).flatten(1)
    parts = [(images[part], torch.tensor(classes[:20][part])) for part in (slice(12), slice(12, 16), slice(16, 20))]
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
    changes = {"method": method, "method_options": {method: OPTIONS.get(method, {})}, "batch": 6, "epochs": epochs}
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


CASES = [(method, file) for method in known_methods() for file in BENCHES] + [
    (method, file) for method in known_methods() for file in PHYSICAL if find_method(method).needs
]


@pytest.mark.parametrize(("method", "file"), CASES, ids=lambda part: getattr(part, "stem", part))
def test_it_trains_counts_its_shots_predicts_and_resumes_to_the_same_numbers(method: str, file: Path) -> None:
    with Bench.from_file(file) as bench:
        whole = begun(bench, method, diary := Diary(), epochs=1 if file == SLOW else EPOCHS)
        before = numbers(whole)
        whole.run()
        after, n_layers, x, y = numbers(whole), len(physical_layers(whole.model)), *small_task().test
        logits = whole.method.predict(whole.model, x)
        trained = whole.shots
        score = deploy(whole.model, (x, y), method=whole.method)
        tested = whole.shots - trained
    steps, shots = [entry[0] for entry in diary.steps], [entry[1] for entry in diary.steps]
    assert steps == list(range(1, whole.n_steps + 1)) and shots == sorted(shots)
    assert all(torch.isfinite(torch.tensor(entry[3]["loss"])) for entry in diary.steps)
    assert logits.shape == (4, 10) and torch.isfinite(logits).all() and 0 <= score.accuracy <= 1
    assert tested >= 4 * n_layers  # the test is measured, whatever trained
    changed = any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert changed or whole.method.state()
    if file == SLOW:
        return
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
    assert all(torch.equal(one, other) for one, other in zip(numbers(again), after, strict=True))
