"""Shots on their way: handed in, measured by the devices' thread, fetched in chunks."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import StateError
from pnnlab.systems._trace import Trace

__all__ = ["FloatArray", "Measurement", "PendingShots", "Shots"]

FloatArray = npt.NDArray[np.floating]
_WAIT_S: Final = 0.25
"""A waiting thread looks up so often, because some systems answer Ctrl-C between two waits only."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a batch of shots gave.

    Attributes:
        y: Normalised readings, shape `(batch, n_out)`.
        drive: What the hardware realised of the normalised setpoints, one array an actuator (`System.drive_shapes`).
        tokens: Setpoint token during which each shot was exposed, of the actuator that steps with the shots, shape
            `(batch,)`.
        exposed_s: Bench time at which each reading began, shape `(batch,)`; NaN where the sensor has no time stamps.
        start_s: Bench time at which the first setpoint was handed over.
        end_s: Bench time at which the last reading was in.
        states: Readings taken inside, one array a place, shape `(batch, ...)` (`System.state_shapes`).
    """

    y: FloatArray
    drive: tuple[FloatArray, ...]
    tokens: npt.NDArray[np.int64]
    exposed_s: npt.NDArray[np.float64]
    start_s: float
    end_s: float
    states: tuple[FloatArray, ...] = ()


class Shots:
    """The readings of a batch while they come in; a system fills it.

    Attributes:
        chunks: How many shots the host takes at a time, in their order.
        y: Shape `(batch, n_out)`.
        drive: One array an actuator; those in `shared` have no batch.
        tokens: Shape `(batch,)`.
        exposed_s: Shape `(batch,)`.
        states: One array a place inside that is read; to be filled before the readings are `put`.
    """

    def __init__(
        self, chunks: tuple[int, ...], n_out: int, drive_shapes: Sequence[tuple[int, ...]], *,
        shared: frozenset[int], dtype: np.dtype[np.floating], state_shapes: Sequence[tuple[int, ...]] = (),
    ) -> None:  # fmt: skip
        batch = sum(chunks)
        self.chunks = chunks
        self.shared = shared
        self.y = np.empty((batch, n_out), dtype)
        self.drive: tuple[FloatArray, ...] = tuple(
            np.empty(shape if k in shared else (batch, *shape), dtype) for k, shape in enumerate(drive_shapes)
        )
        self.states: tuple[FloatArray, ...] = tuple(np.empty((batch, *shape), dtype) for shape in state_shapes)
        self.tokens = np.full(batch, -1, np.int64)
        self.exposed_s = np.full(batch, np.nan)
        self.start_s = self.end_s = 0.0
        self._missing = np.ones(batch, bool)
        self._edges = np.cumsum((0, *chunks)).tolist()
        self.n_measured = 0
        """Shots that have their readings."""
        self.ready = 0
        """Chunks that are complete, with all before them."""

    def __len__(self) -> int:
        return len(self.y)

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Return the shots that are not measured yet."""
        return np.flatnonzero(self._missing)

    def until_edge(self, shot: int) -> int:
        """Return how many shots there are from one to the end of its chunk."""
        return int(self._edges[int(np.searchsorted(self._edges, shot, side="right"))] - shot)

    def put(self, shots: npt.NDArray[np.int64], y: FloatArray, tokens: npt.NDArray[np.int64],
            exposed_s: npt.NDArray[np.float64] | float) -> None:  # fmt: skip
        """Take readings, one a shot."""
        self.y[shots] = y
        self.tokens[shots] = tokens
        self.exposed_s[shots] = exposed_s
        self.n_measured += int(self._missing[shots].sum())
        self._missing[shots] = False
        while self.ready < len(self.chunks):
            begin, end = self._edges[self.ready], self._edges[self.ready + 1]
            if self._missing[begin:end].any():
                break
            self.ready += 1

    def part(self, chunk: int) -> Measurement:
        """Return a complete chunk; its arrays are views."""
        rows = slice(self._edges[chunk], self._edges[chunk + 1])
        drive = tuple(d if k in self.shared else d[rows] for k, d in enumerate(self.drive))
        states = tuple(state[rows] for state in self.states)
        return Measurement(
            self.y[rows], drive, self.tokens[rows], self.exposed_s[rows], self.start_s, self.end_s, states
        )

    def whole(self) -> Measurement:
        """Return all of it."""
        return Measurement(self.y, self.drive, self.tokens, self.exposed_s, self.start_s, self.end_s, self.states)


class PendingShots:
    """A batch that was handed in; its chunks can be fetched as soon as each is measured.

    Args:
        shots: What is to be filled.
        work: Fills it; it is called in the devices' thread, and calls back after every reading.
        trace: What is done when.
    """

    def __init__(self, shots: Shots, work: Callable[[Callable[[], None]], None], trace: Trace) -> None:
        self._shots = shots
        self._work = work
        self.trace = trace
        self._cancelled = False
        self._changed = threading.Condition()
        self._ready = 0
        self._done = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._shots)

    @property
    def n_chunks(self) -> int:
        """Return the number of chunks."""
        return len(self._shots.chunks)

    def chunk(self, number: int) -> Measurement:
        """Return one chunk, waiting until it is measured.

        Raises:
            PnnlabError: What went wrong with the batch.
        """
        self._wait_for(lambda: self._ready > number)
        return self._shots.part(number)

    def result(self) -> Measurement:
        """Return the whole batch, waiting until the devices are done with it; errors as in `chunk`."""
        self._wait_for(lambda: self._done)
        return self._shots.whole()

    def cancel(self) -> None:
        """Give the batch up: it is not begun any more, or ends after the reading that is being taken."""
        self._cancelled = True

    def rest(self) -> None:
        """Wait until the devices are done with the batch, whatever came of it."""
        with self._changed:
            while not self._done and self._error is None:
                self._changed.wait(_WAIT_S)

    def _wait_for(self, reached: Callable[[], bool]) -> None:
        with self._changed:
            while not reached() and self._error is None:
                self._changed.wait(_WAIT_S)
            if not reached():
                assert self._error is not None  # noqa: S101 (the loop ended)
                raise self._error

    # For the devices' thread

    def run(self) -> None:
        """See `Job.run`."""
        try:
            self._check_cancelled()
            self._work(self._tell)
        except BaseException as error:  # whoever waits gets it, Ctrl-C of a driver included
            self.fail(error)
        else:
            with self._changed:
                self._ready, self._done = self._shots.ready, True
                self._changed.notify_all()
        finally:
            self._work = _nothing

    def fail(self, error: BaseException) -> None:
        """See `Job.fail`."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _check_cancelled(self) -> None:
        if self._cancelled:
            raise StateError("the shots were given up by the one who asked for them")

    def _tell(self) -> None:
        self._check_cancelled()
        if self._shots.ready != self._ready:
            with self._changed:
                self._ready = self._shots.ready
                self._changed.notify_all()


def _nothing(_: Callable[[], None]) -> None:
    """Stand for work that is done, so that its arrays are let go."""
