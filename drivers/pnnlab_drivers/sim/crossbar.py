"""A simulated crossbar of memristive cells with its converters."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import DeviceOptions, Identity, Limits, PulsedCrossbar, SettingValue
from pnnlab.quantities import Amps, Seconds, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._plant import plant_of
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip

__all__ = ["SimCrossbar"]

FloatArray = npt.NDArray[np.floating]
PulseArray = npt.NDArray[np.integer]


class SimCrossbarOptions(DeviceOptions):
    """The options of the driver `sim-crossbar`.

    Attributes:
        row_bits: Bits of a row voltage, sign and magnitude.
        column_bits: Bits of a column current, sign and magnitude.
        quantised: Whether voltages and currents are codes; off for tests of gradients.
        read_voltage_v: Largest row voltage: more could switch a cell.
        full_scale_a: Largest column current; what lies outside saturates.
        program_time_s: Time to program or to read back one cell.
        vector_time_s: Time for one vector of voltages.
        pulse_time_s: Time from one pulse to the next.
        endurance: Pulses that a cell may get in its life.
        mismatch: Scales every hidden deviation below; 0 switches them off.
        row_gain_error: Standard deviation of the row drivers' relative gain errors.
        column_offset_a: Standard deviation of the columns' offsets.
        column_gain_error: Standard deviation of the columns' relative gain errors.
        column_inl_lsb: Largest integral nonlinearity of each column, in codes.
        noise_rms_a: Root mean square of a column converter's noise.
        noise: Scales it; 0 switches it off.
        serial: What the chip reports.
    """

    row_bits: int = Field(default=8, ge=2, le=18)
    column_bits: int = Field(default=10, ge=2, le=24)
    quantised: bool = True
    read_voltage_v: Volts = Field(default=0.2, gt=0)
    full_scale_a: Amps = Field(default=1e-3, gt=0)
    program_time_s: Seconds = Field(default=1e-6, ge=0)
    vector_time_s: Seconds = Field(default=1e-6, ge=0)
    pulse_time_s: Seconds = Field(default=1e-7, ge=0)
    endurance: int = Field(default=1_000_000_000, gt=0)
    mismatch: float = 1.0
    row_gain_error: float = 0.0
    column_offset_a: Amps = 0.0
    column_gain_error: float = 0.0
    column_inl_lsb: float = Field(default=0.0, ge=0)
    noise_rms_a: Amps = 0.0
    noise: float = Field(default=1.0, ge=0)
    serial: str = "SIM-XBAR-1"


class SimCrossbar(PulsedCrossbar):
    """The drivers and converters around the cells of a `CrossbarChip`.

    Cells are read back through the write circuit, cell by cell and without the converters of the columns. Columns are
    driven, and rows read, by converters of their own, which are like those of the other side but other specimens.
    """

    Options: ClassVar[type[DeviceOptions]] = SimCrossbarOptions
    needs_plant: ClassVar[bool] = True
    options: SimCrossbarOptions

    @property
    def shape(self) -> tuple[int, int]:
        """See `CrossbarArray.shape`."""
        return plant_of(self, CrossbarChip).shape

    @property
    def reads_transposed(self) -> bool:
        """See `CrossbarArray.reads_transposed`."""
        return True

    @property
    def pulses_cells(self) -> bool:
        """See `PulsedCrossbar.pulses_cells`: where the plant's cells answer pulses (`pulses`)."""
        return plant_of(self, CrossbarChip).pulsed is not None

    @property
    def updates_in_parallel(self) -> bool:
        """See `PulsedCrossbar.updates_in_parallel`."""
        return self.pulses_cells

    @property
    def pulse_v(self) -> tuple[float, float]:
        """See `PulsedCrossbar.pulse_v`."""
        pulses = plant_of(self, CrossbarChip).options.pulses
        if pulses is None:
            raise self._unable("pulse its cells; give its plant `pulses`")
        return pulses.raise_v, pulses.lower_v

    def expected(self, volts: torch.Tensor, siemens: torch.Tensor) -> torch.Tensor:
        """See `pnnlab.devices.Oracle`: mean column currents.

        Everything deterministic is in it: both converters' errors, what the cells missed when they were last programmed
        and have drifted since, stuck cells, wires, saturation. Noise and the rounding to codes are not.

        Args:
            volts: What the rows are told in V, shape `(batch, n_rows)`.
            siemens: What the cells are told in S, shape `(n_rows, n_columns)`.

        Returns:
            Amps, shape `(batch, n_columns)`.
        """
        chip = self._chip
        rows = self._rows.distort(volts.to(chip.torch_device, chip.dtype))
        amps = self._columns.distort(chip.settled(rows, siemens.to(chip.torch_device, chip.dtype)))
        return amps.clamp(self._columns.low, self._columns.high).to(volts.device, volts.dtype)

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        low, high = self._chip.window_siemens
        slack = 4 * float(np.finfo(np.float32).eps) * high
        # the window's ends, rounded to single precision, are still its ends
        pulses = self._chip.options.pulses
        pulse = Limits(0.0, 0.0) if pulses is None else Limits(pulses.lower_v, pulses.raise_v)
        most_a = max(self.shape) * max(-pulse.low, pulse.high) * high
        return {
            "conductance": Limits(low - slack if low else 0.0, high + slack), "voltage": self._rows.limits(),
            "pulse": pulse, "line_current": Limits(0.0, (1 + 1e-6) * most_a),
            "wear": Limits(0, self.options.endurance),
        }  # fmt: skip

    def _open(self) -> None:
        self._chip = chip = plant_of(self, CrossbarChip)
        options = self.options
        scale = options.mismatch
        self._rows, self._column_drivers = (
            Converter(
                n, low=-options.read_voltage_v, high=options.read_voltage_v, n_codes=2**options.row_bits - 1,
                symmetric=True, gain=scale * options.row_gain_error, generator=chip.specimen(f"{who} {self.name}"),
                dtype=chip.dtype, torch_device=chip.torch_device,
            )
            for n, who in ((chip.shape[0], "rows"), (chip.shape[1], "column drivers"))
        )  # fmt: skip
        self._columns, self._row_readers = (
            Converter(
                n, low=-options.full_scale_a, high=options.full_scale_a, n_codes=2**options.column_bits - 1,
                symmetric=True, offset=scale * options.column_offset_a, gain=scale * options.column_gain_error,
                inl_lsb=scale * options.column_inl_lsb, generator=chip.specimen(f"{who} {self.name}"),
                dtype=chip.dtype, torch_device=chip.torch_device,
            )
            for n, who in ((chip.shape[1], "columns"), (chip.shape[0], "row readers"))
        )  # fmt: skip

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated crossbar", self.options.serial, "1")

    def _close(self) -> None:
        """Nothing holds the simulated chip."""

    def _make_safe(self) -> None:
        """Rows are driven during a multiplication only; the cells keep what they hold."""

    def _settings(self) -> dict[str, SettingValue]:
        options, (low, high) = self.options, self._chip.window_siemens
        return {
            "shape": list(self.shape), "cells": self._chip.options.cells, "window_siemens": [low, high],
            "read_voltage_v": options.read_voltage_v, "row_lsb_v": self._rows.lsb, "full_scale_a": options.full_scale_a,
            "column_lsb_a": self._columns.lsb, "vector_time_s": options.vector_time_s,
        }  # fmt: skip

    def _realise(self, siemens: FloatArray) -> FloatArray:
        return self._chip.nearest(siemens)

    def _realise_voltage(self, volts: FloatArray) -> FloatArray:
        return self._rows.nearest(volts) if self.options.quantised else volts

    def _program(self, siemens: FloatArray) -> None:
        self._let_pass(siemens.size * self.options.program_time_s)
        self._chip.write(siemens)

    def _realise_column_voltage(self, volts: FloatArray) -> FloatArray:
        return self._column_drivers.nearest(volts) if self.options.quantised else volts

    def _multiply(self, volts: FloatArray) -> FloatArray:
        return self._measured(volts, self._rows, self._columns, f"columns {self.name}", transposed=False)

    def _multiply_transposed(self, volts: FloatArray) -> FloatArray:
        drivers, readers = self._column_drivers, self._row_readers
        return self._measured(volts, drivers, readers, f"row readers {self.name}", transposed=True)

    def _measured(
        self, volts: FloatArray, drivers: Converter, readers: Converter, who: str, *, transposed: bool
    ) -> FloatArray:
        chip, options, start_s = self._chip, self.options, self.clock.now_s()
        driven = drivers.distort(torch.as_tensor(volts, dtype=chip.dtype, device=chip.torch_device))
        currents = chip.currents(driven, start_s=start_s, vector_s=options.vector_time_s, transposed=transposed)
        measured: FloatArray = readers.distort(currents).cpu().numpy().astype(np.float64)
        if options.noise * options.noise_rms_a:
            noise = chip.noise(who).standard_normal(measured.shape)
            measured += options.noise * options.noise_rms_a * noise
        if options.quantised:
            measured = readers.nearest(measured)
        self._let_pass(len(volts) * options.vector_time_s)
        kind = np.result_type(volts.dtype, np.float32)
        return np.clip(measured, readers.low, readers.high).astype(kind)

    def _step(self, counts: PulseArray) -> None:
        self._let_pass(float(np.abs(counts).sum()) * self.options.pulse_time_s)
        self._chip.step(counts)

    def _update(self, rows: PulseArray, columns: PulseArray) -> None:
        self._let_pass(len(rows) * self.options.pulse_time_s)
        self._chip.update(rows, columns)

    def _read_conductance(self) -> FloatArray:
        self._let_pass(self.shape[0] * self.shape[1] * self.options.program_time_s)
        siemens: FloatArray = self._chip.read().cpu().numpy()
        return siemens

    def _let_pass(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now_s() + seconds)
