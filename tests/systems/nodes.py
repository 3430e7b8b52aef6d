"""Boards of coupled nodes behind perfect converters, in double precision."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pnnlab.devices import Device, SimulatedClock
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
from pnnlab_drivers.sim._node_board import NodeBoard
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.hopfield_board import HopfieldBoard
from pnnlab_drivers.sim.ising_board import IsingBoard
from pnnlab_drivers.sim.oscillator_board import OscillatorBoard
from pnnlab_drivers.sim.spin_board import SpinBoard
from pnnlab_drivers.sim.spring_board import SpringBoard

KINDS: Mapping[str, tuple[type[NodeBoard], type[CoupledNodes]]] = {
    "hopfield": (HopfieldBoard, Hopfield),
    "ising": (IsingBoard, AnnealedSpins),
    "oscillators": (OscillatorBoard, Oscillators),
    "spins": (SpinBoard, QuantumSpins),
    "springs": (SpringBoard, Springs),
}
WIRED: Mapping[str, Any] = {"dac": "dac", "adc": "adc", "rate": "10 kHz", "precision": "float64"}


def nodes(
    kind: str, layers: tuple[int, ...] = (3, 3, 2), *, joining: str = "neighbours",
    config: Mapping[str, Any] | None = None, **options: Any,
) -> CoupledNodes:  # fmt: skip
    """Return a system of coupled nodes; options are those of its board."""
    clock = SimulatedClock()
    board_type, system_type = KINDS[kind]
    if kind == "ising":
        options = {"reads": None, **options}
    told = {"layers": layers, "joining": joining, "precision": "float64", **options}
    board = board_type("board", board_type.Options.model_validate(told), clock=clock, seed=1)  # type: ignore[arg-type]
    exact = {"quantised": False}
    devices: dict[str, Device] = {
        "dac": SimDac("dac", SimDac.Options.model_validate(exact), clock=clock, plant=board).open(),
        "adc": SimAdc("adc", SimAdc.Options.model_validate(exact), clock=clock, plant=board).open(),
    }
    wired = {**WIRED, "kind": kind, "layers": layers, "joining": joining, **(config or {})}
    settings = system_type.Config.model_validate(wired, context=FROM_FILE)
    return system_type("nodes", settings, devices, Facilities(clock))


def batch(system: CoupledNodes, n: int = 4, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return inputs, controls and targets."""
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
