"""Adjustable conductances between converters: inputs hold nodes, outputs are read, nudged and clamped."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.quantities import Edges, Ohms, Siemens, Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import Equilibrium
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["ResistorNetworkConfig", "ResistorNetworkSystem"]

Ints = npt.NDArray[np.int64]


class ResistorNetworkConfig(PortSystemConfig):
    """A system of the kind `resistor-network` in the bench file.

    The DAC's channels, in this order: input nodes; controls of the elements; for each output its nudge current, its
    clamp's voltage, its clamp's switch; with a carrier, each output's release. The ADC's: all nodes; with ammeters, the
    currents of the inputs' sources; with a carrier, its concentration at all nodes.

    Attributes:
        nodes: Number of nodes; input nodes come first, outputs last.
        inputs: Inputs of the system, each the voltage of a node.
        mirrored: Whether each input is also put, with the opposite sign, on a second node, so that weights of either
            sign can be had; these nodes come after those of the inputs.
        bias: Whether two more nodes, after these, are held at plus and minus `input`.
        outputs: Number of outputs.
        edges: The two nodes of each element, one control each.
        input_v: Voltage of an input node at an input of 1.
        control_low_v: Voltage of a control channel at a control of 0.
        control_high_v: At a control of 1.
        span_siemens: How much more an element conducts at a control of 1 than at one of 0, as far as the design tells.
        cubic_per_v2: How its characteristic bends, as far as the design tells: the energy of an element of conductance
            g at a drop v is `g (v²/2 + c v⁴/4)`.
        full_scale_v: Voltage of an output node at an output of 1.
        nudge_v: Voltage of a nudge channel at a force of 1.
        transconductance_siemens: Current into an output per volt of it.
        switch_v: Voltage that closes a clamp's switch.
        ammeter_ohm: Volts per ampere of the ammeters in the input lines; 0 where there are none. With them the gradient
            of inputs can be measured, too.
        carrier: Whether a second quantity spreads through the elements.
    """

    kind: Literal["resistor-network"] = "resistor-network"
    nodes: int = Field(gt=1)
    inputs: int = Field(gt=0)
    mirrored: bool = False
    bias: bool = False
    outputs: int = Field(gt=0)
    edges: Edges = Field(min_length=1)
    input_v: Volts
    control_low_v: Volts = 0.0
    control_high_v: Volts = 5.0
    span_siemens: Siemens = Field(default=1e-4, gt=0)
    cubic_per_v2: float = Field(default=0.0, ge=0)
    full_scale_v: Volts = Field(default=1.0, gt=0)
    nudge_v: Volts = Field(default=1.0, gt=0)
    transconductance_siemens: Siemens = Field(default=1e-4, gt=0)
    switch_v: Volts = 5.0
    ammeter_ohm: Ohms = Field(default=0.0, ge=0)
    carrier: bool = False

    @property
    def held(self) -> int:
        """Return the number of nodes that are held."""
        return self.inputs * (1 + self.mirrored) + 2 * self.bias


class ResistorNetworkSystem(PortSystem):
    """One shot: voltages at the input nodes, with the conductances of all elements; read are the voltages of all nodes.

    The energy is the co-content of the network, less what nudges put in, in units of `transconductance · nudge ·
    full_scale`: so a force of 1 is the current of a nudge channel at `nudge`. Next to each control its voltage drop is
    read, of which the co-content per conductance follows.
    """

    Config: ClassVar[type[PortSystemConfig]] = ResistorNetworkConfig
    control_range = ControlRange.BOUNDED
    config: ResistorNetworkConfig

    def __init__(
        self, name: str, config: PortSystemConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        self._check_nodes()
        n_dac, n_adc = self._channels()
        self._check_channels(n_dac, n_adc)
        self._heads, self._tails = np.array(self.config.edges, np.int64).T

    def _check_nodes(self) -> None:
        config = self.config
        most = max(max(edge) for edge in config.edges)
        if config.held + config.outputs > config.nodes or most >= config.nodes:
            raise SetpointError(
                f"{self.name}: {config.held} held nodes, {config.outputs} outputs and edges up to node {most} do not "
                f"fit into {config.nodes} nodes; correct the bench file"
            )

    def _channels(self) -> tuple[int, int]:
        """Return how many channels of DAC and ADC it uses."""
        config = self.config
        n_dac = config.held + self.n_controls + (3 + config.carrier) * config.outputs
        n_adc = config.nodes * (1 + config.carrier) + (config.held if config.ammeter_ohm else 0)
        return n_dac, n_adc

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self.config.inputs

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: one an element."""
        return len(self.config.edges)

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self.config.outputs

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        known = {Capability.RELAXES, Capability.NUDGE, Capability.CLAMP, Capability.LOCAL_STATE}
        return frozenset(known | ({Capability.SECOND_CARRIER} if self.config.carrier else set()))

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        config, unit_v = self.config, self.config.unit_v
        columns, signs = self._of_inputs
        controls, passes = self._of_controls
        span_v = config.control_high_v - config.control_low_v
        offset = np.zeros(len(signs))
        offset[passes] = config.control_low_v
        if config.bias:
            plus = config.held - 2
            offset[plus : plus + 2] = config.input_v, -config.input_v
        inputs = x[..., columns] * constant_like(signs * (config.input_v / unit_v), x)
        settings = theta[..., controls] * constant_like(passes * (span_v / unit_v), theta)
        return (inputs + settings + constant_like(offset / unit_v, x),)

    @cached_property
    def _of_inputs(self) -> tuple[Ints, FloatArray]:
        """Return which input each channel shows, and with which sign, 0 for those that show none."""
        n, n_dac = self.n_in, self._link.n_values
        columns, signs = np.zeros(n_dac, np.int64), np.zeros(n_dac)
        columns[:n], signs[:n] = np.arange(n), 1.0
        if self.config.mirrored:
            columns[n : 2 * n], signs[n : 2 * n] = np.arange(n), -1.0
        return columns, signs

    @cached_property
    def _of_controls(self) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Return which control each channel shows, and which channels show one."""
        columns, first = np.zeros(self._link.n_values, np.int64), self.config.held
        columns[first : first + self.n_controls] = np.arange(self.n_controls)
        shows = np.zeros(len(columns), bool)
        shows[first : first + self.n_controls] = True
        return columns, shows

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`."""
        last = self.config.nodes
        scaled: A = reading[..., last - self.n_out : last] / self.config.full_scale_v
        return scaled

    # Beyond the forward pass

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        """See `pnnlab.systems.Relaxes`."""
        drive = self._drive(x, theta)
        if nudge is not None and clamp is not None:
            raise SetpointError(f"{self.name}: outputs are to be nudged and clamped at once; do one or the other")
        if nudge is not None:
            self._put(drive, 0, nudge, self.config.nudge_v)
        if clamp is not None:
            self._put(drive, 1, clamp, self.config.full_scale_v)
            self._put(drive, 2, np.ones_like(clamp), self.config.switch_v)
        return self._equilibrium(self.probe(drive), pushed=nudge is not None or clamp is not None)

    def carry(self, release: FloatArray, x: FloatArray, theta: FloatArray) -> tuple[Equilibrium, FloatArray]:
        """See `pnnlab.systems.CarriesSignal`; what is released is absorbed where inputs are.

        Raises:
            SetpointError: As told there, or there is no second carrier; nothing was sent.
        """
        if not self.config.carrier:
            raise SetpointError(f"{self.name}: it has no second carrier (`carrier` in the bench file)")
        drive = self._drive(x, theta)
        self._put(drive, 3, release, self.config.nudge_v)
        reading = self.probe(drive)
        first = reading.shape[1] - self.config.nodes
        drops, signal = self._drops(reading), self._drops(reading[:, first:])
        c = self.config.cubic_per_v2
        change = (drops + c * drops**3) * signal * (self.config.span_siemens / self._energy_w)
        return self._equilibrium(reading, pushed=False), change

    # Parts

    def _drive(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        drive: FloatArray = self.encode(x, theta)[0]
        return drive

    def _put(self, drive: FloatArray, group: int, values: FloatArray, volts: float) -> None:
        """Put values on the channels of a group (nudge, clamp, switch, release)."""
        values, n = np.asarray(values), self.n_out
        if values.shape != (len(drive), n) or not np.isfinite(values).all():
            raise SetpointError(
                f"{self.name}: outputs are to be pushed by values of shape {values.shape}, expected are finite ones of "
                f"shape {(len(drive), n)}; nothing was sent"
            )
        first = self.config.held + self.n_controls + group * n
        drive[:, first : first + n] = values * (volts / self.config.unit_v)

    @property
    def _energy_w(self) -> float:
        """The unit of the energy in W: of a force of 1, and an output that moves by 1."""
        return self.config.transconductance_siemens * self.config.nudge_v * self.config.full_scale_v

    def _drops(self, volts: FloatArray) -> FloatArray:
        drops: FloatArray = volts[:, self._heads] - volts[:, self._tails]
        return drops

    def _equilibrium(self, reading: FloatArray, *, pushed: bool) -> Equilibrium:
        """Return the state that a reading tells; `pushed` is whether nudges or clamps were on."""
        square = self._drops(reading) ** 2
        content = square / 2 + self.config.cubic_per_v2 / 4 * square**2
        local = content * (self.config.span_siemens / self._energy_w)
        return Equilibrium(self.outputs(reading), local, self._at_inputs(reading))

    def _at_inputs(self, reading: FloatArray) -> FloatArray | None:
        """Return the derivative of the energy with respect to the inputs: the currents of their sources."""
        if not self.config.ammeter_ohm:
            return None
        first, n = self.config.nodes, self.n_in
        current_a = reading[:, first : first + self.config.held] / self.config.ammeter_ohm
        sides: Sequence[FloatArray] = [current_a[:, :n]]
        if self.config.mirrored:
            sides = [current_a[:, :n], -current_a[:, n : 2 * n]]
        total: FloatArray = np.sum(sides, 0) * (self.config.input_v / self._energy_w)
        return total
