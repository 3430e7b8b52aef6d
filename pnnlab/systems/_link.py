"""How values travel between a system and its devices: a row of them to what acts, and a reading of each row back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Device
from pnnlab.systems._array import A
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._timing import Timing

__all__ = ["Link", "ReadingSink"]

Ints = npt.NDArray[np.int64]


class ReadingSink(Protocol):
    """Where a batch's readings go."""

    def shown(self, shots: Ints, drive: FloatArray) -> None:
        """Take note of what became of the shots' drives, shape `(n, n_values)`."""
        ...

    def decode(self, readings: FloatArray) -> FloatArray:
        """Return what is to be kept of readings, shape `(n, n_readings)`; it does not share memory with raw ones."""
        ...

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        """Take what was decoded, once it is proven to be that of the shots."""
        ...

    def until_edge(self, shot: int) -> int:
        """Return how many shots the host wants to have at once from this one on."""
        ...


class Link(ABC):
    """The devices of a system, as what takes one row of values a shot and gives one row of readings.

    What a value and a reading mean, and in which unit they are, the system says that made the link.
    """

    @property
    @abstractmethod
    def n_values(self) -> int:
        """Return the length of a row of values."""

    @property
    @abstractmethod
    def n_readings(self) -> int:
        """Return the length of a row of readings."""

    @property
    @abstractmethod
    def sensor(self) -> Device:
        """See `System.sensor`."""

    @property
    @abstractmethod
    def shot_s(self) -> float:
        """See `System.shot_s`."""

    @property
    @abstractmethod
    def timings(self) -> Mapping[str, Timing]:
        """See `System.timings`."""

    @abstractmethod
    def to_setpoints(self, drive: A) -> A:
        """Return rows of values, shape `(batch, n_values)`, in the actuator's unit, not yet quantised."""

    @abstractmethod
    def readings(self, raw: A) -> A:
        """Return rows of readings, shape `(batch, n_readings)`, of what the sensor read, one a row."""

    @abstractmethod
    def prepare(self, drive: FloatArray) -> npt.NDArray[np.number]:
        """Return rows of values as the actuator takes them."""

    @abstractmethod
    def take(self, setpoints: npt.NDArray[np.number], wanted: Ints, sink: ReadingSink) -> str:
        """Take one reading of each wanted shot once.

        Args:
            setpoints: What `prepare` returned, for the whole batch.
            wanted: Which shots, increasing.
            sink: Where readings go.

        Returns:
            What was wrong with those that the sink was not given.
        """
