"""Readings taken inside come with the outputs, shot by shot, and the backward pass holds the twin's states there."""

import pytest
import torch
from torch import Tensor

from pnnlab.nn import ForwardRule, interface_of, run_in_flight
from pnnlab.systems import Capability
from pnnlab.twins import StagedTwin
from scripts.setups import FunctionSystem, layer_from


def inside(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> tuple[Tensor, ...]:
    """y = (w x)², and w x + 1 is read inside."""
    return x * theta + 1, (x * theta).square()


def made() -> FunctionSystem:
    return FunctionSystem(inside, (3, 3, 3), reach=2.0, shares_controls=True, state_shapes=((3,),))


class Product(StagedTwin):
    """Knows both stages."""

    n_stages = 2  # type: ignore[assignment]

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        return drive[0] * drive[1] if state is None else state.square()


def test_states_are_fetched_with_their_shots() -> None:
    system = made()
    assert Capability.INTERNAL_STATE in system.capabilities
    x, theta = torch.rand(5, 3).numpy(), torch.rand(3).numpy()
    whole = system.measure(x, theta)
    pending = system.submit(x, theta, chunks=(2, 3))
    for k, rows in ((0, slice(0, 2)), (1, slice(2, 5))):
        assert (pending.chunk(k).states[0] == whole.states[0][rows]).all()
    assert whole.states[0] == pytest.approx(x * (4 * theta - 2) + 1, abs=1e-6)


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_replayed_layer_is_linearised_at_what_was_read_inside(in_flight: bool) -> None:
    system = made()
    layer = layer_from(system, Product(interface_of(system)), torch.tensor([0.5, -1.0, 1.0]))
    x = torch.rand(4, 3)
    found = {}
    for rule in (ForwardRule.MEASURED, ForwardRule.REPLAYED):
        layer.rule = rule
        inputs = x.clone().requires_grad_()

        def part(rows: Tensor) -> None:
            layer(rows).sum().backward()

        run_in_flight([lambda rows=rows: part(rows) for rows in (inputs.split(2) if in_flight else [inputs])])
        found[rule] = inputs.grad
    w = torch.tensor([0.5, -1.0, 1.0])
    torch.testing.assert_close(found[ForwardRule.MEASURED], 2 * (x * w) * w)
    torch.testing.assert_close(found[ForwardRule.REPLAYED], 2 * (x * w + 1) * w)
