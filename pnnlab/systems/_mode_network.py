"""Coupled modes, tuned and driven through converters: what linear resonators and Kerr modes share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.quantities import Hertz
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import FieldReading, Side
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["ModeNetwork", "ModeNetworkConfig", "different_modes"]

ComplexArray = npt.NDArray[np.complexfloating]


def different_modes(modes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return modes that a bench file names.

    Raises:
        ValueError: One is named twice, or is no number from 0 on.
    """
    if modes is not None and (len(set(modes)) != len(modes) or min(modes, default=0) < 0):
        raise ValueError(f"{modes} are to be different modes, counted from 0")
    return modes


class ModeNetworkConfig(PortSystemConfig):
    """The keys that networks of coupled modes share; all frequencies are over 2π.

    Attributes:
        modes: Number of modes n, each with a port.
        couplings: Pairs of modes whose coupling can be set: `all`, neighbours on a `ring`, `none`, or the pairs.
        external_hz: κ_ext of the modes, as designed.
        detuning_hz: Detuning of a mode at a drive of 1.
        coupling_hz: Coupling of a pair at a drive of 1.
        trained_modes: Modes whose detuning is trained; all if `null`.
        detuning_reach: Drives of a trained detuning at controls of 0 and 1, from minus to plus this.
        coupling_reach: The same of couplings.
        inputs: Number of inputs.
        input_modes: Modes that show inputs, one after the other; where there are more of them than inputs they are
            repeated from the first on. Modes from 0 on if `null`.
        input_reach: Drive for an input of 1.
        outputs: Ports whose outgoing field is the output.
        quadratures: Which part of it: in phase (`i`), or both parts, first in phase (`iq`).
        full_scale: Field of an output of 1, in units of `unit`.
    """

    modes: int = Field(gt=1)
    couplings: Literal["all", "ring", "none"] | tuple[tuple[int, int], ...] = "all"
    external_hz: Hertz = Field(gt=0)
    detuning_hz: Hertz
    coupling_hz: Hertz = 0.0
    trained_modes: tuple[int, ...] | None = None
    detuning_reach: float = Field(default=1.0, ge=0)
    coupling_reach: float = Field(default=1.0, ge=0)
    inputs: int = Field(gt=0)
    input_modes: tuple[int, ...] | None = None
    input_reach: float = 1.0
    outputs: tuple[int, ...] = Field(min_length=1)
    quadratures: Literal["i", "iq"] = "iq"
    full_scale: float = Field(default=1.0, gt=0)

    @field_validator("outputs", "trained_modes", "input_modes")
    @classmethod
    def _check_modes(cls, modes: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return different_modes(modes)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Return the pairs of modes whose coupling can be set, in the order of their channels."""
        n = self.modes
        if self.couplings == "all":
            return tuple((j, k) for j in range(n) for k in range(j + 1, n))
        if self.couplings == "ring":
            return tuple((j, j + 1) for j in range(n - 1)) + (((0, n - 1),) if n > 2 else ())
        return () if self.couplings == "none" else self.couplings


class ModeNetwork(PortSystem):
    """Modes that voltages detune and couple, fields injected at their ports, and the fields that leave.

    Channels of the DAC: detunings (n), couplings (n_pairs), in-phase parts of the injected fields (n), their
    quadratures (n). Channels of the ADC: in-phase parts (n) and quadratures (n) of the fields that leave. Controls are
    the trained detunings and then all couplings.

    Besides the forward pass, `scatter` injects any field. What it adds to a port beyond what is injected there is what
    the port's mode leaks, √κ a: the local state of the modes.
    """

    Config = ModeNetworkConfig
    control_range: ClassVar[ControlRange] = ControlRange.BOUNDED
    input_range = (-1.0, 1.0)
    config: ModeNetworkConfig

    def __init__(
        self, name: str, config: ModeNetworkConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        n, m = config.modes, len(config.pairs)
        self._check_channels(3 * n + m, 2 * n)
        self.trained_modes = np.asarray(range(n) if config.trained_modes is None else config.trained_modes, np.int64)
        named = range(n) if config.input_modes is None else config.input_modes
        self.input_modes = np.asarray(list(named)[: None if config.input_modes else config.inputs], np.int64)
        self._check_modes({
            **self._named_modes(), "outputs": config.outputs, "trained_modes": self.trained_modes,
            "input_modes": self.input_modes, "couplings": [j for pair in config.pairs for j in pair],
        })  # fmt: skip
        if len(self.input_modes) < config.inputs:
            raise SetpointError(
                f"{name}: {config.inputs} inputs are to be shown by {len(self.input_modes)} modes; name one for each "
                "in `input_modes`, or more to show inputs several times"
            )
        self._first, self._second = (np.asarray([pair[k] for pair in config.pairs], np.int64) for k in (0, 1))
        self._of_inputs, self._of_controls, self._constant = self._channel_maps()

    def _named_modes(self) -> Mapping[str, Sequence[int]]:
        """Return further modes that the configuration names, by their key; for the wirings."""
        return {}

    def _check_modes(self, named: Mapping[str, Sequence[int] | npt.NDArray[np.int64]]) -> None:
        for key, modes in named.items():
            if len(modes) and max(modes) >= self.config.modes:
                raise SetpointError(
                    f"{self.name}: `{key}` names mode {max(modes)}, there are {self.config.modes}, counted from 0"
                )

    def _channel_maps(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what inputs, shape `(n_in, n_channels)`, controls and nothing at all drive on each channel."""
        config, n = self.config, self.config.modes
        n_channels = 3 * n + len(config.pairs)
        controls = np.zeros((self.n_controls, n_channels))
        n_trained = len(self.trained_modes)
        controls[np.arange(n_trained), self.trained_modes] = config.detuning_reach
        couplings = np.arange(len(config.pairs))
        controls[n_trained + couplings, n + couplings] = config.coupling_reach
        inputs = np.zeros((config.inputs, n_channels))
        which = np.arange(len(self.input_modes)) % config.inputs
        inputs[which, self._input_channels()] = config.input_reach
        constant = np.zeros(n_channels)
        constant[n + len(config.pairs) :] = self._split(self._constant_field())
        return inputs, controls, constant

    @abstractmethod
    def _input_channels(self) -> npt.NDArray[np.int64]:
        """Return the channel by which each of the input modes shows its input."""

    @abstractmethod
    def _constant_field(self) -> ComplexArray:
        """Return the field that is always injected, shape `(n,)`."""

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self.config.inputs

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: trained detunings and couplings."""
        return len(self.trained_modes) + len(self.config.pairs)

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return len(self.config.outputs) * len(self.config.quadratures)

    @property
    def n_ports(self) -> int:
        """See `pnnlab.systems.CarriesFields`: one a mode; each lets in and out, so that both sides are the same."""
        return self.config.modes

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`; controls 0 to 1 drive from minus to plus their reach."""
        of_controls = (theta * 2 - 1) @ constant_like(self._of_controls, theta)
        return (x @ constant_like(self._of_inputs, x) + of_controls + constant_like(self._constant, x),)

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`."""
        config = self.config
        columns = [port + k * config.modes for k in range(len(config.quadratures)) for port in config.outputs]
        found: A = reading[..., columns] / (config.full_scale * config.unit_v)
        return found

    # Experiments

    def injected(self, x: FloatArray, theta: FloatArray) -> ComplexArray:
        """Return the fields that a forward pass injects, in units of `unit`, complex, shape `(batch, n)`."""
        return self._joined(self.encode(x, theta)[0][:, self._n_tuned :])

    def scatter(self, x: FloatArray, theta: FloatArray, field: ComplexArray) -> ComplexArray:
        """Inject fields of one's own while inputs and controls are shown; one shot a row.

        Args:
            x: Inputs, shape `(batch, n_in)`; a network that shows its inputs by fields shows none of them.
            theta: Controls, shape `(n_controls,)`.
            field: Injected at the ports, in units of `unit`, complex, shape `(batch, n)`.

        Returns:
            The fields that leave the ports, in units of `unit`, complex, shape `(batch, n)`.

        Raises:
            SetpointError: Wrong shape, or outside what the DAC can make; nothing was sent.
        """
        if field.shape != (len(x), self.n_ports):
            raise SetpointError(
                f"{self.name}: fields of shape {field.shape} are to be injected with {len(x)} inputs, expected "
                f"{(len(x), self.n_ports)}; nothing was sent"
            )
        (drive,) = self.encode(np.asarray(x, self.dtype), np.asarray(theta, self.dtype))
        drive = drive.copy()
        drive[:, self._n_tuned :] = self._split(field)
        return self._joined(self.probe(drive)) / self.config.unit_v

    def scattered(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, ComplexArray]:
        """Make a forward pass; return outputs, shape `(batch, n_out)`, and all fields that leave, as `scatter` does."""
        reading = self.read(x, theta)
        return self.outputs(reading), self._joined(reading) / self.config.unit_v

    def send(self, field: ComplexArray, theta: FloatArray, *, side: Side = Side.IN) -> FieldReading:
        """See `pnnlab.systems.CarriesFields`: with all inputs at 0. Inside are the fields that the modes leak."""
        out = self.scatter(np.zeros((len(field), self.n_in), self.dtype), theta, np.asarray(field))
        return FieldReading(out, out - field)

    # What experiments mean

    def error_field(self, grad_y: FloatArray) -> ComplexArray:
        """Return the field that is the error of the outputs, complex, shape `(batch, n)`.

        With it as c, a change δ of the fields that leave, in units of `unit`, changes the loss by Re(Σ c δ).

        Args:
            grad_y: Derivative of the loss with respect to each output, shape `(batch, n_out)`.
        """
        config = self.config
        found = np.zeros((len(grad_y), config.modes), np.complex128)
        parts = grad_y.reshape(len(grad_y), len(config.quadratures), len(config.outputs)) / config.full_scale
        for factor, part in zip((1, -1j), parts.swapaxes(0, 1), strict=False):
            found[:, config.outputs] += factor * part
        return found

    def control_gradient(self, ahead: ComplexArray, back: ComplexArray) -> FloatArray:
        """Return derivatives of the loss with respect to controls, shape `(n_controls,)`, summed over the batch.

        `∂L/∂Δ_j = Re[i/κ_j ã_j b̃_j]` and `∂L/∂J_jl = Re[i/√(κ_j κ_l) (ã_j b̃_l + ã_l b̃_j)]` (Wanjura & Marquardt 2024,
        Nat. Phys. 20, 1434).

        Args:
            ahead: What each mode leaks in the forward pass, ã, complex, shape `(batch, n)`.
            back: What each mode leaks of an injected error, b̃, same shape.
        """
        config, over = self.config, 1j / self.config.external_hz
        detunings = (over * ahead * back).real.sum(0)[self.trained_modes]
        first, second = self._first, self._second
        both = ahead[:, first] * back[:, second] + ahead[:, second] * back[:, first]
        couplings = (over * both).real.sum(0)
        # a control of 0 to 1 goes from minus to plus the reach
        detunings *= 2 * config.detuning_reach * config.detuning_hz
        couplings *= 2 * config.coupling_reach * config.coupling_hz
        return np.concatenate([detunings, couplings]).astype(self.dtype)

    @abstractmethod
    def input_gradient(self, ahead: ComplexArray, back: ComplexArray, error: ComplexArray) -> FloatArray:
        """Return derivatives of the loss with respect to inputs, shape `(batch, n_in)`.

        Args:
            ahead: As in `control_gradient`.
            back: As in `control_gradient`.
            error: The field that was injected, complex, shape `(batch, n)`.
        """

    def _to_inputs(self, of_modes: FloatArray) -> FloatArray:
        """Return the sums over the modes that show each input, shape `(batch, n_in)`."""
        found = np.zeros((len(of_modes), self.n_in))
        for k, mode in enumerate(self.input_modes):
            found[:, k % self.n_in] += of_modes[:, mode]
        return (found * self.config.input_reach).astype(self.dtype)

    @property
    def _n_tuned(self) -> int:
        """Return the number of channels before those of the fields."""
        return self.config.modes + len(self.config.pairs)

    def _split(self, field: ComplexArray) -> FloatArray:
        return np.concatenate([field.real, field.imag], -1)

    def _joined(self, parts: FloatArray) -> ComplexArray:
        n = self.config.modes
        return parts[..., :n] + 1j * parts[..., n:].astype(np.float64)
