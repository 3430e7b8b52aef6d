"""What can be asked of physics beyond a forward pass: one protocol for each kind of experiment."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pnnlab.systems._shots import FloatArray

__all__ = [
    "CarriesFields",
    "CarriesSignal",
    "Echo",
    "Echoes",
    "Equilibrium",
    "FieldReading",
    "Relaxes",
    "Side",
    "YieldsControls",
]

ComplexArray = npt.NDArray[np.complexfloating]


class Side(StrEnum):
    """Where waves are sent in."""

    IN = "in"
    """At the inputs; they leave at the outputs."""
    OUT = "out"
    """At the outputs; they leave at the inputs."""


@dataclass(frozen=True, slots=True)
class FieldReading:
    """What waves that were sent through a system gave.

    Attributes:
        out: Complex amplitudes at the ports of the other side, shape `(batch, n_ports)`; `None` where they are not
            read.
        inside: What was read at places inside, shape `(batch, n_places)`: complex amplitudes, or real intensities where
            no more is read; `None` where nothing is.
    """

    out: ComplexArray | None
    inside: ComplexArray | FloatArray | None = None


@runtime_checkable
class CarriesFields(Protocol):
    """A linear or nearly linear system through which waves can be sent from both sides."""

    @property
    def n_ports(self) -> int:
        """Return the number of ports of a side."""
        ...

    def send(self, field: ComplexArray, theta: FloatArray, *, side: Side = Side.IN) -> FieldReading:
        """Send waves in, one shot a row (or more, where phases are found by stepping).

        Args:
            field: Complex amplitudes at the ports of a side, shape `(batch, n_ports)`, in units of the largest that the
                system can make.
            theta: Controls, shape `(n_controls,)`.
            side: Where they are sent in.

        Raises:
            SetpointError: Wrong shape, or more than the system can make; nothing was sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """What a system that has come to rest tells.

    Attributes:
        y: Outputs, shape `(batch, n_out)`.
        local: Derivative of the energy with respect to each control at this state, from what is read next to it, shape
            `(batch, n_controls)`.
        at_inputs: The same with respect to each input, shape `(batch, n_in)`; `None` where it is not read.
    """

    y: FloatArray
    local: FloatArray
    at_inputs: FloatArray | None = None


@runtime_checkable
class Relaxes(Protocol):
    """A system that settles into a minimum of an energy E(x, s, θ), and can be pushed there."""

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        """Let the system come to rest, one shot a row.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.
            nudge: Force on the outputs: the energy gets the term `-nudge · y`; shape `(batch, n_out)`. None if `None`.
            clamp: Values at which the outputs are held instead, same shape.

        Raises:
            SetpointError: Wrong shape, outside what the system can make, or nudge and clamp at once; nothing was sent.
        """
        ...


@runtime_checkable
class YieldsControls(Protocol):
    """A system whose controls θ are physical: each is drawn to its knob u by a spring, (u - θ)² / (2 softness)."""

    @property
    def softness(self) -> FloatArray:
        """Return by how much each control gives way to a force of 1 in the units of `relax`, shape `(n_controls,)`."""
        ...

    def rest(
        self, x: FloatArray, knobs: FloatArray, *, nudge: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Let system and controls come to rest, one shot a row.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            knobs: u, shape `(n_controls,)` or `(batch, n_controls)`, each from 0 to 1.
            nudge: Force on the outputs, as in `Relaxes.relax`.

        Returns:
            Outputs, shape `(batch, n_out)`, and where the controls rest, shape `(batch, n_controls)`.

        Raises:
            SetpointError: As in `Relaxes.relax`.
        """
        ...


@runtime_checkable
class CarriesSignal(Protocol):
    """A system at rest through whose elements a second quantity spreads, from its outputs back to its inputs."""

    def carry(self, release: FloatArray, x: FloatArray, theta: FloatArray) -> tuple[Equilibrium, FloatArray]:
        """Let the second carrier spread while the system is at rest, one shot a row.

        Args:
            release: How much each output releases, in units of a nudge's force, shape `(batch, n_out)`.
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.

        Returns:
            The free state, and by how much a nudge of that force would change its `local`, in first order, as both
            carriers tell next to each control, shape `(batch, n_controls)`.

        Raises:
            SetpointError: Wrong shape, or outside what the system can make; nothing was sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Echo:
    """What a run forwards, a reversal of time and a run back gave.

    Attributes:
        y: Outputs after the run forwards, shape `(batch, n_out)`.
        start: The state that was prepared, shape `(batch, n_state)`, complex or real.
        returned: The state after the run back, reversed once more, so that it is `start` where nothing was lost and
            nothing added.
        local: What each control has gathered in both runs (the momentum that it got), shape `(batch, n_controls)`.
    """

    y: FloatArray
    start: ComplexArray | FloatArray
    returned: ComplexArray | FloatArray
    local: FloatArray


@runtime_checkable
class Echoes(Protocol):
    """A system whose motion can be reversed in time."""

    def echo(self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None) -> Echo:
        """Run forwards, reverse, run back; one shot a row.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.
            nudge: What is added to the outputs at the moment of the reversal, shape `(batch, n_out)`; none if `None`.

        Raises:
            SetpointError: Wrong shape, or outside what the system can make; nothing was sent.
        """
        ...
