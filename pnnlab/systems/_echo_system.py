"""A nonlinear wave that is sent through a medium, and back by a phase-conjugating mirror."""

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Device
from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.quantities import Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import Echo
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["EchoConfig", "EchoSystem"]

ComplexArray = npt.NDArray[np.complexfloating]


class EchoConfig(PortSystemConfig):
    """A system of the kind `echo` in the bench file; times and rates are in the chip's units.

    Attributes:
        modes: Number of modes.
        slabs: Stretches of medium, passed one after the other.
        medium: Whether every slab has detunings of its own (`apart`), or all have the same (`shared`: the wave passes
            one medium again and again, a recurrent network).
        inputs: Whether all inputs are in the first pulse, mode by mode (`start`), or in the pulses of all slabs, slab
            by slab (`series`).
        input_modes: Modes that have an input, the first ones; all if `null`.
        output_modes: Modes that are outputs, the last ones; all if `null`.
        output_slabs: Slabs at whose ends outputs are read, the last ones.
        bias: Amplitude of the first pulse in modes without an input.
        input_amplitude: Amplitude of a pulse at an input of 1.
        reach: Detuning at a control of 1; at 0 it is the negative of it.
        mirror: Whether there is a mirror.
        lossless: Whether the chip is built to lose next to nothing on the way there and back.
        amplitude_v: Voltage of a pulse of unit amplitude.
        detuning_v: Voltage of a unit detuning.
        nudge_v: Voltage at which a mirror's phase moves by 1 rad.
        shutter_v: Voltage at which the mirror's shutter is open.
        field_v: Reading of a receiver at a quadrature of 1.
        momentum_v: Reading of a momentum of 1.
    """

    kind: Literal["echo"] = "echo"
    modes: int = Field(ge=2)
    slabs: int = Field(default=1, gt=0)
    medium: Literal["apart", "shared"] = "apart"
    inputs: Literal["start", "series"] = "start"
    input_modes: int | None = Field(default=None, gt=0)
    output_modes: int | None = Field(default=None, gt=0)
    output_slabs: int = Field(default=1, gt=0)
    bias: float = 0.0
    input_amplitude: float = Field(default=1.0, gt=0)
    reach: float = Field(default=5.0, gt=0)
    mirror: bool = True
    lossless: bool = True
    amplitude_v: Volts = Field(default=1.0, gt=0)
    detuning_v: Volts = Field(default=1.0, gt=0)
    nudge_v: Volts = Field(default=1.0, gt=0)
    shutter_v: Volts = Field(default=1.0, gt=0)
    field_v: Volts = Field(default=1.0, gt=0)
    momentum_v: Volts = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        for name, n, most in (
            ("input_modes", self.input_modes, self.modes),
            ("output_modes", self.output_modes, self.modes),
            ("output_slabs", self.output_slabs, self.slabs),
        ):
            if n is not None and n > most:
                raise ValueError(f"{name} is {n}, there are {most}; lower it")
        return self


