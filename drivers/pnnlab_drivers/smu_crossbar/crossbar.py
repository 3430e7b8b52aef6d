"""A crossbar of memristive cells behind a switch matrix and one source-measure unit."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import DeviceOptions, Identity, Limits, PulsedCrossbar, SettingValue
from pnnlab.errors import AcquisitionError, PnnlabError
from pnnlab.quantities import Amps, Siemens, Volts
from pnnlab.transports import LinkOptions, Transport, open_transport
from pnnlab_drivers._write_verify import PulseOptions, pulse_limits, report_missed, write_cell
from pnnlab_drivers.smu_crossbar._matrix import Matrix, ScpiMatrix, TspMatrix
from pnnlab_drivers.smu_crossbar._smu import ScpiSmu, Smu, TspSmu

__all__ = ["SmuCrossbar", "SmuCrossbarOptions", "WriteOptions"]

FloatArray = npt.NDArray[np.floating]
PulseCounts = npt.NDArray[np.integer]


class SpokenTo(LinkOptions):
    """How one of the two instruments is reached.

    Attributes:
        language: What it speaks: `tsp` (Keithley 2600, 707B, 3706A) or `scpi` (Keithley 2400, Keysight B2200, 34980A).
        channel: Channel of a source-measure unit that has several, as `smub`.
    """

    language: Literal["scpi", "tsp"]
    channel: str = Field(default="smua", pattern="^smu[ab]$")


class WriteOptions(PulseOptions):
    """How cells are written.

    Attributes:
        compliance_a: Current limit of pulses.
    """

    compliance_a: Amps = Field(gt=0)


class SmuCrossbarOptions(DeviceOptions):
    """The options of the driver `smu-crossbar`.

    Attributes:
        smu: The source-measure unit.
        matrix: The switch matrix.
        rows: The crosspoint that connects the source to each row.
        columns: The crosspoint that connects each column to the source's return.
        idle_rows: The crosspoint that connects each row to ground or guard while it is not selected; left out, the row
            floats.
        idle_columns: The same for columns.
        window_siemens: Lowest and highest conductance that is written.
        read_voltage_v: Highest voltage that reads: it must not be able to switch a cell.
        compliance_a: Current limit while cells are read.
        power_line_cycles: Time that a current is integrated, in periods of the mains.
        voltage_step_v: Finest step of the source.
        write: How cells are written.
    """

    smu: SpokenTo
    matrix: SpokenTo
    rows: tuple[str, ...] = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    idle_rows: tuple[str, ...] = ()
    idle_columns: tuple[str, ...] = ()
    window_siemens: tuple[Siemens, Siemens]
    read_voltage_v: Volts = Field(default=0.2, gt=0)
    compliance_a: Amps = Field(default=1e-3, gt=0)
    power_line_cycles: float = Field(default=0.1, gt=0, le=25)
    voltage_step_v: Volts = Field(default=5e-5, gt=0)
    write: WriteOptions

    @model_validator(mode="after")
    def _fits(self) -> "SmuCrossbarOptions":
        for name, idle, used in (("rows", self.idle_rows, self.rows), ("columns", self.idle_columns, self.columns)):
            if idle and len(idle) != len(used):
                raise ValueError(f"idle_{name} has {len(idle)} crosspoints, {name} has {len(used)}; name one for each")
        points = [*self.rows, *self.columns, *self.idle_rows, *self.idle_columns]
        if len(set(points)) != len(points):
            raise ValueError("a crosspoint is named twice among rows, columns, idle_rows and idle_columns")
        if any(not point.isalnum() for point in points):
            raise ValueError("a crosspoint is letters and digits, as '1A01' or '1101'")
        low, high = self.window_siemens
        if not 0 < low < high:
            raise ValueError(f"window runs from {low:g} S to {high:g} S; it must rise, from above zero")
        self.write.check_reading(self.read_voltage_v)
        return self


class SmuCrossbar(PulsedCrossbar):
    """Cells that are measured one at a time: a row gets a voltage, the current of one column is measured.

    Currents of a vector are the sums of those that each row's voltage alone drives through its cell: right as far as
    unselected lines carry no current, as with a transistor in each cell or a guard on `idle_rows` and `idle_columns`.
    Each cell is measured at the very voltage that its row has, so that a curved cell counts as it is. A multiplication
    switches once for each cell, and measures once for each cell and vector: some ten milliseconds each.

    Read the other way, a cell is measured at the same terminals with the opposite voltage: what its column at u drives
    into its row. Pulses of a cell's own are the smallest that `write` allows, with its compliance; one source cannot
    pulse all lines at once, so nothing is updated in parallel. How many pulses a cell bears is told by `limits`.

    No crosspoint is switched under voltage, and none is trusted: which are closed is asked before the source is
    connected. The safe state is the source off and all crosspoints open.
    """

    Options: ClassVar[type[DeviceOptions]] = SmuCrossbarOptions
    options: SmuCrossbarOptions

    _open_links: tuple[Transport, ...] = ()
    _missed: int = 0
    _matrix_name: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """See `CrossbarArray.shape`."""
        return len(self.options.rows), len(self.options.columns)

    @property
    def reads_transposed(self) -> bool:
        """See `CrossbarArray.reads_transposed`."""
        return True

    @property
    def pulse_v(self) -> tuple[float, float]:
        """See `PulsedCrossbar.pulse_v`."""
        return self.options.write.smallest_v

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (self.options.smu.resource, self.options.matrix.resource)

    def _open(self) -> None:
        options = self.options
        points = [*options.rows, *options.columns, *options.idle_rows, *options.idle_columns]
        source = open_transport(options.smu, who=f"{self.name} (source)")
        self._open_links = (source,)
        switches = open_transport(options.matrix, who=f"{self.name} (matrix)")
        self._open_links = (source, switches)
        step_v = options.voltage_step_v
        self._smu: Smu = (
            TspSmu(source, self.clock, step_v, options.smu.channel)
            if options.smu.language == "tsp"
            else ScpiSmu(source, self.clock, step_v)
        )
        self._matrix: Matrix = (TspMatrix if options.matrix.language == "tsp" else ScpiMatrix)(switches, points)
        self._prepared = False

    def _identify(self) -> Identity:
        matrix = self._matrix.identity()
        self._matrix_name = f"{matrix.vendor} {matrix.model} serial {matrix.serial}"
        return self._smu.identity()

    def _close(self) -> None:
        links, self._open_links = self._open_links, ()
        for link in links:
            link.close()

    def _make_safe(self) -> None:
        self._prepared = False
        try:
            self._smu.off()
        finally:
            self._matrix.open_all()

    def _hard_limits(self) -> Mapping[str, Limits]:
        read_v = self.options.read_voltage_v
        return {
            "conductance": Limits(*self.options.window_siemens), "voltage": Limits(-read_v, read_v),
            "pulse": pulse_limits(self.options.write),
        }  # fmt: skip

    def _settings(self) -> dict[str, SettingValue]:
        options = self.options
        return {
            "shape": list(self.shape), "matrix": self._matrix_name, "window_siemens": list(options.window_siemens),
            "read_voltage_v": options.read_voltage_v, "compliance_a": options.compliance_a,
            "power_line_cycles": options.power_line_cycles, "missed_cells": self._missed,
        }  # fmt: skip

    def _realise_voltage(self, volts: FloatArray) -> FloatArray:
        step_v = self.options.voltage_step_v
        limit = self.options.read_voltage_v
        realised: FloatArray = np.clip(np.rint(volts / step_v) * step_v, -limit, limit).astype(volts.dtype)
        return realised

    def _program(self, siemens: FloatArray) -> None:
        write, found = self.options.write, np.zeros(self.shape)
        for row, column in np.ndindex(*self.shape):
            with self._selected(row, column):
                found[row, column] = write_cell(
                    float(siemens[row, column]), write, read=self._conductance,
                    pulse=lambda volts: self._smu.pulse(volts, write.pulse_s, write.compliance_a),
                )  # fmt: skip
        self._missed = report_missed(self.name, found, siemens, write)

    def _multiply(self, volts: FloatArray) -> FloatArray:
        kind = np.result_type(volts.dtype, np.float32)
        amps = np.zeros((len(volts), self.shape[1]))
        for row, column in np.ndindex(*self.shape):
            with self._selected(row, column):
                for k, level in enumerate(volts[:, row].tolist()):
                    if level:
                        self._smu.put(level)
                        amps[k, column] += self._measured(row, column)
        return amps.astype(kind)

    def _multiply_transposed(self, volts: FloatArray) -> FloatArray:
        kind = np.result_type(volts.dtype, np.float32)
        amps = np.zeros((len(volts), self.shape[0]))
        for row, column in np.ndindex(*self.shape):
            with self._selected(row, column):
                for k, level in enumerate(volts[:, column].tolist()):
                    if level:
                        # the column at u and its row at ground are the row at -u and its column at ground
                        self._smu.put(-level)
                        amps[k, row] -= self._measured(row, column)
        return amps.astype(kind)

    def _step(self, counts: PulseCounts) -> None:
        write, (up_v, down_v) = self.options.write, self.pulse_v
        for row, column in np.argwhere(counts).tolist():
            count = int(counts[row, column])
            with self._selected(row, column):
                for _ in range(abs(count)):
                    self._smu.pulse(up_v if count > 0 else down_v, write.pulse_s, write.compliance_a)

    def _read_conductance(self) -> FloatArray:
        siemens = np.zeros(self.shape)
        for row, column in np.ndindex(*self.shape):
            with self._selected(row, column):
                siemens[row, column] = self._conductance()
        return siemens

    # One cell

    def _selected(self, row: int, column: int) -> "_Cell":
        options = self.options
        points = [options.rows[row], options.columns[column]]
        points += [point for k, point in enumerate(options.idle_rows) if k != row]
        points += [point for k, point in enumerate(options.idle_columns) if k != column]
        if not self._prepared:
            largest_v = max(options.read_voltage_v, options.write.largest_v)
            self._smu.prepare(
                largest_v=largest_v, compliance_a=options.compliance_a, power_line_cycles=options.power_line_cycles
            )
            self._prepared = True
        return _Cell(self._smu, self._matrix, points)

    def _measured(self, row: int, column: int) -> float:
        try:
            return self._smu.measure_a()
        except AcquisitionError as error:
            raise AcquisitionError(f"{self.name}: cell ({row}, {column}): {error}") from error

    def _conductance(self) -> float:
        level = self.options.read_voltage_v
        self._smu.put(level)
        siemens = self._smu.measure_a() / level
        self._smu.put(0.0)
        return siemens


class _Cell:
    """A cell that is connected: switched with the source off, checked, and left with the source off."""

    def __init__(self, smu: Smu, matrix: Matrix, points: Sequence[str]) -> None:
        self._smu, self._matrix, self._points = smu, matrix, points

    def __enter__(self) -> None:
        self._matrix.close_only(self._points)
        self._smu.on()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._smu.off()
            return
        # the error on its way says more than one about switching off; make_safe tries again
        with suppress(PnnlabError):
            self._smu.off()
