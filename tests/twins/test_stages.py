"""Twins with states between drive and outputs: held where they were read, they are linearised there."""

import pytest
import torch
from torch import Tensor, nn

from pnnlab.twins import (
    DigitalTwin,
    Interface,
    MlpTwin,
    MlpTwinConfig,
    OpticalTwin,
    OpticalTwinConfig,
    StagedTwin,
)

OPTICS = Interface(((16,),), (16,), periodic=True)


def gradient(y: Tensor, at: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(y.sum(), at)
    return found


class Squares(StagedTwin):
    """y = (u²)², stage by stage, as if u² were read inside."""

    n_stages = 2  # type: ignore[assignment]

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        return (drive[0] if state is None else state).square()


def test_states_are_held_at_what_was_read() -> None:
    twin = Squares(Interface(((3,),), (3,)))
    u = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    torch.testing.assert_close(twin(u), u**4)
    inside, y = torch.tensor([[0.5, 5.0, 8.0]]), torch.zeros(1, 3)
    # dy/du = 2 inside · 2 u: the second square is linearised where the first was read, and y where it was read
    torch.testing.assert_close(gradient(twin.replay((u,), (inside, y)), u), 2 * inside * 2 * u)
    torch.testing.assert_close(twin.replay((u,), (inside, y)), y)
    # nothing is known of the inside: the twin's own state serves
    torch.testing.assert_close(gradient(twin.replay((u,), (y,)), u), 4 * u**3)


def test_an_optical_twin_takes_the_amplitude_that_was_measured_and_its_own_phase() -> None:
    twin = OpticalTwin(
        OpticalTwinConfig(macropixels=(4, 4), outputs=(4, 4), seed=3, brightness=0.02), OPTICS, dtype=torch.float64
    )
    turns = torch.rand(5, 16, dtype=torch.float64, requires_grad=True)
    y = twin(turns)
    replayed = twin.replay((turns,), (y.detach(),))
    torch.testing.assert_close(replayed, y)
    plain = gradient(y, turns)
    torch.testing.assert_close(gradient(replayed, turns), plain)
    # four times the light is twice the amplitude, and intensity changes by twice as much
    brighter = twin.replay((turns,), (4 * y.detach(),))
    torch.testing.assert_close(gradient(brighter, turns), 2 * plain)


def test_a_twin_without_states_is_linearised_as_ever() -> None:
    twin = MlpTwin(MlpTwinConfig(hidden=(8,)), OPTICS)
    turns = torch.rand(5, 16, requires_grad=True)
    measured = torch.rand(5, 16)
    replayed = twin.replay((turns,), (torch.rand(5, 2), measured))
    torch.testing.assert_close(replayed, measured)
    torch.testing.assert_close(gradient(replayed, turns), gradient(twin(turns), turns))


@pytest.mark.parametrize("learned", [(), ("matrix",), ("flatness", "brightness")])
def test_a_frozen_twin_still_tells_what_fitting_may_change(learned: tuple[str, ...]) -> None:
    config = OpticalTwinConfig.model_validate({"macropixels": (4, 4), "outputs": (4, 4), "learned": learned})
    twin: DigitalTwin = OpticalTwin(config, OPTICS)
    names = set(twin.learned)
    assert len(names) == len(learned)
    twin.freeze()
    twin.freeze()
    assert set(twin.learned) == names and not any(p.requires_grad for p in twin.parameters())
    assert all(isinstance(parameter, nn.Parameter) for parameter in twin.learned.values())
