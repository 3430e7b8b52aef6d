"""Boards of coupled nodes behind perfect converters, and how far equilibrium propagation is from their gradient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pnnlab.devices import SimulatedClock
from pnnlab.methods import EquilibriumPropagation, EquilibriumPropagationOptions, PhysicalGradient
from pnnlab.quantities import FROM_FILE
from pnnlab.systems import (
    AnnealedSpins,
    CoupledNodes,
    Facilities,
    FloatArray,
    Hopfield,
    Oscillators,
    QuantumSpins,
    Springs,
)
from pnnlab_drivers.sim._node_board import NodeBoard, NodeBoardOptions
from pnnlab_drivers.sim.hopfield_board import HopfieldBoard
from pnnlab_drivers.sim.ising_board import IsingBoard
from pnnlab_drivers.sim.oscillator_board import OscillatorBoard
from pnnlab_drivers.sim.spin_board import SpinBoard
from pnnlab_drivers.sim.spring_board import SpringBoard
from scripts.setups._converters import between

__all__ = ["KINDS", "batch", "cosine_to", "distance", "estimated", "exact_gradient", "nodes", "slope"]

KINDS: Mapping[str, tuple[type[NodeBoard], type[CoupledNodes]]] = {
    "hopfield": (HopfieldBoard, Hopfield),
    "ising": (IsingBoard, AnnealedSpins),
    "oscillators": (OscillatorBoard, Oscillators),
    "spins": (SpinBoard, QuantumSpins),
    "springs": (SpringBoard, Springs),
}


def nodes(
    kind: str, layers: tuple[int, ...] = (3, 3, 2), *, joining: str = "neighbours",
    config: Mapping[str, Any] | None = None, **options: Any,
) -> CoupledNodes:  # fmt: skip
    """Return a system of coupled nodes in double precision.

    Args:
        kind: One of `KINDS`.
        layers: Nodes of each layer.
        joining: Which nodes are joined.
        config: Further keys of the system.
        options: Further options of its board.
    """
    clock = SimulatedClock()
    board_type, system_type = KINDS[kind]
    told: dict[str, Any] = {"layers": layers, "joining": joining, "precision": "float64", **options}
    if kind == "ising":
        told.setdefault("reads", None)
    made = board_type.Options.model_validate(told)
    assert isinstance(made, NodeBoardOptions)  # noqa: S101 (each board declares its own)
    board = board_type("board", made, clock=clock, seed=1)
    wired: dict[str, Any] = {
        "kind": kind, "dac": "dac", "adc": "adc", "rate": "10 kHz", "precision": "float64", "layers": layers,
        "joining": joining, **(config or {}),
    }  # fmt: skip
    settings = system_type.Config.model_validate(wired, context=FROM_FILE)
    return system_type("nodes", settings, between(board, clock), Facilities(clock))


def batch(system: CoupledNodes, n: int = 4, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return inputs, controls and targets, drawn evenly."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, (n, system.n_in))
    return x, generator.uniform(0.1, 0.9, system.n_controls), generator.uniform(-0.5, 0.5, (n, system.n_out))


def exact_gradient(
    system: CoupledNodes, x: FloatArray, theta: FloatArray, target: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the gradients of half the mean squared distance from the target in inputs and controls, of the truth."""
    inputs, controls = (torch.from_numpy(values).requires_grad_() for values in (x, theta))
    y: Tensor = system.expected(*system.encode(inputs, controls))
    loss = ((y - torch.from_numpy(target)) ** 2).sum() / (2 * len(x))
    of_inputs, of_controls = torch.autograd.grad(loss, (inputs, controls))
    return of_inputs.numpy(), of_controls.numpy()


def estimated(
    system: CoupledNodes, drawn: tuple[FloatArray, FloatArray, FloatArray], method: PhysicalGradient | None = None,
    **options: Any,
) -> tuple[FloatArray | None, FloatArray]:  # fmt: skip
    """Return the gradients of that loss in inputs and controls that a method measures.

    Args:
        system: Whose gradients.
        drawn: Inputs, controls and targets.
        method: Equilibrium propagation if `None`.
        options: Of equilibrium propagation; nudges are not normalised unless they say so.
    """
    x, theta, target = drawn
    told: dict[str, Any] = {"normalise": False, **options}
    made = EquilibriumPropagation(EquilibriumPropagationOptions(**told)) if method is None else method
    adjoint = made.make_adjoint(system)
    y, memory = adjoint.forward(x, theta)
    return adjoint.backward(memory, (y - target) / len(x))


def distance(found: FloatArray, exact: FloatArray) -> float:
    """Return the relative error of a gradient."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def cosine_to(found: FloatArray, exact: FloatArray) -> float:
    """Return the cosine between two gradients."""
    return float(found @ exact / (np.linalg.norm(found) * np.linalg.norm(exact)))


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of a straight line through the points of a plot of logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
