"""Random projections that a physical system makes: fixed, linear to first order, counted, and good enough to teach."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pnnlab.bench import Bench
from pnnlab.errors import RunError
from pnnlab.methods import Setting, make_method
from pnnlab.methods._projection import PhysicalProjection, ProjectorOptions, projections
from pnnlab.training import Recipe, Trainer, build_method, build_model, build_twins, load_task, read_recipe
from tests.methods.networks import Case

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench.from_file(SMALL) as opened:
        yield opened


def projection(bench: Bench, n: int = 64, **options: object) -> PhysicalProjection:
    chosen = ProjectorOptions.model_validate({"system": "optics", **options})
    return PhysicalProjection(chosen, bench.systems["optics"], 10, n, torch.Generator().manual_seed(0))


def errors(n: int) -> Tensor:
    logits = torch.randn(n, 10, generator=torch.Generator().manual_seed(1))
    return logits.softmax(-1) - nn.functional.one_hot(torch.arange(n) % 10, 10)


def likeness(a: Tensor, b: Tensor) -> float:
    return float(nn.functional.cosine_similarity(a, b).mean())


@pytest.mark.parametrize("reference", ["opposite", "zero"])
def test_it_is_fixed_and_nearly_linear(bench: Bench, reference: str) -> None:
    project = projection(bench, encoding="linear", scale=0.2, reference=reference)
    e = errors(30)
    first, again = project(e), project(e)
    assert likeness(first, again) > 0.9  # photon and read noise on a small difference
    # a matrix that was fitted to single classes foretells what errors give
    matrix = project(torch.eye(10))
    assert likeness(e @ matrix, first) > 0.85
    assert likeness(first, torch.randn(30, 64, generator=torch.Generator().manual_seed(2))) < 0.2
    assert float(project(torch.zeros(1, 10)).abs().max()) == 0 and not project(2 * e).isnan().any()


def test_ternary_errors_keep_their_size(bench: Bench) -> None:
    project = projection(bench)
    e = errors(20)
    small, large = project(e), project(10 * e)
    assert likeness(small, large) > 0.95
    ratio = large.norm(dim=-1) / small.norm(dim=-1)
    torch.testing.assert_close(ratio, torch.full((20,), 10.0), rtol=0.15, atol=0)


def test_each_reference_costs_its_shots_and_many_outputs_several_views(bench: Bench) -> None:
    optics = bench.systems["optics"]
    for n, reference, shots in ((64, "opposite", 20), (64, "zero", 11), (100, "zero", 22)):
        before = optics.n_shots
        assert projection(bench, n, reference=reference)(errors(10)).shape == (10, n)
        assert optics.n_shots - before == shots


def test_what_cannot_project_is_told(bench: Bench) -> None:
    setting = Setting(64, 10, 1, 0.1, systems=bench.systems)
    with pytest.raises(RunError, match=r"projector 'optix' is no system of the bench; there are optics"):
        projections([5], setting, setting.generator(), ProjectorOptions(system="optix"))
    with pytest.raises(RunError, match=r"takes 64 inputs, an error of 65 classes needs as many"):
        projections([5], replace(setting, n_classes=65), setting.generator(), ProjectorOptions(system="optics"))


@pytest.mark.parametrize("method", ["direct_feedback_alignment", "augmented_dfa"])
def test_training_counts_the_projector_s_shots_beside_the_layers(bench: Bench, method: str) -> None:
    _, recipe = read_recipe(bench.file)
    options = {method: {"projector": {"system": "optics", "reference": "zero"}}}
    recipe = Recipe.model_validate(
        recipe.model_dump() | {"method": method, "method_options": options, "batch": 250, "epochs": 1}
    )
    torch.manual_seed(0)
    task, twins = load_task(recipe.task), build_twins(recipe, bench.systems)
    for twin in twins.values():
        twin.freeze()
    losses: list[float] = []
    trainer = Trainer(
        build_model(recipe, task, bench.systems, twins), build_method(recipe), task, recipe, bench=bench,
        observers=(lambda progress: losses.append(progress.metrics["loss"]),),
    )  # fmt: skip
    trainer.run()
    batches, masks = 5, method == "augmented_dfa"
    taught = (2 if masks else 1) * (1247 + batches)
    calibration = 2 * 250 if masks else 0
    assert trainer.shots == 2 * (1247 + 100) + taught + calibration
    assert losses[-1] < losses[0]


def test_a_projector_that_is_no_layer_is_counted() -> None:
    case, other = Case(), Case(sizes=(8, 7))
    case.setting = replace(case.setting, systems={"projector": other.systems[0]})
    method = make_method("direct_feedback_alignment", {"projector": {"system": "projector"}})
    case.step(method)
    assert method.systems == (other.systems[0],) and other.systems[0].n_shots == 2 * 2 * 7
