"""Light that carries errors back: gradients of phases from fields, or from intensities, inside linear optics."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.nn import Adjoint
from pnnlab.systems import FieldReading, FloatArray, OpticalPorts, Side, System

__all__ = ["RAD_PER_TURN", "FieldOverlap", "Interference", "LightAdjoint", "Pass"]

ComplexArray = npt.NDArray[np.complexfloating]

RAD_PER_TURN: Final = 2 * math.pi


@dataclass(frozen=True, slots=True)
class Pass:
    """What a forward pass leaves for the way back."""

    x: FloatArray
    theta: FloatArray
    reading: FieldReading


class LightAdjoint(Adjoint):
    """What both ways have in common: the error runs back as light, and tells the inputs' gradient when it comes out.

    Args:
        system: Optics that can be driven from both sides.

    Raises:
        CapabilityError: Its inputs and outputs are no fields.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system)
        if not isinstance(system, OpticalPorts):
            raise CapabilityError(
                f"{system.name}: its kind {system.config.kind!r} has no inputs and outputs that are fields of light; "
                "errors can be carried back by light in systems of the kinds mesh, diffractive and free-space"
            )
        self.optics: OpticalPorts = system

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, Pass]:
        """See `Adjoint.forward`."""
        y, reading = self.optics.look(x, theta)
        return y, Pass(x, theta, reading)

    def send_back(self, memory: Pass, grad_y: FloatArray) -> tuple[FloatArray, FieldReading, ComplexArray]:
        """Send each sample's error back, as strong as the modulators make it.

        Args:
            memory: Of the forward pass.
            grad_y: See `Adjoint.backward`.

        Returns:
            Size of each sample's error in units of what was sent, shape `(batch, 1)`; what was read; and the fields
            that came out at the inputs.
        """
        error = self.optics.error_field(self._known(memory.reading.out), grad_y)
        size = largest_quadrature(error)
        reading = self.send_error(error / np.where(size > 0, size, 1), memory.theta)
        return size, reading, self._known(reading.out)

    def send_error(self, error: ComplexArray, theta: FloatArray) -> FieldReading:
        """Send an error in, shape `(batch, n_ports)`, so that it runs back through what has controls θ."""
        return self.optics.send(error, theta, side=Side.OUT)

    def _known(self, field: ComplexArray | None) -> ComplexArray:
        if field is None:
            raise CapabilityError(
                f"{self.system.name}: an error's phase is not known, as no fields are read at its ends"
            )
        return field


class FieldOverlap(LightAdjoint):
    """The gradient by each phase is `2 Re(i f b)` of the fields f forwards and b backwards at its shifter.

    Exact in every reciprocal system, whatever it loses (Hughes et al. 2018, Optica 5, 864, eq. 8). Two shots a sample.

    Args:
        system: Optics with interferometric taps, driven from both sides.
    """

    def backward(self, memory: Pass, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        size, reading, back = self.send_back(memory, grad_y)
        overlap = -2 * (self._inside(memory.reading) * self._inside(reading)).imag
        return self.optics.input_gradient(size * back), RAD_PER_TURN * (size * overlap).sum(0)

    def _inside(self, reading: FieldReading) -> ComplexArray:
        if reading.inside is None or not np.iscomplexobj(reading.inside):
            raise CapabilityError(
                f"{self.system.name}: fields at its phase shifters are asked for, its taps tell "
                f"{'nothing' if reading.inside is None else 'intensities'}; set the method's `read_out` to intensity"
            )
        field: Any = reading.inside
        return np.asarray(field)


class Interference(LightAdjoint):
    """The gradient from intensities at the shifters alone, by sending the time-reversed error along with the inputs.

    What the error has become at the inputs is conjugated and sent forwards. Without loss it then retraces its way, and
    interferes at each shifter with the light of the inputs (Hughes et al. 2018, Optica 5, 864, sec. 3; Pai et al. 2023,
    Science 380, 398). Loss breaks that; what all paths lose alike can be told by `kept`.

    Args:
        system: Optics with taps, driven from both sides.
        phases: 0 for the difference of three intensities `|f - i a|² - |f|² - |a|²`; else so many phases between both
            lights are swept, and the part of the intensity that follows is kept (lock-in).
        kept: Part of the power that has not been lost on the way from the inputs to each place, shape `(n_places,)`.
    """

    def __init__(self, system: System, *, phases: int = 0, kept: FloatArray | None = None) -> None:
        super().__init__(system)
        self._phases, self._kept = phases, 1.0 if kept is None else kept

    def backward(self, memory: Pass, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        size, _, back = self.send_back(memory, grad_y)
        entering, reversed_ = self.optics.entering(memory.x), back.conj()
        # as strong as there is room for beside the inputs
        strong, room = largest_quadrature(reversed_), 1 - largest_quadrature(entering)
        if float(room.min()) <= 0:
            raise SetpointError(
                f"{self.system.name}: inputs use all of the modulators' amplitude, but the error is to be sent along "
                "with them; lower the system's `input_amplitude`"
            )
        gain = room / np.where(strong > 0, math.sqrt(2) * strong, 1)
        added = gain * reversed_
        seen = self._swept(entering, added, memory) if self._phases else self._subtracted(entering, added, memory)
        grad_theta: FloatArray = RAD_PER_TURN * (size / gain * seen).sum(0) / self._kept
        return self.optics.input_gradient(size * back), grad_theta

    def _subtracted(self, entering: ComplexArray, added: ComplexArray, memory: Pass) -> FloatArray:
        alone = self._intensities(self.optics.send(added, memory.theta))
        both = self._intensities(self.optics.send(entering - 1j * added, memory.theta))
        difference: FloatArray = both - alone - self._intensities(memory.reading)
        return difference

    def _swept(self, entering: ComplexArray, added: ComplexArray, memory: Pass) -> FloatArray:
        angles = 2 * math.pi * np.arange(self._phases) / self._phases - math.pi / 2
        found: FloatArray = np.zeros(0)
        for angle in angles:
            light = entering + added * np.exp(1j * angle).astype(added.dtype)
            part = -math.sin(angle) * self._intensities(self.optics.send(light, memory.theta))
            found = found + part if found.size else part
        return found / float(np.square(np.sin(angles)).sum())

    def _intensities(self, reading: FieldReading) -> FloatArray:
        if reading.inside is None:
            raise CapabilityError(
                f"{self.system.name}: intensities at its phase shifters are asked for, it has no taps"
            )
        inside: Any = reading.inside
        seen: FloatArray = np.square(np.abs(inside)) if np.iscomplexobj(inside) else np.asarray(inside)
        return seen


def largest_quadrature(field: ComplexArray) -> FloatArray:
    """Return the largest real or imaginary part of each sample, shape `(batch, 1)`."""
    largest: FloatArray = np.maximum(np.abs(field.real), np.abs(field.imag)).max(-1, keepdims=True)
    return largest
