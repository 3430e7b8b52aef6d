"""Physics that takes a row of values and gives a row of readings, whatever carries them there and back."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Device
from pnnlab.errors import SetpointError
from pnnlab.systems._array import A
from pnnlab.systems._link import Link
from pnnlab.systems._shots import FloatArray, PendingShots, Shots
from pnnlab.systems._system import Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._timing import Timing

__all__ = ["LinkedSystem"]

Ints = npt.NDArray[np.int64]


class LinkedSystem(System):
    """One shot: a row of values is set, and a row of readings taken once all has settled.

    What each value and each reading is, is told by the wirings that derive from it; how they travel, by their `Link`.
    The drive is one row a shot, shape `(batch, n_values)`; a reading has shape `(batch, n_readings)`.

    Besides the forward pass, `probe` measures any drive: errors sent backwards, nudges, clamps. Its shots count like
    any other.
    """

    def __init__(
        self, name: str, config: SystemConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:  # fmt: skip
        super().__init__(name, config, devices, facilities)
        self._link = self._make_link()

    @abstractmethod
    def _make_link(self) -> Link:
        """Return what carries values and readings; called once, with name, configuration and devices known."""

    # What it is

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return (self.n_out,)

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`: a row of values."""
        return ((self._link.n_values,),)

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._link.sensor

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`."""
        return self._link.shot_s

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `System.timings`."""
        return self._link.timings

    @abstractmethod
    def outputs(self, reading: A) -> A:
        """Return normalised outputs, shape `(batch, n_out)`, of readings, shape `(batch, n_readings)`."""

    def inside(self, reading: A) -> tuple[A, ...]:
        """Return the states inside that a reading tells, shaped as `state_shapes`; none unless a wiring knows of some.

        Args:
            reading: Shape `(batch, n_readings)`.
        """
        return ()

    # Beyond the forward pass

    def read(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Measure a batch and return all that was read, shape `(batch, n_readings)`.

        Arguments and errors are those of `System.measure`, whose outputs are the `outputs` of this reading.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        return self.probe(self.encode(x, theta)[0])

    def probe(self, drive: FloatArray) -> FloatArray:
        """Measure any drive, one shot a row, and return all that was read, shape `(batch, n_readings)`.

        Args:
            drive: Shape `(batch, n_values)`.

        Raises:
            SetpointError: Wrong shape, or a value beyond what the actuator makes; nothing was sent.
            AcquisitionError: See `System.measure`.
            DeviceError: See `System.measure`.
        """
        drive = np.asarray(drive, self.dtype)
        expected = self.drive_shapes[0]
        if drive.ndim != 2 or not len(drive) or drive.shape[1:] != expected or not np.isfinite(drive).all():
            raise SetpointError(
                f"{self.name}: a drive of shape {drive.shape} is to be probed, expected are finite numbers of shape "
                f"(batch, {expected[0]}); nothing was sent"
            )
        setpoints = self._prepare((drive,))
        shots = _Readings(
            (len(drive),), self._link.n_readings, self.drive_shapes, shared=frozenset(), dtype=self.dtype
        )  # fmt: skip
        pending = PendingShots(shots, lambda tell: self._measure(setpoints, shots, tell), self.trace)
        if self._thread.is_current:
            pending.run()
        else:
            self._thread.submit(pending)
        return pending.result().y

    # Walking down and up

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`."""
        (values,) = drive
        return (self._link.to_setpoints(values),)

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        outputs: A = self.outputs(self._link.readings(reading))
        return outputs

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> Setpoints:
        return (self._link.prepare(*drive),)

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        return self._link.take(setpoints[0], wanted, _Sink(self, shots, tell))


class _Readings(Shots):
    """Shots whose readings are kept as they come, instead of outputs."""


class _Sink:
    """Where a batch's readings go."""

    def __init__(self, system: LinkedSystem, shots: Shots, tell: Callable[[], None]) -> None:
        self._system, self._shots, self._tell = system, shots, tell
        self.until_edge = shots.until_edge

    def shown(self, shots: Ints, drive: FloatArray) -> None:
        self._shots.drive[0][shots] = drive

    def decode(self, readings: FloatArray) -> FloatArray:
        if isinstance(self._shots, _Readings):
            return readings
        # states come with their outputs, so that both are proven to belong to one shot
        return np.concatenate([self._system.outputs(readings), *self._system.inside(readings)], 1)

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        end = self._shots.y.shape[1]
        for state in self._shots.states:
            begin, end = end, end + state.shape[1]
            state[shots] = y[:, begin:end]
        self._shots.put(shots, y[:, : self._shots.y.shape[1]], tokens, exposed_s)
        self._shots.end_s = self._system.clock.now_s()
        self._tell()
