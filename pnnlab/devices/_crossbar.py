"""A device that multiplies voltages with programmed conductances."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._device import Device
from pnnlab.devices._state import State
from pnnlab.devices._trigger import Setpoint
from pnnlab.errors import SetpointError

__all__ = ["CrossbarArray"]

SiemensArray = npt.NDArray[np.floating]


class CrossbarArray(Device):
    """The role of a crossbar of programmable conductances: volts on rows in, amps from columns out.

    Two voltages must never be confused: what reads (`voltage`, limited so that it cannot switch a cell) and what
    programs, which the driver keeps to itself.
    """

    quantities: ClassVar[Mapping[str, str]] = {"conductance": "S", "voltage": "V"}
    holds_outputs: ClassVar[bool] = True

    # What a driver tells

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Return `(n_rows, n_columns)`."""

    @property
    def reads_transposed(self) -> bool:
        """Whether columns can be driven and rows read (`multiply_transposed`)."""
        return False

    # What a user calls

    @final
    def program(self, siemens: SiemensArray) -> Setpoint:
        """Program every cell; returns when all are written.

        Args:
            siemens: Shape `(n_rows, n_columns)`, in S.

        Returns:
            The setpoint; `realised` is what the write pulses aim at (nearest level), not what noise made of it:
            read the cells for that.

        Raises:
            SetpointError: Wrong shape or outside the limits; nothing was sent.
        """
        self._require(State.OPEN)
        if siemens.shape != self.shape:
            raise SetpointError(
                f"{self.name}: conductances have shape {siemens.shape}, expected {self.shape}; nothing was sent"
            )
        self.limits("conductance").check(siemens, who=f"{self.name}: conductance", unit="S")
        realised = self._realise(siemens)
        setpoint = Setpoint(self._next_tokens(1), siemens, realised, self.clock.now_s())
        self._call(self._program, realised)
        return setpoint

    @final
    def multiply(self, volts: npt.NDArray[np.floating]) -> tuple[Setpoint, npt.NDArray[np.floating]]:
        """Apply voltages to the rows and measure the columns' currents, vector after vector.

        Args:
            volts: Shape `(n, n_rows)`, in V.

        Returns:
            The setpoint (one token a vector; `realised` are the voltages after the row drivers' quantisation), and the
            currents into the grounded columns in A, shape `(n, n_columns)`.

        Raises:
            SetpointError: Wrong shape or outside the limits; nothing was sent.
        """
        self._require(State.OPEN)
        if volts.ndim != 2 or volts.shape[1] != self.shape[0] or len(volts) == 0:
            raise SetpointError(
                f"{self.name}: voltages have shape {volts.shape}, expected (n, {self.shape[0]}); nothing was sent"
            )
        self.limits("voltage").check(volts, who=f"{self.name}: voltage", unit="V")
        realised = self._realise_voltage(volts)
        setpoint = Setpoint(self._next_tokens(len(volts)), volts, realised, self.clock.now_s())
        return setpoint, self._call(self._multiply, realised)

    @final
    def multiply_transposed(self, volts: npt.NDArray[np.floating]) -> tuple[Setpoint, npt.NDArray[np.floating]]:
        """Apply voltages to the columns and measure the rows' currents, vector after vector.

        The cells are those of `multiply`, the drivers and converters need not be.

        Args:
            volts: Shape `(n, n_columns)`, in V; the limits are those of `multiply`.

        Returns:
            The setpoint, and the currents into the grounded rows in A, shape `(n, n_rows)`; see `multiply`.

        Raises:
            SetpointError: Wrong shape or outside the limits; nothing was sent.
            AbilityError: The columns of this instrument cannot be driven.
        """
        self._require(State.OPEN)
        if not self.reads_transposed:
            raise self._unable("drive its columns and read its rows")
        if volts.ndim != 2 or volts.shape[1] != self.shape[1] or len(volts) == 0:
            raise SetpointError(
                f"{self.name}: voltages of columns have shape {volts.shape}, expected (n, {self.shape[1]}); nothing "
                "was sent"
            )
        self.limits("voltage").check(volts, who=f"{self.name}: voltage of columns", unit="V")
        realised = self._realise_column_voltage(volts)
        setpoint = Setpoint(self._next_tokens(len(volts)), volts, realised, self.clock.now_s())
        return setpoint, self._call(self._multiply_transposed, realised)

    @final
    def read_conductance(self) -> SiemensArray:
        """Return every cell's conductance now, one at a time and with read noise, shape `(n_rows, n_columns)` in S."""
        self._require(State.OPEN)
        return self._call(self._read_conductance)

    # Hooks of a driver

    def _realise(self, siemens: SiemensArray) -> SiemensArray:
        """Return the conductances that the write circuit aims at for legal ones (its nearest levels)."""
        return siemens

    def _realise_voltage(self, volts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the voltages that the row drivers make of legal ones."""
        return volts

    def _realise_column_voltage(self, volts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return the voltages that the column drivers make of legal ones; the row drivers' if they are alike."""
        return self._realise_voltage(volts)

    @abstractmethod
    def _program(self, siemens: SiemensArray) -> None:
        """Write realised conductances, shape `(n_rows, n_columns)`."""

    @abstractmethod
    def _multiply(self, volts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Apply realised voltages, shape `(n, n_rows)`; return currents in A, shape `(n, n_columns)`."""

    @abstractmethod
    def _read_conductance(self) -> SiemensArray:
        """Read every cell."""

    def _multiply_transposed(self, volts: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Apply realised voltages to the columns, shape `(n, n_columns)`; return the rows' currents in A.

        Called only if `reads_transposed`.
        """
        raise self._unable("drive its columns and read its rows")
