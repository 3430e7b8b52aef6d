"""Budgets of shots: they are spent as far as whole steps go, and never exceeded."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.bench import Bench
from pnnlab.runs import Run
from pnnlab.training import Budget, compare, read_trials
from pnnlab.training._compare import fitting_steps, validation_interval
from tests.methods.test_every_method import BENCHES, DATA, Diary, begun


def cost(n_steps: int, first: int, step: int, look: int, points: int) -> int:
    """Return what so many steps cost, counted one by one as the trainer does."""
    every = validation_interval(n_steps, points)
    looks = sum(k % every == 0 or k == n_steps for k in range(1, n_steps + 1))
    return first + (n_steps - 1) * step + looks * look


@given(
    st.integers(0, 5000), st.integers(0, 3000), st.integers(1, 300), st.integers(0, 500), st.integers(1, 30)
)  # fmt: skip
def test_no_more_steps_are_planned_than_fit_and_no_fewer(
    left: int, first: int, step: int, look: int, points: int
) -> None:
    budget = first + look + left  # one step and a validation fit, or the method is refused
    n_steps = fitting_steps(budget, first, step, look, points)
    assert cost(n_steps, first, step, look, points) <= budget
    assert cost(n_steps, first, step, look, points) + step + look > budget


@pytest.mark.parametrize(
    ("method", "file"),
    [
        ("physics_aware", BENCHES[0]),
        ("forward_forward", BENCHES[0]),  # a first step of twice the price
        ("particle_swarm", BENCHES[0]),  # of half
        ("parameter_shift", BENCHES[0]),  # steps of several prices
        ("hamiltonian_echo", DATA / "small_echo.yaml"),
        ("fully_forward", DATA / "small_diffractive.yaml"),  # probes its masks first
    ],
)
def test_training_spends_what_it_may_and_never_more(method: str, file: Path) -> None:
    budget = 600
    with Bench.from_file(file) as bench:
        trainer = begun(bench, method, diary := Diary(), epochs=60)
        trainer.recipe = trainer.recipe.model_copy(update={"budget_shots": budget})
        trainer.run()
    assert trainer.stopped_because.startswith(f"the budget of {budget} shots is spent")
    spent = [0, *(entry[1] for entry in diary.steps)]
    assert spent[-1] == trainer.shots <= budget
    most = max(after - before for before, after in pairwise(spent[2:]))
    assert trainer.shots + most > budget


@pytest.mark.parametrize(
    ("method", "bench", "layer"),
    [("fully_forward", "small_diffractive", "masks"), ("saturable_absorption", "small_absorber", "layer")],
)
def test_a_comparison_plans_for_first_steps_that_probe(method: str, bench: str, layer: str, tmp_path: Path) -> None:
    changes = {"batch": 10, "network": {"layers": [layer, layer], "embedding": "linear"}}
    path = compare(
        DATA / f"{bench}.yaml", None, methods=[method], seeds=[0], budgets=[Budget(shots=2000)], changes=changes,
        points=2, root=tmp_path,
    )  # fmt: skip
    (trial,) = read_trials(path)
    assert not trial.failure
    metrics = Run.open(path / trial.run).metrics()
    spent = [entry["shots"] for entry in metrics]
    most = max(after - before for before, after in pairwise(spent))
    assert spent[-1] <= 2000 < spent[-1] + most
    assert "validation_accuracy" in metrics[-1]["metrics"]  # it came to the end of its plan
