"""A matrix of light in front of saturable absorbers, between converters."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities

__all__ = ["AbsorberConfig", "AbsorberSystem"]


class AbsorberConfig(PortSystemConfig):
    """A system of the kind `absorber` in the bench file.

    Attributes:
        shape: Inputs and outputs of the matrix.
        pump: Amplitude of an input of 1, in units of the amplitude that saturates a cell, by design.
        probe: Amplitude of the strongest error that is sent back, in the same unit: weak beside what saturates.
    """

    kind: Literal["absorber"] = "absorber"
    shape: tuple[int, int]
    pump: float = Field(default=4.0, gt=0)
    probe: float = Field(default=0.1, gt=0)


class AbsorberSystem(PortSystem):
    """One shot: light crosses a matrix, then a row of absorbers that it bleaches.

    Controls 0 to 1 are weights -1 to 1, inputs row by row. Outputs are amplitudes in units of that which saturates.
    """

    Config = AbsorberConfig
    control_range = ControlRange.BOUNDED
    config: AbsorberConfig

    def __init__(
        self, name: str, config: AbsorberConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        n_in, n_out = config.shape
        self._check_channels(n_in + n_in * n_out + n_out, n_in + 2 * n_out)
        channels = np.arange(n_in + n_in * n_out + n_out)
        self._is_input = (channels < n_in).astype(np.float64)
        is_weight = (channels >= n_in) & (channels < n_in + n_in * n_out)
        self._is_weight = is_weight.astype(np.float64)
        self._input_columns = np.where(channels < n_in, channels, 0)
        self._weight_columns = np.where(is_weight, channels - n_in, 0)

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self.config.shape[0]

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return self.config.shape[0] * self.config.shape[1]

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self.config.shape[1]

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return frozenset({Capability.BIDIRECTIONAL, Capability.RECIPROCAL, Capability.PUMP_PROBE})

    def weights(self, theta: A) -> A:
        """See `System.weights`: from -1 to 1."""
        matrix: A = (theta * 2 - 1).reshape(self.config.shape)
        return matrix

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `PortSystem.encode`."""
        inputs = x[..., self._input_columns] * constant_like(self._is_input, x)
        weights = (theta * 2 - 1)[..., self._weight_columns] * constant_like(self._is_weight, theta)
        return (inputs + weights,)

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`."""
        amplitudes: A = reading[..., : self.n_out] / self.config.unit_v
        return amplitudes

    # Beyond the forward pass

    def probe_back(self, x: FloatArray, theta: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Send an error back through the absorbers while the inputs bleach them.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)`.
            error: Amplitudes from -1 to 1 in units of `probe`, shape `(batch, n_out)`.

        Returns:
            The same behind the absorbers, shape `(batch, n_out)`, and where it leaves at the inputs, shape
            `(batch, n_in)`: the product of the former with the transposed weights over the root of `n_in`.

        Raises:
            SetpointError: Wrong shape, or an error is stronger than the probe; nothing was sent.
        """
        x, theta, error = (np.asarray(part, self.dtype) for part in (x, theta, error))
        self._check(x, theta)
        if error.shape != (len(x), self.n_out) or not float(np.abs(error).max()) <= 1 + 1e-6:
            raise SetpointError(
                f"{self.name}: errors of shape {error.shape} up to {float(np.abs(error).max()):g} are to be sent back, "
                f"expected is ({len(x)}, {self.n_out}) and up to 1; nothing was sent"
            )
        drive = self.encode(x, theta)[0]
        drive[:, -self.n_out :] = self.config.probe * error
        reading = self.probe(drive) / (self.config.unit_v * self.config.probe)
        return reading[:, self.n_out : 2 * self.n_out], reading[:, 2 * self.n_out :]
