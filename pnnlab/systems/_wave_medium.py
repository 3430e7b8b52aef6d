"""A medium with nonlinear nodes, into which masked inputs are played."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["WaveMedium", "WaveMediumConfig"]


class WaveMediumConfig(PortSystemConfig):
    """A system of the kind `wave-medium` in the bench file.

    Attributes:
        nodes: Number of nodes, each at a port of the medium.
        samples: Samples of a shot; what is left after the last step is for the medium to ring.
        steps: Into how many steps an input is cut: `features` values are shown in each, one step after the other.
        features: Inputs of a step.
        step_samples: Samples of a step; each node has a mask of its own at each of them, the same in all steps.
        input_reach: Drive by an input of 1 with a mask of 1.
        bias_reach: Drive by a bias of 1: a constant that each node has at each sample of a step.
        read_from: First sample that is read.
        windows: Into how many equal parts what follows is cut; an output is a node's mean in one of them.
        function: What the nodes send of what they meet, as their data sheet tells: `tanh`, or `sin2`.
        bias: φ of `sin2` in rad, as the data sheet tells.
        amplitude: β, likewise.
        full_scale: What is sent for an output of 1, in units of `unit`.
    """

    kind: Literal["wave-medium"] = "wave-medium"
    nodes: int = Field(gt=0)
    samples: int = Field(gt=0)
    steps: int = Field(default=1, gt=0)
    features: int = Field(gt=0)
    step_samples: int = Field(gt=0)
    input_reach: float = 1.0
    bias_reach: float = 1.0
    read_from: int = Field(default=0, ge=0)
    windows: int = Field(default=1, gt=0)
    function: Literal["tanh", "sin2"] = "tanh"
    bias: float = 0.0
    amplitude: float = 1.0
    full_scale: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _check_times(self) -> "WaveMediumConfig":
        if self.steps * self.step_samples > self.samples:
            raise ValueError(f"{self.steps} steps of {self.step_samples} do not fit into {self.samples} samples")
        left = self.samples - self.read_from
        if left < 1 or left % self.windows:
            raise ValueError(f"{self.windows} windows do not divide the {left} samples from `read_from` on")
        return self


class WaveMedium(PortSystem):
    """Nodes at the ports of a linear medium; each is played a masked input and sends a function of all it meets.

    The masks are the controls: W of each node, sample of a step and feature, then a bias of each node and sample, both
    from -1 to 1. What is played into node i at sample k of step t is `Σ_f W_ikf x_tf + b_ik`. A shot is a whole
    waveform and a whole record, a channel for each sample of each node: the switch that makes nodes multiply, then what
    is played, then the gains; and what the nodes met, then what they sent.

    The other way round, `backwards` plays errors reversed in time while the nodes multiply by given gains.
    """

    Config = WaveMediumConfig
    control_range: ClassVar[ControlRange] = ControlRange.BOUNDED
    input_range = (-1.0, 1.0)
    config: WaveMediumConfig

    def __init__(
        self, name: str, config: WaveMediumConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        self._n_cells = config.samples * config.nodes
        self._check_channels(1 + 2 * self._n_cells, 2 * self._n_cells)
        # what is played goes behind the switch, from the first sample on
        behind = np.arange(1 + 2 * self._n_cells) - 1
        n_played = config.steps * config.step_samples * config.nodes
        self._played = np.clip(behind, 0, n_played - 1)
        self._is_played = ((behind >= 0) & (behind < n_played)).astype(np.float64)

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self.config.steps * self.config.features

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: masks and biases."""
        config = self.config
        return config.nodes * config.step_samples * (config.features + 1)

    @property
    def n_out(self) -> int:
        """See `System.n_out`: windows and nodes."""
        return self.config.windows * self.config.nodes

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return self.config.windows, self.config.nodes

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return frozenset({
            Capability.RECIPROCAL, Capability.BIDIRECTIONAL, Capability.LOCAL_STATE, Capability.FIELD_OUTPUT,
            Capability.TIME_RESOLVED,
        })  # fmt: skip

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`; controls 0 to 1 are masks from -1 to 1."""
        config, signed = self.config, theta * 2 - 1
        n_masks = config.nodes * config.step_samples * config.features
        # masks (..., step_samples * nodes, features), sample by sample and node by node within a sample
        masks = signed[..., :n_masks].reshape(*signed.shape[:-1], -1, config.features)
        inputs = x.reshape(-1, config.steps, config.features)
        played = inputs @ (masks.swapaxes(-1, -2) * config.input_reach)
        biases = signed[..., None, n_masks:] * config.bias_reach
        flat = (played + biases).reshape(len(x), -1)
        return (flat[..., self._played] * constant_like(self._is_played, flat),)

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`: means of what each node sent."""
        config = self.config
        sent = reading[..., self._n_cells + config.read_from * config.nodes :]
        windows = sent.reshape(-1, config.windows, (config.samples - config.read_from) // config.windows, config.nodes)
        found: A = windows.mean(-2).reshape(-1, self.n_out) / (config.full_scale * config.unit_v)
        return found

    # Experiments

    def forwards(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Make a forward pass; return outputs, and what the nodes met, shape `(batch, samples, nodes)`."""
        reading = self.read(x, theta)
        met = reading[:, : self._n_cells] / self.config.unit_v
        return self.outputs(reading), met.reshape(-1, self.config.samples, self.config.nodes)

    def backwards(self, error: FloatArray, gains: FloatArray) -> FloatArray:
        """Play errors reversed in time into nodes that multiply; return what they sent, in forward time again.

        Args:
            error: In forward time, in units of `unit`, shape `(batch, samples, nodes)`.
            gains: By which each node multiplies what it meets, in forward time, same shape.

        Raises:
            SetpointError: Wrong shape, or outside what the DAC can make; nothing was sent.
        """
        config = self.config
        wanted = (len(error), config.samples, config.nodes)
        if error.shape != wanted or gains.shape != wanted:
            raise SetpointError(
                f"{self.name}: errors of shape {error.shape} and gains of {gains.shape} are to be played, expected "
                f"{wanted}; nothing was sent"
            )
        reversed_in_time = [part[:, ::-1].reshape(len(error), -1) for part in (error, gains)]
        drive = np.concatenate([np.ones((len(error), 1)), *reversed_in_time], 1)
        sent = self.probe(drive)[:, self._n_cells :] / config.unit_v
        return sent.reshape(wanted)[:, ::-1]

    # What experiments mean

    def node_slope(self, met: FloatArray) -> FloatArray:
        """Return f' of what the nodes met, from their data sheet, same shape."""
        config = self.config
        if config.function == "tanh":
            return np.asarray(config.amplitude * (1 - np.tanh(met) ** 2))
        return np.asarray(config.amplitude * np.sin(2 * (met + config.bias)))

    def error_waveform(self, grad_y: FloatArray) -> FloatArray:
        """Return the derivative of the loss with respect to what each node sends, shape `(batch, samples, nodes)`.

        Args:
            grad_y: Derivative with respect to each output, shape `(batch, n_out)`.
        """
        config = self.config
        length = (config.samples - config.read_from) // config.windows
        of_windows = grad_y.reshape(-1, config.windows, 1, config.nodes) / (length * config.full_scale)
        read = np.broadcast_to(of_windows, (len(grad_y), config.windows, length, config.nodes))
        rest = np.zeros((len(grad_y), config.read_from, config.nodes))
        return np.concatenate([rest, read.reshape(len(grad_y), -1, config.nodes)], 1)

    def mask_gradient(self, x: FloatArray, theta: FloatArray, back: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Correlate what was played forwards with what came back.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.
            back: Derivative of the loss with respect to what is played, shape `(batch, samples, nodes)`.

        Returns:
            Derivatives with respect to inputs, shape `(batch, n_in)`, and to controls, shape `(n_controls,)`.
        """
        config, n = self.config, len(x)
        played = back[:, : config.steps * config.step_samples].reshape(n, config.steps, -1)
        inputs = x.reshape(n, config.steps, config.features)
        masks = (theta * 2 - 1)[: -config.nodes * config.step_samples].reshape(-1, config.features)
        of_inputs = config.input_reach * (played @ masks)
        of_masks = 2 * config.input_reach * np.einsum("btk,btf->kf", played, inputs)
        of_biases = 2 * config.bias_reach * played.sum((0, 1))
        found: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] = (
            of_inputs.reshape(n, -1), np.concatenate([of_masks.ravel(), of_biases]),
        )  # fmt: skip
        return found[0].astype(self.dtype), found[1].astype(self.dtype)
