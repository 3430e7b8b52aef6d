"""A simulated crossbar of memristive cells with its converters."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import CrossbarArray, DeviceOptions, Identity, Limits, SettingValue
from pnnlab.quantities import Amps, Seconds, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._plant import plant_of
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip

__all__ = ["SimCrossbar"]

FloatArray = npt.NDArray[np.floating]


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
    mismatch: float = 1.0
    row_gain_error: float = 0.0
    column_offset_a: Amps = 0.0
    column_gain_error: float = 0.0
    column_inl_lsb: float = Field(default=0.0, ge=0)
    noise_rms_a: Amps = 0.0
    noise: float = Field(default=1.0, ge=0)
    serial: str = "SIM-XBAR-1"


class SimCrossbar(CrossbarArray):
    """The drivers and converters around the cells of a `CrossbarChip`.

    Cells are read back through the write circuit, cell by cell and without the converters of the columns.
    """

    Options: ClassVar[type[DeviceOptions]] = SimCrossbarOptions
    needs_plant: ClassVar[bool] = True
    options: SimCrossbarOptions

    @property
    def shape(self) -> tuple[int, int]:
        """See `CrossbarArray.shape`."""
        return plant_of(self, CrossbarChip).shape

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
        return {"conductance": Limits(low - slack if low else 0.0, high + slack), "voltage": self._rows.limits()}

    def _open(self) -> None:
        self._chip = chip = plant_of(self, CrossbarChip)
        options = self.options
        scale = options.mismatch
        self._rows = Converter(
            chip.shape[0], low=-options.read_voltage_v, high=options.read_voltage_v,
            n_codes=2**options.row_bits - 1, symmetric=True, gain=scale * options.row_gain_error,
            generator=chip.specimen(f"rows {self.name}"), dtype=chip.dtype, torch_device=chip.torch_device,
        )  # fmt: skip
        self._columns = Converter(
            chip.shape[1], low=-options.full_scale_a, high=options.full_scale_a,
            n_codes=2**options.column_bits - 1, symmetric=True, offset=scale * options.column_offset_a,
            gain=scale * options.column_gain_error, inl_lsb=scale * options.column_inl_lsb,
            generator=chip.specimen(f"columns {self.name}"), dtype=chip.dtype, torch_device=chip.torch_device,
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

    def _multiply(self, volts: FloatArray) -> FloatArray:
        chip, options, start_s = self._chip, self.options, self.clock.now_s()
        rows = self._rows.distort(torch.as_tensor(volts, dtype=chip.dtype, device=chip.torch_device))
        currents = chip.currents(rows, start_s=start_s, vector_s=options.vector_time_s)
        measured: FloatArray = self._columns.distort(currents).cpu().numpy().astype(np.float64)
        if options.noise * options.noise_rms_a:
            noise = chip.noise(f"columns {self.name}").standard_normal(measured.shape)
            measured += options.noise * options.noise_rms_a * noise
        if options.quantised:
            measured = self._columns.nearest(measured)
        self._let_pass(len(volts) * options.vector_time_s)
        kind = np.result_type(volts.dtype, np.float32)
        return np.clip(measured, self._columns.low, self._columns.high).astype(kind)

    def _read_conductance(self) -> FloatArray:
        self._let_pass(self.shape[0] * self.shape[1] * self.options.program_time_s)
        siemens: FloatArray = self._chip.read().cpu().numpy()
        return siemens

    def _let_pass(self, seconds: float) -> None:
        self.clock.sleep_until(self.clock.now_s() + seconds)
