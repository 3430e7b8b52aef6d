"""Boards with networks of conductances, and what wires them, made in Python."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

from pnnlab.devices import Device, SimulatedClock
from pnnlab.systems import Facilities, ResistorCopiesSystem, ResistorNetworkSystem
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.resistor_board import ResistorBoard
from pnnlab_drivers.sim.resistor_copies import ResistorCopies

__all__ = ["EXACT", "random_edges", "resistor_system"]

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
    wiring: Mapping[str, Any] | None = None, copies: bool = False, seed: int = 1,
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
        "adc": SimAdc("adc", SimAdc.Options.model_validate(converters), clock=clock, plant=plant).open(),
    }
    return kind("network", config, devices, Facilities(clock))
