"""Coupled nodes that settle: inputs are held, couplings are trained, outputs can be nudged."""

from abc import abstractmethod
from collections.abc import Mapping
from itertools import combinations, pairwise, product
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import Equilibrium
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["CoupledNodes", "CoupledNodesConfig"]

Ints = npt.NDArray[np.int64]


class CoupledNodesConfig(PortSystemConfig):
    """The keys that the kinds of coupled nodes share.

    Voltages are told by `unit`: a coupling, a bias, an input, a force or a value of 1.

    Attributes:
        layers: Nodes of each layer: inputs, which are held, hidden ones, outputs.
        joining: Which pairs of nodes are joined: those of neighbouring layers, or all but two inputs.
        input_scale: Value of an input node at an input of 1.
        largest_coupling: Coupling at a control of 1; at 0 it is minus that.
        largest_bias: The same of biases.
        largest_nudge: Largest force on an output.
    """

    layers: tuple[int, ...] = Field(min_length=2)
    joining: Literal["neighbours", "all"] = "neighbours"
    input_scale: float = Field(default=1.0, gt=0)
    largest_coupling: float = Field(default=1.0, gt=0)
    largest_bias: float = Field(default=1.0, gt=0)
    largest_nudge: float = Field(default=4.0, gt=0)


class CoupledNodes(PortSystem):
    """One shot: input nodes are held, the others settle, and their state is read.

    The DAC's channels carry, in this order: inputs; a coupling for each pair of nodes, the earlier node first; biases;
    forces on the outputs; and, where outputs can be held, their values and a switch that holds them. Controls are
    couplings, then biases. What a control meets locally is worked out from what is read of its two nodes.
    """

    Config = CoupledNodesConfig
    control_range = ControlRange.BOUNDED
    config: CoupledNodesConfig
    has_clamp: ClassVar[bool] = True
    """Whether outputs can be held."""

    def __init__(
        self, name: str, config: CoupledNodesConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        layers = config.layers
        self._n_free = sum(layers[1:])
        self._first, self._second = _pairs(layers, config.joining)
        own, n_pairs = [layers[0], len(self._first), self._n_biases, layers[-1]], len(self._first)
        if self.has_clamp:
            own += [layers[-1], 1]
        ends = np.cumsum(own)
        self._check_channels(int(ends[-1]), self._n_readings)
        self._lay_out(ends, n_pairs)

    def _lay_out(self, ends: Ints, n_pairs: int) -> None:
        """Work out which channel shows which input and control, and its size at 1."""
        n, n_in, n_controls = int(ends[-1]), int(ends[0]), self.n_controls
        channels = np.arange(n)
        self._input_columns = np.where(channels < n_in, channels, 0)
        self._input_scale = np.where(channels < n_in, self.config.input_scale, 0.0)
        is_control = (channels >= n_in) & (channels < n_in + n_controls)
        self._control_columns = np.where(is_control, channels - n_in, 0)
        low, high = np.repeat(self._control_ends(), [n_pairs, self._n_biases], axis=1)
        self._control_low, self._control_span = low, high - low
        self._channel_low, self._channel_span = np.zeros((2, n))
        self._channel_low[is_control], self._channel_span[is_control] = low, high - low
        self._nudged = slice(int(ends[2]), int(ends[3]))
        self._held = slice(int(ends[3]), int(ends[3]) + self.n_out)

    def _control_ends(self) -> FloatArray:
        """Return what couplings (first column) and biases (second) are at controls of 0 and 1, shape `(2, 2)`."""
        largest = np.array([self.config.largest_coupling, self.config.largest_bias])
        return np.stack([-largest, largest])

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`: the nodes of the first layer."""
        return self.config.layers[0]

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: pairs of nodes, and biases."""
        return len(self._first) + self._n_biases

    @property
    def n_out(self) -> int:
        """See `System.n_out`: the nodes of the last layer."""
        return self.config.layers[-1]

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        settles = frozenset({Capability.RELAXES, Capability.NUDGE, Capability.LOCAL_STATE})
        return settles | {Capability.CLAMP} if self.has_clamp else settles

    @property
    def _n_biases(self) -> int:
        return self._n_free

    @property
    @abstractmethod
    def _n_readings(self) -> int:
        """Return the number of channels of the ADC."""

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`; controls 0 to 1 are couplings and biases between their ends."""
        inputs = x[..., self._input_columns] * constant_like(self._input_scale, x)
        controls = theta[..., self._control_columns] * constant_like(self._channel_span, x)
        return (inputs + controls + constant_like(self._channel_low, x),)

    # Beyond the forward pass

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        """See `pnnlab.systems.Relaxes.relax`."""
        reading = self.settled(x, theta, nudge=nudge, clamp=clamp)
        held = np.asarray(x, self.dtype) * self.config.input_scale
        asked = np.asarray(theta) * self._control_span + self._control_low
        met, at_inputs = self._met(held, asked, self._in_units(reading))
        local, at_inputs = met * self._control_span, at_inputs * self.config.input_scale
        return Equilibrium(self.outputs(reading), local.astype(self.dtype), at_inputs.astype(self.dtype))

    def settled(
        self,
        x: FloatArray,
        theta: FloatArray,
        *,
        nudge: FloatArray | None = None,
        clamp: FloatArray | None = None,
        beyond: bool = False,
    ) -> FloatArray:
        """Let the nodes settle and return what was read of them in V, shape `(batch, n_inputs of the ADC)`.

        Arguments and errors are those of `relax`; controls may also have shape `(batch, n_controls)`, and, with
        `beyond`, lie outside 0 to 1 as far as the DAC's limits allow.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta.clip(0, 1) if beyond else theta)
        (drive,) = self.encode(x, theta)
        if nudge is not None and clamp is not None:
            raise SetpointError(f"{self.name}: a nudge and a clamp are asked for at once; nothing was sent")
        if nudge is not None:
            drive[:, self._nudged] = self._forces(nudge, len(x))
        if clamp is not None:
            if not self.has_clamp:
                raise SetpointError(f"{self.name}: its outputs cannot be held at values; nudge them instead")
            drive[:, self._held], drive[:, -1] = self._output_like("clamp", clamp, len(x)), 1.0
        return self.probe(drive)

    def _forces(self, nudge: FloatArray, batch: int) -> FloatArray:
        forces = self._output_like("nudge", nudge, batch)
        most = float(np.abs(forces).max())
        if not most <= self.config.largest_nudge:
            raise SetpointError(
                f"{self.name}: a nudge of {most:.3g} is asked for, allowed are up to {self.config.largest_nudge:g}; "
                "take a smaller `beta`, or allow a larger `largest_nudge`; nothing was sent"
            )
        return forces

    def _output_like(self, what: str, values: FloatArray, batch: int) -> FloatArray:
        found = np.asarray(values, self.dtype)
        if found.shape != (batch, self.n_out):
            raise SetpointError(
                f"{self.name}: a {what} has shape {found.shape}, expected ({batch}, {self.n_out}); nothing was sent"
            )
        return found

    @abstractmethod
    def _met(self, held: FloatArray, asked: FloatArray, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of the energy in couplings and biases, and in the input nodes' values.

        Args:
            held: Values of the input nodes, shape `(batch, n_in)`.
            asked: Couplings and biases that the controls ask for, shape `(n_controls,)`.
            reading: What was read of the free nodes, in units, shape `(batch, n_inputs of the ADC)`.

        Returns:
            Shapes `(batch, n_controls)` and `(batch, n_in)`.
        """

    def _field(self, asked: FloatArray, free: FloatArray) -> FloatArray:
        """Return what free nodes of these values do to each input node by their couplings, shape `(batch, n_in)`."""
        from_input = self._first < self.n_in
        matrix = np.zeros((self._n_free, self.n_in), free.dtype)
        matrix[self._second[from_input] - self.n_in, self._first[from_input]] = asked[: len(self._first)][from_input]
        found: FloatArray = free @ matrix
        return found

    def _in_units(self, reading: A) -> A:
        found: A = reading / self.config.unit_v
        return found

    def _products(self, values: FloatArray) -> FloatArray:
        """Return both values of each pair multiplied, shape `(batch, n_pairs)`, of all nodes' values."""
        found: FloatArray = values[:, self._first] * values[:, self._second]
        return found


def _pairs(layers: tuple[int, ...], joining: str) -> tuple[Ints, Ints]:
    """Return the earlier and the later node of each pair, in the order of the channels."""
    ends = np.cumsum(layers)
    if joining == "all":
        pairs = [pair for pair in combinations(range(ends[-1]), 2) if pair[1] >= layers[0]]
    else:
        members = [range(end - size, end) for end, size in zip(ends, layers, strict=True)]
        pairs = [pair for left, right in pairwise(members) for pair in product(left, right)]
    first, second = np.array(pairs, np.int64).T
    return first, second
