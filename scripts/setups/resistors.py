"""Boards with networks of conductances, and what wires them, made in Python."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch

from pnnlab.devices import Device, SimulatedClock
from pnnlab.nn import Adjoint
from pnnlab.systems import Facilities, FloatArray, ResistorCopiesSystem, ResistorNetworkSystem
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.resistor_board import ResistorBoard
from pnnlab_drivers.sim.resistor_copies import ResistorCopies

__all__ = [
    "EXACT", "HIGH_S", "LOW_S", "cosine", "gradients", "random_edges", "relative", "resistor_system", "sample",
]  # fmt: skip

EXACT: Final[Mapping[str, Any]] = {"quantised": False, "range_v": (-100.0, 100.0)}
"""Converters without steps, of a range beyond any use."""

LOW_S, HIGH_S, FULL_V = 5e-5, 1.5e-4, 5.0
"""Conductances at both ends of a control, and its voltage at the upper one."""


def random_edges(nodes: int, probability: float, seed: int) -> list[tuple[int, int]]:
    """Return edges of a connected random graph: each pair with a probability, and a path through all nodes."""
    draws = np.random.default_rng(seed)
    order = draws.permutation(nodes)
    path = {(min(pair), max(pair)) for pair in pairwise(order.tolist())}
    pairs = {(a, b) for a in range(nodes) for b in range(a + 1, nodes) if draws.random() < probability}
    return sorted(path | pairs)


def resistor_system(
    nodes: int, inputs: int, outputs: int, edges: list[tuple[int, int]], *, design: Mapping[str, Any] | None = None,
    board: Mapping[str, Any] | None = None, converters: Mapping[str, Any] = EXACT,
    reader: Mapping[str, Any] | None = None, wiring: Mapping[str, Any] | None = None,
    copies: bool = False, seed: int = 1,
) -> ResistorNetworkSystem:  # fmt: skip
    """Return a board with its converters, wired; in double precision, and exact if nothing else is said.

    Args:
        nodes: Of the network.
        inputs: See `pnnlab.systems.ResistorNetworkConfig`.
        outputs: See there.
        edges: See there.
        design: What is different in the network's design.
        board: Imperfections of the board.
        converters: Options of DAC and ADC.
        reader: Options of the ADC instead.
        wiring: What is different in the system's configuration.
        copies: Whether there are two copies.
        seed: Of the board's specimen.
    """
    clock = SimulatedClock()
    shared = {"nodes": nodes, "edges": edges, "outputs": outputs}
    kind, plant_kind = (ResistorCopiesSystem, ResistorCopies) if copies else (ResistorNetworkSystem, ResistorBoard)
    config = kind.Config.model_validate(
        {
            "kind": "resistor-copies" if copies else "resistor-network", "dac": "dac", "adc": "adc", "rate_hz": 10e3,
            "precision": "float64", **shared, "inputs": inputs, "input_v": 1.0, "control_high_v": FULL_V,
            "span_siemens": HIGH_S - LOW_S, **(wiring or {}),
        }
    )  # fmt: skip
    held = inputs * (1 + bool((wiring or {}).get("mirrored"))) + 2 * bool((wiring or {}).get("bias"))
    plan = {
        **shared, "inputs": held, "low_siemens": LOW_S, "high_siemens": HIGH_S, "control_full_v": FULL_V,
        "wiper_steps": 0, **(design or {}),
    }  # fmt: skip
    options = plant_kind.Options.model_validate({"precision": "float64", "network": plan, **(board or {})})
    plant = plant_kind("board", options, clock=clock, seed=seed)
    devices: dict[str, Device] = {
        "dac": SimDac("dac", SimDac.Options.model_validate(converters), clock=clock, plant=plant).open(),
        "adc": SimAdc("adc", SimAdc.Options.model_validate(reader or converters), clock=clock, plant=plant).open(),
    }
    return kind("network", config, devices, Facilities(clock))


def sample(
    system: ResistorNetworkSystem, *, batch: int = 4, seed: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return inputs, controls and targets at random."""
    draws = np.random.default_rng(seed)
    x, theta = draws.uniform(-1, 1, (batch, system.n_in)), draws.uniform(0, 1, system.n_controls)
    return x, theta, draws.uniform(-0.5, 0.5, (batch, system.n_out))


def gradients(
    system: ResistorNetworkSystem, adjoint: Callable[[ResistorNetworkSystem], Adjoint], *, batch: int = 4, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient of `mean |y - t|²/2` in the controls as measured, and by autograd through the same board."""
    x, theta, target = sample(system, batch=batch, seed=seed)
    experiments = adjoint(system)
    y, memory = experiments.forward(x, theta)
    _, found = experiments.backward(memory, (y - target) / batch)
    controls = torch.tensor(theta, requires_grad=True)
    reached = system.expected(*system.encode(torch.tensor(x), controls))
    loss = (reached - torch.tensor(target)).square().sum(1).mean() / 2
    (exact,) = torch.autograd.grad(loss, controls)
    return found, exact.numpy()


def relative(found: FloatArray, exact: FloatArray) -> float:
    """Return the size of the difference by that of the exact one."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def cosine(one: FloatArray, other: FloatArray) -> float:
    """Return the cosine of the angle between two vectors."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