class EchoSystem(PortSystem):
    """One shot: pulses make a wave, which passes the medium; outputs are intensities of modes where it leaves slabs.

    Controls are the detunings, from -`reach` to `reach`, slab by slab. With the mirror's shutter open the wave
    comes back, and the medium tells the momentum that each detuning has got (`echo`). The channels are in the order
    that `pnnlab_drivers.sim.lattice_chip` has.
    """

    Config = EchoConfig
    control_range = ControlRange.BOUNDED
    config: EchoConfig

    def __init__(
        self, name: str, config: EchoConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:  # fmt: skip
        super().__init__(name, config, devices, facilities)
        n, cells = config.modes, config.modes * config.slabs
        self._check_channels(3 * cells + 1, 5 * cells)
        self._inputs_per_slab = n if config.input_modes is None else config.input_modes
        outputs = n if config.output_modes is None else config.output_modes
        places = np.arange(cells).reshape(config.slabs, n)
        n_slabs = config.slabs if config.inputs == "series" else 1
        self._input_cells = places[:n_slabs, : self._inputs_per_slab].ravel()
        self._output_cells = places[-config.output_slabs :, n - outputs :].ravel()
        channels = np.arange(3 * cells + 1)
        self._is_input = np.isin(channels, self._input_cells).astype(np.float64)
        self._input_columns = np.zeros(len(channels), np.int64)
        self._input_columns[self._input_cells] = np.arange(len(self._input_cells))
        self._is_detuning = ((channels >= cells) & (channels < 2 * cells)).astype(np.float64)
        of_cell = np.arange(cells) if config.medium == "apart" else np.arange(cells) % n
        self._control_columns = np.zeros(len(channels), np.int64)
        self._control_columns[cells : 2 * cells] = of_cell
        self._bias = np.zeros(len(channels))
        self._bias[self._inputs_per_slab : n] = config.bias * config.amplitude_v / config.unit_v

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return len(self._input_cells)

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return len(self._output_cells)

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return self.config.modes * (self.config.slabs if self.config.medium == "apart" else 1)

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        has = {
            Capability.FIELD_OUTPUT: True,
            Capability.TIME_REVERSAL: self.config.mirror,
            Capability.LOCAL_STATE: self.config.mirror,
            Capability.LOSSLESS: self.config.lossless,
        }
        return frozenset(capability for capability, there in has.items() if there)

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `PortSystem.encode`; the mirror is shut."""
        config = self.config
        pulses = x[..., self._input_columns] * constant_like(self._is_input * self._pulse_drive, x)
        swing = self._is_detuning * (config.reach * config.detuning_v / config.unit_v)
        around: A = theta * 2 - 1
        detunings = around[..., self._control_columns] * constant_like(swing, x)
        drive: A = pulses + detunings + constant_like(self._bias, x)
        return (drive,)

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`: intensities."""
        cells = self.config.modes * self.config.slabs
        real = reading[..., self._output_cells] / self.config.field_v
        imaginary = reading[..., cells + self._output_cells] / self.config.field_v
        intensities: A = real**2 + imaginary**2
        return intensities

    # Echoes

    def echo(self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None) -> Echo:
        """See `Echoes.echo`.

        A nudge moves the phase of each output's mode by so many rad, as seen by the wave on its way out, where the
        mirror sends it back. `start` and `returned` are the fields at the beginning of each slab, shape
        `(batch, slabs · modes)`; `local` is the momentum of each control.

        Raises:
            CapabilityError: There is no mirror.
            SetpointError: Wrong shape, or outside what the system can make; nothing was sent.
        """
        if not self.config.mirror:
            raise CapabilityError(
                f"{self.name}: an echo is asked for, there is no mirror; build one in (`mirror: true`)"
            )
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        config, cells = self.config, self.config.modes * self.config.slabs
        drive = self.encode(x, theta)[0]
        drive[:, -1] = config.shutter_v / config.unit_v
        if nudge is not None:
            if np.shape(nudge) != (len(x), self.n_out):
                raise SetpointError(
                    f"{self.name}: nudges have shape {np.shape(nudge)}, expected ({len(x)}, {self.n_out}); nothing was "
                    "sent"
                )
            drive[:, 2 * cells + self._output_cells] = np.asarray(nudge) * (config.nudge_v / config.unit_v)
        reading = self.probe(drive)
        parts = reading[:, : 4 * cells].reshape(-1, 2, 2, cells) / config.field_v
        exits, returned = (parts[:, k, 0] + 1j * parts[:, k, 1] for k in (0, 1))
        momentum = reading[:, 4 * cells :] / config.momentum_v * (2 * config.reach)
        if config.medium == "shared":
            momentum = momentum.reshape(len(x), config.slabs, -1).sum(1)
        return Echo(self.outputs(reading), self._start(drive[:, :cells], exits), returned, momentum)

    def input_gradient(self, change: ComplexArray) -> FloatArray:
        """Return derivatives of the loss by the inputs, shape `(batch, n_in)`.

        Args:
            change: By how much the field that came back changed for each unit of nudge, shape `(batch, slabs · modes)`.
        """
        slopes: FloatArray = -2 * self.config.input_amplitude * change[:, self._input_cells].real
        return slopes

    def _start(self, pulses: FloatArray, exits: ComplexArray) -> ComplexArray:
        """Return what goes out at the beginning of each slab: what the one before lets out, and the pulse."""
        config = self.config
        before = np.zeros_like(exits)
        before[:, config.modes :] = exits[:, : -config.modes]
        start: ComplexArray = before - 1j * pulses * (config.unit_v / config.amplitude_v)
        return start.astype(exits.dtype)

    @property
    def _pulse_drive(self) -> float:
        """Drive of a pulse at an input of 1."""
        return self.config.input_amplitude * self.config.amplitude_v / self.config.unit_v
