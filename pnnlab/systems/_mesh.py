"""A mesh of interferometers between converters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Device
from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.quantities import Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import CarriesFields, FieldReading, Side
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["MeshConfig", "MeshSystem", "OpticalPorts"]

ComplexArray = npt.NDArray[np.complexfloating]

_DARK: Final = 1e-9
"""Turns that a heater sets at least: the voltage is a root, which has no slope at 0."""


@runtime_checkable
class OpticalPorts(CarriesFields, Protocol):
    """A system of fields that enter, phases that are its controls, in turns, and fields that leave.

    What `send` reads inside is at a place next to each control, in their order.
    """

    def look(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, FieldReading]:
        """Measure a forward pass; return outputs, shape `(batch, n_out)`, and everything else that was read."""
        ...

    def entering(self, x: FloatArray) -> ComplexArray:
        """Return the fields that inputs are, shape `(batch, n_ports)`, in the unit of `send`."""
        ...

    def error_field(self, out: ComplexArray, grad_y: FloatArray) -> ComplexArray:
        """Return δ of `dL = 2 Re(δ · dE)` where the fields E leave, shape `(batch, n_ports)`.

        Args:
            out: The fields E in the unit of `send`, shape `(batch, n_ports)`.
            grad_y: Derivative of the loss L by the outputs, shape `(batch, n_out)`.
        """
        ...

    def input_gradient(self, back: ComplexArray) -> FloatArray:
        """Return the derivative of the loss by the inputs, shape `(batch, n_in)`, of δ as it comes back to them."""
        ...


class MeshConfig(PortSystemConfig):
    """A system of the kind `mesh` in the bench file.

    Attributes:
        ports: Guides of the mesh.
        matrix: `unitary` for one mesh, `factored` for two with attenuators between them, as in `SvdMesh`.
        taps: What is read at each phase shifter, or between two meshes: `none`, `intensity` or `field`.
        coherent: Whether fields are read at the right.
        bidirectional: Whether the right has modulators, and the left receivers.
        inputs: Inputs are real `amplitudes`, one a port, or real and then imaginary parts of `fields`.
        references: So many ports, the last ones, get no input but constant light as of an input at 1, so that powers
            depend on the inputs' signs and sizes, and not on their proportions alone.
        outputs: Outputs are `powers`, or real and then imaginary parts of `fields`.
        two_pi_v: Voltage at which a heater shifts by a turn, by design.
        amplitude_v: Voltage of a modulator at unit amplitude, the largest of a quadrature.
        diode_v: Voltage of photodiodes at unit power.
        receiver_v: Voltage of receivers at unit amplitude.
        input_amplitude: Amplitude at an input of 1; what is left up to 1 is room for an error on top of it.
    """

    kind: Literal["mesh"] = "mesh"
    ports: int = Field(ge=2)
    matrix: Literal["unitary", "factored"] = "unitary"
    taps: Literal["none", "intensity", "field"] = "none"
    coherent: bool = False
    bidirectional: bool = False
    inputs: Literal["amplitudes", "fields"] = "amplitudes"
    references: int = Field(default=0, ge=0)
    outputs: Literal["powers", "fields"] = "powers"
    two_pi_v: Volts = Field(default=4.0, gt=0)
    amplitude_v: Volts = Field(default=4.0, gt=0)
    diode_v: Volts = Field(default=1.0, gt=0)
    receiver_v: Volts = Field(default=1.0, gt=0)
    input_amplitude: float = Field(default=0.5, gt=0, le=1)

    @property
    def n_heaters(self) -> int:
        """Return the number of phases that are set."""
        return self.ports**2 if self.matrix == "unitary" else 2 * self.ports**2 + self.ports

    @property
    def n_places(self) -> int:
        """Return the number of places that taps look at."""
        return self.ports**2 if self.matrix == "unitary" else self.ports

    @model_validator(mode="after")
    def _check_receivers(self) -> Self:
        if (self.bidirectional or self.outputs == "fields") and not self.coherent:
            raise ValueError("fields are wanted at the right; set `coherent` to true")
        if self.references >= self.ports:
            raise ValueError(f"{self.references} of {self.ports} ports carry constant light; leave one for inputs")
        return self


@dataclass(frozen=True)
class _Layout:
    """Which channels carry what: runs of the DAC's, then runs of the ADC's."""

    heaters: slice
    modulators: Mapping[Side, slice]
    n_outputs: int
    diodes: slice
    receivers: Mapping[Side, slice]
    taps: slice
    n_inputs: int

    @classmethod
    def of(cls, config: MeshConfig) -> "_Layout":
        n, heaters = config.ports, config.n_heaters
        sides = [Side.IN, Side.OUT] if config.bidirectional else [Side.IN]
        modulators = {side: slice(heaters + 2 * n * k, heaters + 2 * n * (k + 1)) for k, side in enumerate(sides)}
        seen = ([Side.OUT] if config.coherent else []) + ([Side.IN] if config.bidirectional else [])
        receivers = {side: slice(n + 2 * n * k, n + 2 * n * (k + 1)) for k, side in enumerate(seen)}
        begin = n + 2 * n * len(seen)
        taps = slice(begin, begin + {"none": 0, "intensity": 1, "field": 2}[config.taps] * config.n_places)
        return cls(
            slice(heaters), modulators, heaters + 2 * n * len(sides), slice(n), receivers, taps, taps.stop
        )  # fmt: skip


class MeshSystem(PortSystem):
    """One shot: light enters a mesh at the left, and leaves it at the right.

    Controls are the phases in turns, in the order of `pnnlab.physics.InterferometerMesh`; channels are in that of
    `pnnlab.physics.MeshCircuit`. A heater shifts in proportion to its power, so its voltage is `two_pi` times the root
    of what a phase is beyond whole turns. An output is a power in units of an input's at 1, or a quadrature of a field
    in units of an input at 1.
    """

    Config = MeshConfig
    control_range = ControlRange.PERIODIC
    config: MeshConfig

    def __init__(
        self, name: str, config: MeshConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:  # fmt: skip
        super().__init__(name, config, devices, facilities)
        self._layout = _Layout.of(config)
        self._check_channels(self._layout.n_outputs, self._layout.n_inputs)
        # which heater and which input each channel of the DAC carries, and whether it carries one
        channels, heaters = np.arange(self._layout.n_outputs), self.n_controls
        self._heater_columns = np.where(channels < heaters, channels, 0)
        self._is_heater = (channels < heaters).astype(np.float64)
        n, lit = config.ports, config.ports - config.references
        # the two runs of in-phase and quadrature modulators at the left, without ports of constant light
        port = (channels - heaters) % n
        quadrature = (channels - heaters) // n
        is_input = (channels >= heaters) & (quadrature < self.n_in // lit) & (port < lit)
        self._input_columns = np.where(is_input, quadrature * lit + port, 0)
        self._is_input = is_input.astype(np.float64)
        self._constant = ((channels >= heaters) & (quadrature == 0) & (port >= lit)).astype(np.float64)

    # What it is

    @property
    def n_ports(self) -> int:
        """See `CarriesFields.n_ports`."""
        return self.config.ports

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return (self.config.ports - self.config.references) * (2 if self.config.inputs == "fields" else 1)

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: two phases an interferometer, one an output, one an attenuator."""
        return self.config.n_heaters

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self.config.ports * (2 if self.config.outputs == "fields" else 1)

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`: what taps, receivers and modulators give access to; glass is reciprocal."""
        config = self.config
        has = {
            Capability.FIELD_OUTPUT: config.coherent,
            Capability.PHASE_CONTROLS: config.matrix == "unitary",
            Capability.BIDIRECTIONAL: config.bidirectional,
            Capability.RECIPROCAL: config.bidirectional,
            Capability.INTERNAL_INTENSITY: config.taps != "none" and config.matrix == "unitary",
            Capability.LOCAL_STATE: config.taps == "field" and config.matrix == "unitary",
            Capability.FACTORED: self._reads_between,
            Capability.INTERNAL_STATE: self._reads_between,
        }
        return frozenset(capability for capability, there in has.items() if there)

    @property
    def _reads_between(self) -> bool:
        """Whether light is read between two meshes: where it is all that the second one gets."""
        return self.config.taps == "field" and self.config.matrix == "factored"

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.state_shapes`: real, then imaginary parts of the fields between two meshes, as of `send`."""
        return ((2 * self.n_ports,),) if self._reads_between else ()

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `PortSystem.encode`."""
        heaters = (theta % 1).clip(_DARK, 1) ** 0.5 * (self.config.two_pi_v / self.config.unit_v)
        unit = self.config.input_amplitude * self._modulation
        lit = x[..., self._input_columns] * constant_like(self._is_input * unit, x)
        hot = heaters[..., self._heater_columns] * constant_like(self._is_heater, heaters)
        return (lit + hot + constant_like(self._constant * unit, x),)

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`."""
        config, layout = self.config, self._layout
        if config.outputs == "powers":
            powers: A = reading[..., layout.diodes] / (config.diode_v * config.input_amplitude**2)
            return powers
        fields: A = reading[..., layout.receivers[Side.OUT]] / (config.receiver_v * config.input_amplitude)
        return fields

    def inside(self, reading: A) -> tuple[A, ...]:
        """See `PortSystem.inside`."""
        if not self._reads_between:
            return ()
        return (reading[..., self._layout.taps] / self.config.receiver_v,)

    # Fields

    def send(self, field: ComplexArray, theta: FloatArray, *, side: Side = Side.IN) -> FieldReading:
        """See `CarriesFields.send`; what is inside is at the phase shifters, on the side of each towards the outputs.

        Raises:
            CapabilityError: Nothing can be sent in at the outputs.
            SetpointError: A quadrature is above 1, or the shape is wrong; nothing was sent.
        """
        if side not in self._layout.modulators:
            raise CapabilityError(
                f"{self.name}: light is to be sent in at its outputs, where it has no modulators; "
                "bidirectional chips have (`bidirectional: true`)"
            )
        field = np.asarray(field)
        largest = max(float(np.abs(field.real).max()), float(np.abs(field.imag).max())) if field.size else 0.0
        if field.ndim != 2 or field.shape[1] != self.n_ports or not largest <= 1 + 1e-6:
            raise SetpointError(
                f"{self.name}: fields of shape {field.shape} with quadratures up to {largest:g} are to be sent in, "
                f"expected is (batch, {self.n_ports}) and up to 1, the largest that modulators make; nothing was sent"
            )
        drive = np.zeros((len(field), self._layout.n_outputs), self.dtype)
        dark = np.zeros((len(field), self.n_in), self.dtype)
        drive[:, self._layout.heaters] = self.encode(dark, np.asarray(theta, self.dtype))[0][:, self._layout.heaters]
        parts = np.concatenate([field.real, field.imag], -1) * self._modulation
        drive[:, self._layout.modulators[side]] = parts
        return self._told(self.probe(drive), side)

    def look(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, FieldReading]:
        """See `OpticalPorts.look`."""
        reading = self.read(x, theta)
        return self.outputs(reading), self._told(reading, Side.IN)

    def entering(self, x: FloatArray) -> ComplexArray:
        """See `OpticalPorts.entering`."""
        entering: ComplexArray = x + 0j if self.config.inputs == "amplitudes" else _joined_parts(x)
        light: ComplexArray = np.pad(entering, ((0, 0), (0, self.config.references)), constant_values=1)
        light *= self.config.input_amplitude
        return light

    def error_field(self, out: ComplexArray, grad_y: FloatArray) -> ComplexArray:
        """See `OpticalPorts.error_field`."""
        unit = self.config.input_amplitude
        if self.config.outputs == "powers":
            error: ComplexArray = grad_y * out.conj() / unit**2
            return error
        swapped: ComplexArray = _joined_parts(grad_y).conj() / (2 * unit)
        return swapped

    def input_gradient(self, back: ComplexArray) -> FloatArray:
        """See `OpticalPorts.input_gradient`."""
        slopes = 2 * self.config.input_amplitude * back[:, : self.config.ports - self.config.references]
        if self.config.inputs == "amplitudes":
            real: FloatArray = slopes.real
            return real
        return np.concatenate([slopes.real, -slopes.imag], -1)

    def _told(self, reading: FloatArray, side: Side) -> FieldReading:
        """Return what channels read of light that was sent in at a side."""
        config, layout = self.config, self._layout
        other = Side.OUT if side is Side.IN else Side.IN
        out = None
        if other in layout.receivers:
            out = _joined_parts(reading[:, layout.receivers[other]]) / config.receiver_v
        taps = reading[:, layout.taps]
        if config.taps == "none":
            return FieldReading(out)
        return FieldReading(
            out, _joined_parts(taps) / config.receiver_v if config.taps == "field" else taps / config.diode_v
        )

    @property
    def _modulation(self) -> float:
        """Drive of a modulator at unit amplitude."""
        return self.config.amplitude_v / self.config.unit_v


def _joined_parts(parts: FloatArray) -> ComplexArray:
    """Return complex numbers of real parts followed by imaginary ones, shape `(batch, n)` of `(batch, 2 n)`."""
    half = parts.shape[-1] // 2
    joined: ComplexArray = parts[..., :half] + 1j * parts[..., half:]
    return joined
