"""Coupled learning in its forms, on a small exact board."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import CapabilityError
from pnnlab.methods import Setting, TrainingMethod, make_method
from pnnlab.nn import PhysicalLayer
from scripts.setups.resistors import random_edges, resistor_system


def layer(*, copies: bool = False, **board: Any) -> PhysicalLayer:
    wide = {"low_siemens": 1e-6, "high_siemens": 1.51e-4}
    system = resistor_system(
        10, 2, 1, random_edges(10, 0.4, 0), copies=copies, board=board, design=wide, wiring={"span_siemens": 1.5e-4}
    )
    start = torch.rand(system.n_controls, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return PhysicalLayer(system, controls=start)


def half_square(y: Tensor, target: Tensor) -> Tensor:
    return (y - target).square().sum(1).mean() / 2


def losses(name: str, options: dict[str, Any], model: nn.Module, steps: int, rate: float = 0.1) -> list[float]:
    method: TrainingMethod = make_method(name, options)
    method.prepare(model, Setting(1, 4, steps, rate, dtype=torch.float64))
    x = torch.tensor([[1.0, -1.0], [0.5, 0.2], [-0.3, 0.8]], dtype=torch.float64)
    target = x @ torch.tensor([[0.7], [0.1]], dtype=torch.float64)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    return [method.step(model, x, target, half_square, optimiser)["loss"] for _ in range(steps)]


@pytest.mark.parametrize(("name", "options"), [
    ("coupled_learning", {"eta": 0.1, "normalise": False}),
    ("coupled_learning", {"eta": 0.05, "update": "discrete", "step": 0.02}),
    ("contrastive_hebbian", {"normalise": False}), ("equilibrium_propagation", {"beta": 0.1}),
    ("frequency_propagation", {"amplitude": 0.1}),
])  # fmt: skip
def test_the_loss_falls(name: str, options: dict[str, Any]) -> None:
    found = losses(name, options, nn.Sequential(layer()), 15)
    assert found[-1] < 0.5 * found[0]


def test_discrete_steps_are_alike_for_all_controls() -> None:
    one = layer()
    before = one.controls.detach().clone()
    losses("coupled_learning", {"update": "discrete", "step": 0.01}, nn.Sequential(one), 1)
    inside = (before > 0.02) & (before < 0.98)
    torch.testing.assert_close((one.controls.detach() - before).abs()[inside], torch.full_like(before[inside], 0.01))


def test_a_board_learns_by_itself_and_its_leak_pulls_at_what_was_learned() -> None:
    options = {"eta": 0.5, "learn_s": 3e-3}
    found = losses("contrastive_local_learning", options, nn.Sequential(board := layer(copies=True)), 15)
    assert found[-1] < 0.7 * found[0]
    leaking = layer(copies=True, leak_s=5e-3)
    losses("contrastive_local_learning", options, nn.Sequential(leaking), 15)
    assert float(leaking.controls.detach().mean()) < 0.7 * float(board.controls.detach().mean())


def learned(error: float) -> Tensor:
    """Return by how much a sample moves the controls, if its target lies so far from its output."""
    one, x = layer(copies=True), torch.tensor([[0.5, 0.2]], dtype=torch.float64)
    method: TrainingMethod = make_method("contrastive_local_learning", {"eta": 0.1, "learn_s": 1e-3})
    method.prepare(model := nn.Sequential(one), Setting(1, 1, 2, 0.1, dtype=torch.float64))
    before, target = one.controls.detach().clone(), model(x).detach() + error
    method.step(model, x, target, half_square, torch.optim.SGD(model.parameters(), lr=0.1))
    return one.controls.detach() - before


def test_what_a_board_learns_of_a_sample_shrinks_with_its_error() -> None:
    far, near = learned(0.1), learned(0.01)
    assert float(far.abs().max()) > 1e-4
    torch.testing.assert_close(10 * near, far, rtol=0.2, atol=float(far.abs().max()) / 50)


def test_a_target_beyond_reach_is_one_that_is_as_far_as_targets_get() -> None:
    torch.testing.assert_close(learned(100.0), learned(1.0), rtol=0, atol=1e-9)


def test_a_board_that_learns_stands_alone() -> None:
    shared = layer(copies=True)
    model = nn.Sequential(shared, nn.Linear(1, 2), PhysicalLayer(shared.system))
    with pytest.raises(CapabilityError, match="found 2 layers"):
        cast(TrainingMethod, make_method("contrastive_local_learning")).prepare(model, Setting(1, 4, 1, 0.0))
