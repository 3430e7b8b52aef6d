"""A search for twins: the bench is asked once, and the twin that knows the physics comes out ahead."""

from pathlib import Path

import pytest

from pnnlab.bench import BenchFile
from pnnlab.errors import RunError
from pnnlab.nn import FidelityConfig
from pnnlab.training import change_recipe, search_twins

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


def test_candidates_are_ranked_by_the_angle_of_their_gradient() -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    changes = {"fit.shots": 768, "fit.rounds": 6, "fit.epochs": 10}
    _, recipe = change_recipe(BenchFile.load(SMALL), "digits", changes)
    numbers: list[int] = []
    found = search_twins(
        SMALL, recipe, trials=4, config=FidelityConfig(directions=12, samples=8),
        on_trial=lambda number, _: numbers.append(number),
    )  # fmt: skip
    assert numbers == [1, 2, 3, 4] and len(found.candidates) == 5
    cosines = [one.cosine for one in found.candidates]
    assert cosines == sorted(cosines, reverse=True)
    assert any(one.best for one in found.candidates)
    designed = next(one for one in found.candidates if one.config.kind == "optical")
    learned = [one for one in found.candidates if one.config.kind == "mlp"]
    # 768 shots do not teach a perceptron what the design knows of the medium
    assert all(designed.cosine > one.cosine for one in learned)
    # shots to learn from (per round through both layers), and derivatives: a walk, two ways, twice, two kinds
    assert found.shots <= 768 + 2 * 8 + 2 * 2 * 2 * 12 * 8


def test_a_system_that_is_not_in_the_network_is_told() -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    _, recipe = change_recipe(BenchFile.load(SMALL), "digits", {})
    with pytest.raises(RunError, match="no layer of a system 'lens'"):
        search_twins(SMALL, recipe, system="lens", trials=1)
