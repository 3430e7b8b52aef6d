"""A crossbar whose cells are moved by pulses, in place."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._crossbar import CrossbarArray
from pnnlab.devices._state import State
from pnnlab.errors import SetpointError

__all__ = ["PulsedCrossbar"]

Pulses = npt.NDArray[np.integer]


class PulsedCrossbar(CrossbarArray):
    """The role of a crossbar whose cells take a step for every pulse.

    How far a pulse moves a cell, the cell decides: it depends on where the cell is, on the specimen, and on chance. So
    nothing is realised that could be told; read the cells.

    A pulse is refused that the limits of the bench file do not allow: `pulse` limits its voltage, `line_current` the
    current of one row or column, taken as if all cells that it crosses in one slot were at the highest legal
    conductance, and `wear` the number of pulses that any cell has had from this object.
    """

    quantities: ClassVar[Mapping[str, str]] = {
        **CrossbarArray.quantities, "pulse": "V", "line_current": "A", "wear": "",
    }  # fmt: skip

    _worn: npt.NDArray[np.int64] | None = None

    # What a driver tells

    @property
    @abstractmethod
    def pulse_v(self) -> tuple[float, float]:
        """Return the voltages across a cell of a pulse that raises its conductance, and of one that lowers it."""

    @property
    def pulses_cells(self) -> bool:
        """Whether cells can be given pulses of their own (`step`)."""
        return True

    @property
    def updates_in_parallel(self) -> bool:
        """Whether all rows and columns can be pulsed at once (`update`)."""
        return False

    @property
    def pulses_had(self) -> npt.NDArray[np.int64]:
        """Return how many pulses each cell has had from this object, shape `(n_rows, n_columns)`."""
        return np.zeros(self.shape, np.int64) if self._worn is None else self._worn.copy()

    # What a user calls

    @final
    def step(self, counts: Pulses) -> None:
        """Give each cell pulses of its own, one cell after the other; returns when all have been given.

        Args:
            counts: How many, shape `(n_rows, n_columns)`; negative numbers lower the conductance.

        Raises:
            SetpointError: Wrong shape or kind of numbers, or outside the limits; nothing was sent.
            AbilityError: The driver gives no single pulses.
        """
        self._require(State.OPEN)
        if counts.shape != self.shape or not np.issubdtype(counts.dtype, np.integer):
            raise SetpointError(
                f"{self.name}: counts of pulses have shape {counts.shape} and are {counts.dtype}, expected whole "
                f"numbers of shape {self.shape}; nothing was sent"
            )
        if not self.pulses_cells:
            raise self._unable("pulse its cells; program them")
        # worn as soon as it is tried: a driver that fails half-way has pulsed
        self._worn = self._checked(np.abs(counts).astype(np.int64), 1)
        self._call(self._step, counts)

    @final
    def update(self, rows: Pulses, columns: Pulses) -> None:
        """Send streams of pulses on all rows and columns at once; returns when they are over.

        Wherever a row's pulse meets a column's, the cell takes one step: up where both have one sign, down otherwise.
        A pulse that meets none moves nothing.

        Args:
            rows: -1, 0 or 1, shape `(n_slots, n_rows)`: a pulse and its sign.
            columns: Likewise, shape `(n_slots, n_columns)`.

        Raises:
            SetpointError: Wrong shape, another number, or outside the limits; nothing was sent.
            AbilityError: The instrument cannot pulse all lines at once.
        """
        self._require(State.OPEN)
        if not self.updates_in_parallel:
            raise self._unable("pulse all rows and columns at once; give cells pulses of their own with `step`")
        for what, stream, n in (("rows", rows, self.shape[0]), ("columns", columns, self.shape[1])):
            expected = (len(rows), n)
            if stream.shape != expected or not np.issubdtype(stream.dtype, np.integer):
                raise SetpointError(
                    f"{self.name}: pulses of {what} have shape {stream.shape} and are {stream.dtype}, expected whole "
                    f"numbers of shape {expected}; nothing was sent"
                )
            if stream.size and np.abs(stream).max() > 1:
                raise SetpointError(
                    f"{self.name}: pulses of {what} span {stream.min()} to {stream.max()}, allowed are -1, 0 and 1; "
                    "nothing was sent"
                )
        if not len(rows):
            return
        # single precision is exact up to 2^24 slots
        row_pulses, column_pulses = np.abs(rows).astype(np.float32), np.abs(columns).astype(np.float32)
        per_slot = np.maximum(row_pulses.any(1) * column_pulses.sum(1), column_pulses.any(1) * row_pulses.sum(1))
        self._worn = self._checked((row_pulses.T @ column_pulses).astype(np.int64), int(per_slot.max()))
        self._call(self._update, rows, columns)

    def _checked(self, pulses: npt.NDArray[np.int64], crossed: int) -> npt.NDArray[np.int64]:
        """Return how many pulses each cell will have had, once the limits allow them.

        Args:
            pulses: How many each cell is to get.
            crossed: Cells that one line drives at once at most.
        """
        had = self.pulses_had + pulses
        if not pulses.any():
            return had
        volts = np.array(self.pulse_v)
        self.limits("pulse").check(volts, who=f"{self.name}: pulse", unit="V")
        if np.isfinite(self.limits("line_current").high):
            amps = np.array(crossed * np.abs(volts).max() * self.limits("conductance").high)
            who = f"{self.name}: line_current of {crossed} cells at their highest conductance,"
            self.limits("line_current").check(amps, who=who, unit="A")
        self.limits("wear").check(had, who=f"{self.name}: wear, in pulses of a cell,", unit="")
        return had

    # Hooks of a driver

    @abstractmethod
    def _step(self, counts: Pulses) -> None:
        """Give legal numbers of pulses, shape `(n_rows, n_columns)`."""

    def _update(self, rows: Pulses, columns: Pulses) -> None:
        """Send legal streams, shapes `(n_slots, n_rows)` and `(n_slots, n_columns)`; only if `updates_in_parallel`."""
        raise self._unable("pulse all rows and columns at once")
