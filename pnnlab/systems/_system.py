"""Devices wired into one trainable map y = f(x, θ)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Clock, Device, Oracle
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import FrozenModel
from pnnlab.systems._array import A

__all__ = ["ControlRange", "FloatArray", "Measurement", "System", "SystemConfig"]

FloatArray = npt.NDArray[np.floating]


class ControlRange(StrEnum):
    """How controls stay legal while an optimiser moves them."""

    PERIODIC = "periodic"
    """Any real number is legal and repeats with period 1: a phase in turns."""
    BOUNDED = "bounded"
    """Legal from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a batch of shots gave.

    Attributes:
        y: Normalised readings, shape `(batch, n_out)`.
        drive: What the hardware realised of the normalised setpoints, one array an actuator (`System.drive_shapes`).
        tokens: Setpoint tokens of the actuator that steps with the shots, one a shot.
        start_s: Bench time at which the first setpoint was handed over.
        end_s: Bench time at which the last reading was in.
    """

    y: FloatArray
    drive: tuple[FloatArray, ...]
    tokens: tuple[int, ...]
    start_s: float
    end_s: float


class SystemConfig(FrozenModel):
    """The keys that all entries below `systems:` of the bench file share; each system declares its own."""

    kind: str
    precision: Literal["float32", "float64"] = "float32"


class System(ABC):
    """Devices wired into a map from inputs x and controls θ to readings y, normalised and dimensionless.

    A *drive* is what the actuators are set to, normalised: `encode` makes it from (x, θ), the devices realise it, and a
    twin stands in for everything that follows, `y = twin(*drive)`. `encode` and `decode` are written for numpy arrays
    and torch tensors alike.

    Args:
        name: The system's name in the bench file.
        config: An instance of the class's `Config`.
        devices: The opened devices by the field of `Config` that names them (`roles`).
        clock: The bench's clock.

    Mutable: `measure` counts shots.
    """

    Config: ClassVar[type[SystemConfig]]
    roles: ClassVar[Mapping[str, type]]
    """Fields of `Config` that name devices, with the role that each must have."""
    control_range: ClassVar[ControlRange]

    def __init__(self, name: str, config: SystemConfig, devices: Mapping[str, Device], *, clock: Clock) -> None:
        self.name = name
        self.config = config
        self.devices = dict(devices)
        self.clock = clock
        self.dtype: np.dtype[np.floating] = np.dtype(config.precision)
        self.n_shots = 0

    def __repr__(self) -> str:
        wiring = ", ".join(f"{field} {device.name!r}" for field, device in self.devices.items())
        return (
            f"<{type(self).__name__} {self.name!r}: {wiring}; {self.n_in} inputs, {self.n_controls} controls, "
            f"{self.n_out} outputs, {self.n_shots} shots>"
        )

    # What it is

    @property
    @abstractmethod
    def n_in(self) -> int:
        """Return the number of inputs."""

    @property
    @abstractmethod
    def n_controls(self) -> int:
        """Return the number of controls."""

    @property
    @abstractmethod
    def n_out(self) -> int:
        """Return the number of outputs."""

    @property
    @abstractmethod
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each actuator's drive, without the batch."""

    @property
    @abstractmethod
    def input_range(self) -> tuple[float, float]:
        """Return the lowest and highest legal input."""

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Return how the outputs are laid out (rows and columns of bins, windows and channels)."""

    @property
    @abstractmethod
    def sensor(self) -> Device:
        """Return the device that takes the readings."""

    @property
    def shares_controls(self) -> bool:
        """Whether all shots of a batch must have the same controls: setting them is slow or wears the device."""
        return False

    @property
    def is_simulated(self) -> bool:
        """Whether the sensing device can tell the truth (`expected`)."""
        return isinstance(self.sensor, Oracle)

    # What a user calls

    @final
    def measure(self, x: FloatArray, theta: FloatArray) -> Measurement:
        """Measure a batch, one shot a row.

        Args:
            x: Inputs, shape `(batch, n_in)`, within `input_range`.
            theta: Controls, shape `(n_controls,)` for all shots, or `(batch, n_controls)`.

        Raises:
            SetpointError: Wrong shape, or a value outside its range; nothing was sent.
            DeviceError: A device did not do what was asked; no reading of the batch is returned.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        start_s = self.clock.now_s()
        y, drive, tokens = self._shoot(self.encode(x, theta))
        self.n_shots += len(x)
        return Measurement(y, drive, tokens, start_s, self.clock.now_s())

    def expected(self, *drive: A) -> A:
        """Return the noise-free, differentiable truth of a simulated system; for ceilings and tests only.

        Args:
            drive: One array or tensor an actuator, as `encode` makes them.

        Raises:
            AbilityError: The sensing device is real, or does not tell.
        """
        sensor = self.sensor
        if not isinstance(sensor, Oracle):
            raise AbilityError(
                f"{self.name}: the truth is asked for, but {sensor.name} ({type(sensor).__name__}) cannot tell it; "
                "only simulated devices can: use a fitted twin"
            )
        return self.decode(sensor.expected(*self.to_setpoints(*drive)))

    @abstractmethod
    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """Return the drive: one array an actuator.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            theta: Controls, shape `(n_controls,)` or `(batch, n_controls)`.
        """

    @abstractmethod
    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """Return the drive in the devices' units (levels, V, S), not yet quantised."""

    @abstractmethod
    def decode(self, reading: A) -> A:
        """Return normalised outputs, shape `(batch, n_out)`, of the sensor's readings (counts, V, A)."""

    # For the wirings

    @abstractmethod
    def _shoot(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, tuple[FloatArray, ...], tuple[int, ...]]:
        """Set, trigger and read; return outputs, realised drive and tokens."""

    def _check(self, x: FloatArray, theta: FloatArray) -> None:
        batch = len(x) if x.ndim else 0
        if x.shape != (batch, self.n_in) or batch == 0:
            raise SetpointError(f"{self.name}: inputs have shape {x.shape}, expected (batch, {self.n_in})")
        shapes = [(self.n_controls,)] if self.shares_controls else [(self.n_controls,), (batch, self.n_controls)]
        if theta.shape not in shapes:
            raise SetpointError(
                f"{self.name}: controls have shape {theta.shape}, expected {' or '.join(map(str, shapes))}"
            )
        self._check_range("input", x, *self.input_range)
        bounded = self.control_range is ControlRange.BOUNDED
        self._check_range("control", theta, *((0.0, 1.0) if bounded else (-np.inf, np.inf)))

    def _check_range(self, what: str, values: FloatArray, low: float, high: float) -> None:
        least, most = float(values.min()), float(values.max())
        if not (least >= low and most <= high and np.isfinite(least) and np.isfinite(most)):
            allowed = "finite numbers" if np.isinf(low) else f"{low:g} to {high:g}"
            raise SetpointError(
                f"{self.name}: {what}s span {least:g} to {most:g}, allowed are {allowed}; "
                "scale or re-encode them; nothing was sent"
            )
