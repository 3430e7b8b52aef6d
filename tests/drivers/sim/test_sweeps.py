"""Integration in parallel segments against the plain loop."""

import pytest
import torch

from pnnlab.physics import OscillatorNetwork
from pnnlab_drivers.sim._sweeps import Advance, run_in_segments
from tests.drivers.sim.circuits import (
    designed,
    shots,
)


def advance_of(network: OscillatorNetwork) -> Advance:
    def advance(drive: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs, state = network(drive, state)
        return outputs.unsqueeze(2), state

    return advance


@pytest.mark.parametrize(
    "changes",
    [{}, {"cubic": 2.0}, {"quality": 0.5}, {"quality": 1e4, "cubic": 0.0}],
    ids=["as designed", "stiff", "overdamped", "hardly damped"],
)
@pytest.mark.parametrize("n", [1, 50, 997, 1200])
def test_segments_join_to_the_plain_loop(changes: dict[str, float], n: int) -> None:
    network = designed(**changes)
    advance = advance_of(network)
    drive = torch.as_tensor(shots(1, n)[0])
    start = 0.1 * torch.randn(1, network.state_size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        due, end = advance(drive[None], start)
        found, found_end = run_in_segments(advance, drive, start, memory_steps=100, price=70, tolerance=1e-10)
    # an error of 1e-10 of the largest state, a few volts, at each of some tens of joints at the most
    torch.testing.assert_close(found, due[0], rtol=0, atol=1e-7)
    torch.testing.assert_close(found_end, end, rtol=0, atol=1e-7)


def test_segments_are_swept_together_only_where_the_circuit_forgets() -> None:
    def steps(network: OscillatorNetwork) -> int:
        done = 0

        def advance(drive: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            nonlocal done
            done += drive.shape[1]
            return advance_of(network)(drive, state)

        with torch.no_grad():
            run_in_segments(
                advance, torch.as_tensor(shots(1, 2000)[0]), torch.zeros(1, network.state_size, dtype=torch.float64),
                memory_steps=100, price=70, tolerance=1e-6,
            )  # fmt: skip
        return done

    assert steps(designed(quality=1.0)) < 2000 / 4
    assert 2000 <= steps(designed(quality=1e5, cubic=0.0)) < 2000 * 1.3
