"""The angle between a twin's gradient and the bench's, measured, against the angle that the plant itself tells."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pnnlab.bench import Bench
from pnnlab.methods import physical_layers
from pnnlab.nn import FidelityConfig, PhysicalLayer, agreement, gradient_fidelity, interface_of
from pnnlab.training import build_model, build_twins, load_task, read_recipe
from pnnlab.twins import DigitalTwin, MlpTwinConfig, PlantTwinConfig, make_twin

SMALL = Path(__file__).parents[1] / "data" / "small.yaml"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, 2.0, math.pi])
def test_estimates_are_right_within_their_errors(angle: float) -> None:
    """Two gradients of 2000 numbers at a known angle; 40 directions, noise as large as a third of the signal."""
    a, b = torch.randn(2, 2000, generator=generator(), dtype=torch.float64)
    a, b = a / a.norm(), b - a * (a @ b) / a.square().sum()
    b = b / b.norm()
    true, twin = a, 1.5 * (math.cos(angle) * a + math.sin(angle) * b)
    pulls = []
    for seed in range(60):
        draw = generator(seed)
        directions = torch.randint(2, (40, 2000), generator=draw).double() * 2 - 1
        noise = 0.3 * torch.randn(2, 40, generator=draw, dtype=torch.float64)
        found = agreement(directions @ twin, directions @ true + noise)
        assert found["noise"] == pytest.approx(0.3, abs=0.2)
        pulls.append([found["cosine"] - math.cos(angle), found["ratio"] - 1.5])
        assert abs(pulls[-1][0]) < 6 * found["cosine_error"] + 1e-9
    bias = torch.tensor(pulls).mean(0)
    assert abs(bias[0]) < 0.05 and abs(bias[1]) < 0.15  # means of 60, each right to some 0.1


def test_a_gradient_lost_in_noise_is_not_a_number() -> None:
    draw = generator()
    found = agreement(torch.randn(16, generator=draw), torch.tensor([[1.0, -1.0] * 8, [-1.0, 1.0] * 8]))
    assert math.isnan(found["cosine"]) and math.isinf(found["noise"])


@pytest.fixture
def bench() -> Bench:
    return Bench.from_file(SMALL)


def small_model(bench: Bench) -> tuple[nn.Module, Tensor, Tensor]:
    _, recipe = read_recipe(bench.file)
    torch.manual_seed(0)
    task = load_task(recipe.task)
    model = build_model(recipe, task, bench.systems, build_twins(recipe, bench.systems))
    return model, task.train[0][:8], task.train[1][:8]


def with_twins(model: nn.Module, config: PlantTwinConfig | MlpTwinConfig) -> list[PhysicalLayer]:
    layers = physical_layers(model)
    for layer in layers:
        layer.twin = make_twin(config, interface_of(layer.system))
    return layers


def test_the_plants_own_gradient_agrees_and_a_random_networks_does_not(bench: Bench) -> None:
    config = FidelityConfig(directions=24, samples=8)
    with bench:
        model, x, y = small_model(bench)
        with_twins(model, PlantTwinConfig())
        before = bench.systems["optics"].n_shots
        exact = gradient_fidelity(model, x, y, nn.functional.cross_entropy, config, generator=generator())
        spent = bench.systems["optics"].n_shots - before
        with_twins(model, MlpTwinConfig(hidden=(8,)))
        random = gradient_fidelity(model, x, y, nn.functional.cross_entropy, config, generator=generator())
    layers = len(physical_layers(model))
    assert [(one.layer, one.of) for one in exact] == [(k, of) for k in range(layers) for of in ("controls", "inputs")]
    for one in exact:
        # a panel of 256 levels moves a phase by no less than 0.004 turns, and the step is 0.01
        assert one.cosine > 0.9 and abs(one.ratio - 1) < 0.25, one
    for one in random:
        assert abs(one.cosine) < 0.5, one
    # two ways, twice, for every direction and layer; and the walk through the network
    assert spent == sum(one.shots for one in exact) + 8 * layers
    assert exact[0].shots == 24 * 2 * 2 * 8


def test_it_finds_the_cosine_that_autograd_finds(bench: Bench) -> None:
    """A twin that is right in some outputs only: its true cosine is known from the plant."""

    class Half(DigitalTwin):
        """The plant, with every other output's dependence left out."""

        def __init__(self, inner: DigitalTwin) -> None:
            super().__init__(inner.interface)
            self.inner = inner
            self.keep = (torch.arange(inner.interface.n_out) % 2 == 0).float()

        def forward(self, *drive: Tensor) -> Tensor:
            y: Tensor = self.inner(*drive) * self.keep
            return y

    with bench:
        model, x, y = small_model(bench)
        layer = with_twins(model, PlantTwinConfig())[-1]

        def gradient() -> Tensor:
            model.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            assert layer.raw_controls.grad is not None
            return layer.raw_controls.grad.clone()

        whole = gradient()
        layer.twin = Half(layer.needed_twin())
        half = gradient()
        truth = float(nn.functional.cosine_similarity(whole, half, dim=0))
        found = gradient_fidelity(
            model, x, y, nn.functional.cross_entropy, FidelityConfig(directions=64), generator=generator()
        )
    (one,) = [one for one in found if one.layer == len(physical_layers(model)) - 1 and one.of == "controls"]
    assert 0.2 < truth < 0.95
    assert one.cosine == pytest.approx(truth, abs=4 * one.cosine_error)
