"""A torch module whose forward pass is a measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pnnlab.errors import CapabilityError, TwinError
from pnnlab.nn._adjoint import Adjoint, physical_forward
from pnnlab.nn._autograd import measure, measured_forward
from pnnlab.nn._cut import passage_in_force
from pnnlab.systems import ControlRange, Measurement, System
from pnnlab.twins import DigitalTwin, Interface, ShotSet

__all__ = ["ForwardRule", "PhysicalLayer", "interface_of", "measure_shots", "record_shots"]


class Recorder(Protocol):
    """Told of every batch of shots that a layer measures."""

    def append(self, batch: ShotSet, /) -> None: ...


class ForwardRule(StrEnum):
    """Where a layer's outputs come from, and its gradients."""

    MEASURED = "measured"
    """Outputs from the bench, gradients from the twin at the measured point: physics-aware."""
    REPLAYED = "replayed"
    """As measured, with the twin's states, as far as they were read, held at what was read."""
    TWIN = "twin"
    """Outputs and gradients from the twin; the bench is not touched: in silico."""
    PHYSICAL = "physical"
    """Outputs and gradients from the bench, by the layer's `adjoint`: physics is its own backward pass."""


class PhysicalLayer(nn.Module):
    """A layer of a network that is a physical system: forward is the measurement, backward the twin's.

    Several layers may share one system: each has controls of its own, which are set before its shots.

    Args:
        system: The opened system.
        twin: Its digital twin; without one only outputs can be had, no gradients.
        controls: Controls to start from, shape `(n_controls,)`; `None` draws them evenly from 0 to 1.

    Attributes:
        raw_controls: The trained parameter, shape `(n_controls,)`. `controls` maps it onto legal controls:
            itself where controls are periodic (phases in turns), by a logistic function onto 0 to 1 elsewhere.
        rule: Where outputs come from; training methods set it.
        adjoint: The experiments by which the bench carries errors back, for `ForwardRule.PHYSICAL`.
        recorders: Told of every batch that is measured, except where the rule is `PHYSICAL`.
    """

    def __init__(self, system: System, twin: DigitalTwin | None = None, *, controls: Tensor | None = None) -> None:
        super().__init__()
        self.system = system
        self.twin = twin
        self.rule = ForwardRule.MEASURED
        dtype = torch.from_numpy(np.empty(0, system.dtype)).dtype
        start = torch.rand(system.n_controls, dtype=dtype) if controls is None else controls.detach().to(dtype).clone()
        if system.control_range is ControlRange.BOUNDED:
            # a control at its very end would have no gradient left
            start = start.clamp(1e-3, 1 - 1e-3).logit()
        self.raw_controls = nn.Parameter(start)
        self.adjoint: Adjoint | None = None
        self.recorders: list[Recorder] = []
        self.last_measurement: Measurement | None = None

    @property
    def controls(self) -> Tensor:
        """Return the controls θ, shape `(n_controls,)`, differentiable in `raw_controls`."""
        return self.to_controls(self.raw_controls)

    def to_controls(self, raw: Tensor) -> Tensor:
        """Return legal controls for raw ones of any shape."""
        return raw.sigmoid() if self.system.control_range is ControlRange.BOUNDED else raw

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs, shape `(batch, n_out)`, of inputs, shape `(batch, n_in)`; see `respond`.

        Within `pnnlab.nn.cut_at_layers` they are cut off from the graph.
        """
        passage = passage_in_force()
        return self.respond(x) if passage is None else passage(self, x)

    def respond(self, x: Tensor) -> Tensor:
        """Return outputs, shape `(batch, n_out)`, of inputs, shape `(batch, n_in)`, with the graph that the rule gives.

        Raises:
            TwinError: The rule asks for a twin, or a gradient is needed, and there is none.
            DeviceError: The bench did not do what was asked.
        """
        theta = self.controls
        if self.rule is ForwardRule.TWIN:
            y: Tensor = self.needed_twin()(*self.system.encode(x, theta))
            return y
        has_gradient = torch.is_grad_enabled() and (x.requires_grad or theta.requires_grad)
        if has_gradient and self.rule is ForwardRule.PHYSICAL:
            return physical_forward(self.needed_adjoint(), x, theta)
        if has_gradient:
            replayed = self.rule is ForwardRule.REPLAYED
            y, shots = measured_forward(self.system, self.needed_twin(), x, theta, replayed=replayed)
        else:
            shots = measure(self.system, x, theta)
            y = torch.from_numpy(np.ascontiguousarray(shots.y)).to(x.device)
        self.last_measurement = shots
        for recorder in self.recorders:
            recorder.append(shot_set(self.system, shots))
        return y

    def needed_adjoint(self) -> Adjoint:
        """Return the experiments by which the bench carries errors back.

        Raises:
            CapabilityError: There are none.
        """
        if self.adjoint is None:
            raise CapabilityError(
                f"{self.system.name}: the bench is to carry errors back itself, but the layer has no `adjoint`; train "
                "it with a method that gives it one, or choose another rule"
            )
        return self.adjoint

    def extra_repr(self) -> str:
        """Return what `print(layer)` shows between its brackets."""
        system = self.system
        return f"{system.name}: {system.n_in} inputs, {system.n_controls} controls, {system.n_out} outputs, {self.rule}"

    def needed_twin(self) -> DigitalTwin:
        """Return the twin.

        Raises:
            TwinError: There is none.
        """
        if self.twin is None:
            raise TwinError(
                f"{self.system.name}: a gradient through this layer is asked for, but it has no twin; "
                "give PhysicalLayer a twin, or measure under torch.no_grad()"
            )
        return self.twin


def interface_of(system: System) -> Interface:
    """Return what a twin must know of a system."""
    shared = frozenset({len(system.drive_shapes) - 1}) if system.shares_controls else frozenset[int]()
    return Interface(
        system.drive_shapes,
        system.output_shape,
        periodic=system.control_range is ControlRange.PERIODIC,
        shared=shared,
        to_setpoints=system.to_setpoints,
        decode=system.decode,
        expected=system.expected if system.is_simulated else None,
    )


def shot_set(system: System, shots: Measurement) -> ShotSet:
    """Return a measurement as shots that a twin can learn from."""
    batch = len(shots.y)
    drive = [torch.from_numpy(np.array(d)) for d in shots.drive]
    if system.shares_controls:
        drive[-1] = drive[-1][None].expand(batch, *drive[-1].shape)
    states = tuple(torch.from_numpy(np.array(state)) for state in shots.states)
    return ShotSet(tuple(drive), torch.from_numpy(np.array(shots.y)), states)


@torch.no_grad()
def measure_shots(layer: PhysicalLayer, x: Tensor, raw: Tensor | None = None) -> ShotSet:
    """Measure a batch beside the network: the layer keeps no trace of it.

    Args:
        layer: Whose system measures.
        x: Inputs, shape `(batch, n_in)`.
        raw: Raw controls to set, shape `(n_controls,)`; the layer's own if `None`.
    """
    theta = layer.to_controls(layer.raw_controls if raw is None else raw)
    return shot_set(layer.system, measure(layer.system, x, theta))


@contextmanager
def record_shots(model: nn.Module) -> Iterator[dict[str, list[ShotSet]]]:
    """Collect every shot that a model's physical layers measure meanwhile, by the system's name.

    So a twin can learn from exactly the drives that training visits.
    """
    layers = [module for module in model.modules() if isinstance(module, PhysicalLayer)]
    shots: dict[str, list[ShotSet]] = {layer.system.name: [] for layer in layers}
    for layer in layers:
        layer.recorders.append(shots[layer.system.name])
    try:
        yield shots
    finally:
        for layer in layers:
            layer.recorders.remove(shots[layer.system.name])
