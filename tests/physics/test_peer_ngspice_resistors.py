"""Resistor networks against ngspice, a circuit simulator that shares no line with this project."""

import numpy as np
import pytest
import torch

from pnnlab.physics import ConductanceLaw, Diodes, Ohmic, ResistorNetwork, Transistor
from scripts.acceptance.resistors import ngspice_differences
from scripts.peers import has_ngspice, operating_point

pytestmark = pytest.mark.skipif(not has_ngspice(), reason="needs the circuit simulator ngspice on the PATH")
EDGES = [(i, 3 + h) for i in range(3) for h in range(4)] + [(3 + h, 7) for h in range(4)]
"""Three inputs, four hidden nodes, one output."""


@pytest.mark.parametrize("nudge_a", [0.0, 2e-5])
@pytest.mark.parametrize(("law", "gyration", "diodes"), [
    (Ohmic(), 0.0, True), (Ohmic(0.5), 0.0, False), (Ohmic(0.5), 0.2, True), (Transistor(), 0.0, False),
    (Transistor(), 0.0, True),
], ids=str)  # fmt: skip
def test_operating_points(law: ConductanceLaw, gyration: float, diodes: bool, nudge_a: float) -> None:
    generator = torch.Generator().manual_seed(0)
    limiter = Diodes(range(3, 7), 8, rail_v=0.2) if diodes else None
    net = ResistorNetwork(8, EDGES, range(3), law=law, diodes=limiter, gyration=gyration)
    setting = torch.rand(16, generator=generator, dtype=torch.float64)
    setting = 2 + setting if isinstance(law, Transistor) else (0.1 + setting) * 1e-4
    held_v = torch.tensor([[2.5, -1.5, 1.0]], dtype=torch.float64)
    if isinstance(law, Transistor):
        held_v = held_v / 4
    current_a = torch.zeros(1, 8, dtype=torch.float64)
    current_a[0, 7] = nudge_a
    volts = net.solve(held_v, setting, current_a=current_a)
    found = operating_point(net, held_v[0], setting, current_a[0], rail_v=0.2)
    np.testing.assert_allclose(volts[0].numpy(), found, rtol=1e-6)


def test_gradients_and_training_steps() -> None:
    states, gradient, steps = ngspice_differences()
    assert max(states, gradient, steps) < 1e-6
