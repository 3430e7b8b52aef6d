"""Networks of adjustable conductances and diodes."""

import pytest
import torch
from torch import Tensor

from pnnlab.physics import ConductanceLaw, Diodes, Ohmic, ResistorNetwork, Transistor

EDGES = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (2, 4), (3, 4)]
LAWS = [Ohmic(), Ohmic(0.5), Transistor()]


def network(law: ConductanceLaw, gyration: float = 0.0) -> ResistorNetwork:
    return ResistorNetwork(5, EDGES, (0, 1), law=law, diodes=Diodes((2, 3), 5, rail_v=0.2), gyration=gyration)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def settings(law: ConductanceLaw, *shape: int) -> Tensor:
    """Return settings of some 50 to 150 uS."""
    return 2.3 + draw(*shape, seed=1) if isinstance(law, Transistor) else (draw(*shape, seed=1) + 0.5) * 1e-4


@pytest.mark.parametrize("gyration", [0.0, 0.3])
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_gradients_are_those_of_the_state(law: ConductanceLaw, gyration: float) -> None:
    net, held = network(law, gyration), 4 * draw(3, 2) - 2
    clamped = torch.zeros(3, 5, dtype=torch.bool)
    clamped[1, 4] = True
    unit = 1.0 if isinstance(law, Transistor) else 1e-4

    def state(held: Tensor, setting: Tensor, current: Tensor, at: Tensor) -> Tensor:
        return net.solve(held, setting * unit, current_a=current * 1e-4, clamped=clamped, clamp_v=at)

    arguments = [held, settings(law, 3, 7) / unit, 0.1 * draw(3, 5, seed=2), 0.1 * draw(3, 5, seed=3)]
    assert torch.autograd.gradcheck(state, [a.requires_grad_() for a in arguments], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_no_current_is_left_over_and_clamped_nodes_stand(law: ConductanceLaw) -> None:
    net, held, setting = network(law), 10 * draw(4, 2) - 5, settings(law, 7)
    clamped = torch.tensor([[False, False, False, False, k == 0] for k in range(4)])
    volts = net.solve(held, setting, clamped=clamped, clamp_v=torch.full((4, 5), 0.3, dtype=torch.float64))
    assert volts[0, 4] == 0.3 and torch.equal(volts[:, :2], held)
    sources = net.source_currents(volts[1:], setting)
    assert sources.shape == (3, 2)
    # what comes in leaves through the diodes
    diodes = Diodes((2, 3), 5, rail_v=0.2).current(volts[1:])
    torch.testing.assert_close(sources.sum(1), diodes.sum(1), rtol=1e-9, atol=1e-15)


def test_one_setting_for_all_is_the_same_as_one_each() -> None:
    net, held, setting = network(Ohmic()), 4 * draw(3, 2) - 2, settings(Ohmic(), 7)
    torch.testing.assert_close(net.solve(held, setting), net.solve(held, setting.expand(3, 7)), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("law", "gyration", "symmetric"), [
    (Ohmic(), 0.0, True), (Ohmic(0.5), 0.0, True), (Ohmic(), 0.2, False), (Transistor(), 0.0, False),
])  # fmt: skip
def test_reciprocity_holds_where_there_is_a_co_content(law: ConductanceLaw, gyration: float, symmetric: bool) -> None:
    net, current = network(law, gyration), torch.zeros(1, 5, dtype=torch.float64).requires_grad_()
    volts = net.solve(torch.tensor([[1.0, -0.6]], dtype=torch.float64), settings(law, 7), current_a=current)
    (from_2,) = torch.autograd.grad(volts[0, 4], current, retain_graph=True)
    (from_4,) = torch.autograd.grad(volts[0, 2], current)
    error = float((from_2[0, 2] - from_4[0, 4]).abs() / from_2[0, 2].abs())
    assert error < 1e-12 if symmetric else error > 1e-3, error


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="an edge from a node to itself"):
        ResistorNetwork(3, [(1, 1)], [0])
    with pytest.raises(ValueError, match="found \\[7\\]"):
        ResistorNetwork(3, [(0, 7)], [0])
