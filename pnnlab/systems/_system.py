"""Devices wired into one trainable map y = f(x, θ)."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Clock, Device, Oracle
from pnnlab.errors import AbilityError, AcquisitionError, SetpointError
from pnnlab.quantities import FrozenModel
from pnnlab.records import CalibrationStore
from pnnlab.systems._array import A
from pnnlab.systems._capability import Capability
from pnnlab.systems._shots import FloatArray, Measurement, PendingShots, Shots
from pnnlab.systems._thread import DeviceThread
from pnnlab.systems._timing import DATA_SHEET, Timing
from pnnlab.systems._trace import Lane, Trace

__all__ = ["ControlRange", "Facilities", "Setpoints", "System", "SystemConfig"]

Ints = npt.NDArray[np.int64]
Setpoints = tuple[npt.NDArray[np.number], ...]
"""One array an actuator, in its unit; a whole batch."""
_LOG = logging.getLogger(__name__)


class ControlRange(StrEnum):
    """How controls stay legal while an optimiser moves them."""

    PERIODIC = "periodic"
    """Any real number is legal and repeats with period 1: a phase in turns."""
    BOUNDED = "bounded"
    """Legal from 0 to 1."""


class SystemConfig(FrozenModel):
    """The keys that all entries below `systems:` of the bench file share; each system declares its own.

    Attributes:
        kind: Which wiring.
        precision: Floating-point type of inputs, controls and outputs.
        retakes: How often shots without a proven reading are taken again before the batch fails.
    """

    kind: str
    precision: Literal["float32", "float64"] = "float32"
    retakes: int = Field(default=3, ge=0)


@dataclass(frozen=True)
class Facilities:
    """What a bench lends its systems.

    Attributes:
        clock: The bench's time.
        thread: Owns the devices while they measure; systems that share a device share it.
        trace: What they do when, if it is switched on.
        store: Calibration records; `None` where data sheets must do.
    """

    clock: Clock
    thread: DeviceThread = field(default_factory=lambda: DeviceThread("devices"))
    trace: Trace = field(default_factory=Trace)
    store: CalibrationStore | None = None


class System(ABC):
    """Devices wired into a map from inputs x and controls θ to readings y, normalised and dimensionless.

    A *drive* is what the actuators are set to, normalised: `encode` makes it from (x, θ), the devices realise it, and a
    twin stands in for everything that follows, `y = twin(*drive)`. `encode` and `decode` are written for numpy arrays
    and torch tensors alike.

    Args:
        name: The system's name in the bench file.
        config: An instance of the class's `Config`.
        devices: The opened devices by the field of `Config` that names them (`roles`).
        facilities: What the bench lends it.

    Attributes:
        n_shots: Shots that have a reading which is proven to be theirs.
        n_retaken: Shots that had to be taken again, because no reading was proven to be theirs.

    Mutable: `submit` and `measure` count shots.
    """

    Config: ClassVar[type[SystemConfig]]
    roles: ClassVar[Mapping[str, type]]
    """Fields of `Config` that name devices, with the role that each must have."""
    control_range: ClassVar[ControlRange]

    def __init__(self, name: str, config: SystemConfig, devices: Mapping[str, Device], facilities: Facilities) -> None:
        self.name = name
        self.config = config
        self.devices = dict(devices)
        self.clock, self.trace = facilities.clock, facilities.trace
        self._thread, self._store = facilities.thread, facilities.store
        self.dtype: np.dtype[np.floating] = np.dtype(config.precision)
        self.n_shots = self.n_retaken = 0

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
    def shot_s(self) -> float:
        """Return the time that the devices alone need for a shot of a long batch, in s; 0 where they do not tell."""
        return 0.0

    @property
    def timings(self) -> Mapping[str, Timing]:
        """Return the times that decide when a reading is of a setpoint, by actuator, and where they come from."""
        return {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what the system can do besides turning inputs into readings."""
        return frozenset()

    def weights(self, theta: A) -> A | None:
        """Return the matrix, shape `(n_in, n_out)`, that controls ask for where outputs are a function of `x · W` each.

        Training methods then know without a twin what each control multiplies. `None` where controls are nothing of
        the kind, as in most systems.

        Args:
            theta: Controls, shape `(n_controls,)`.
        """
        return None

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each reading taken inside, between input and output, without the batch.

        Not empty only with `Capability.INTERNAL_STATE`.
        """
        return ()

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
            AcquisitionError: Some shots have no reading that is proven to be theirs, however often they were taken.
            DeviceError: A device did not do what was asked; no reading of the batch is returned.
        """
        return self.submit(x, theta).result()

    @final
    def submit(self, x: FloatArray, theta: FloatArray, *, chunks: Sequence[int] | None = None) -> PendingShots:
        """Hand in a batch and return at once: the devices' thread measures it after all that was handed in before.

        Args:
            x: As in `measure`.
            theta: As in `measure`.
            chunks: How many shots are to be fetched at a time, in their order; all at once if `None`. The devices run
                through the batch without a stop all the same.

        Raises:
            SetpointError: Wrong shape, or a value outside its range; nothing was handed in.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        sizes = (len(x),) if chunks is None else tuple(chunks)
        if sum(sizes) != len(x) or min(sizes) < 1:
            raise SetpointError(f"{self.name}: chunks of {sizes} shots are asked for, the batch has {len(x)}")
        with self.trace.span(Lane.HOST, "encode", len(x)):
            setpoints = self._prepare(self.encode(x, theta))
        shared = frozenset({len(self.drive_shapes) - 1} if self.shares_controls else ())
        shots = Shots(
            sizes, self.n_out, self.drive_shapes, shared=shared, dtype=self.dtype, state_shapes=self.state_shapes
        )
        pending = PendingShots(shots, lambda tell: self._measure(setpoints, shots, tell), self.trace)
        if self._thread.is_current:
            pending.run()  # asked by the devices' thread itself
        else:
            self._thread.submit(pending)
        return pending

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

    def state(self) -> dict[str, object]:
        """Return what later shots of a simulated system depend on besides its plants: plain containers."""
        return {}

    def restore(self, state: Mapping[str, object]) -> None:  # noqa: B027 (most wirings remember nothing)
        """Go back to what `state` returned."""

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

    def _prepare(self, drive: tuple[FloatArray, ...]) -> Setpoints:
        """Work out what can be worked out before the devices are free; called in the thread that measures."""
        return drive

    @abstractmethod
    def _take(
        self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]
    ) -> str:  # fmt: skip
        """Set, trigger and read once; put every reading that is proven to be that of its shot.

        Args:
            setpoints: What `_prepare` returned, for the whole batch.
            wanted: The shots to be taken, increasing.
            shots: Where realised drives and readings go.
            tell: To be called after readings were put.

        Returns:
            What was wrong with readings that were not put.
        """

    def calibrated_timing(
        self, actuator: str, *, settle_s: float, latency_s: tuple[float, float], devices: Sequence[str],
        conditions: Mapping[str, str],
    ) -> Timing:  # fmt: skip
        """Return an actuator's times from calibration records of these devices, or else those given.

        A calibrated time counts with two standard uncertainties on the safe side.
        """
        if self._store is None:
            return Timing(settle_s, latency_s)
        identities = {field: asdict(self.devices[field].identity) for field in devices}
        sources = [DATA_SHEET, DATA_SHEET]
        settling = self._store.latest("settling", self.name, identities, conditions)
        if settling is not None:
            found = settling.values["settle_s"]
            settle_s, sources[0] = found.value + 2 * found.uncertainty, settling.id
        latency = self._store.latest("latency", self.name, identities, conditions)
        if latency is not None:
            least, most = latency.values["latency_least_s"], latency.values["latency_most_s"]
            latency_s = (max(least.value - 2 * least.uncertainty, 0.0), most.value + 2 * most.uncertainty)
            sources[1] = latency.id
        _LOG.info("%s: %s settles in %g s (%s), latency %g to %g s (%s)",
                  self.name, actuator, settle_s, sources[0], *latency_s, sources[1])  # fmt: skip
        return Timing(settle_s, latency_s, (sources[0], sources[1]))

    def _measure(self, setpoints: Setpoints, shots: Shots, tell: Callable[[], None]) -> None:
        """Take all shots, and again those without a proven reading; runs in the devices' thread."""
        shots.start_s = self.clock.now_s()
        wanted, before = shots.missing, self.n_shots

        def count_and_tell() -> None:
            # whoever fetches the last chunk finds it counted
            self.n_shots = before + shots.n_measured
            tell()

        for attempt in range(self.config.retakes + 1):
            fault = self._take(setpoints, wanted, shots, count_and_tell)
            wanted = shots.missing
            shots.end_s = self.clock.now_s()
            if not len(wanted):
                break
            if attempt < self.config.retakes:
                self.n_retaken += len(wanted)
                _LOG.info("%s: %d of %d shots are taken again: %s", self.name, len(wanted), len(shots), fault)
        else:
            few = ", ".join(map(str, wanted[:8].tolist())) + (" ..." if len(wanted) > 8 else "")
            raise AcquisitionError(
                f"{self.name}: {len(wanted)} of {len(shots)} shots ({few}) have no reading that is proven to be theirs "
                f"after {self.config.retakes + 1} attempts; the last one: {fault}; look at trigger line, exposure and "
                f"settling (`pnnlab calibrate status`), or allow more `retakes`"
            )

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
