"""ArC TWO: 64 channels for crossbars of two-terminal cells, through the vendor's library `pyarc2`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from pnnlab.devices import Candidate, DeviceOptions, Identity, Limits, PulsedCrossbar, SettingValue
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.quantities import Siemens, Volts
from pnnlab_drivers._sdk import vendor_module
from pnnlab_drivers._write_verify import PulseOptions, pulse_limits, report_missed, write_cell

__all__ = ["ArcTwo", "ArcTwoOptions"]

FloatArray = npt.NDArray[np.floating]
PulseCounts = npt.NDArray[np.integer]

BITLINES: Final = (*range(16), *range(32, 48))
"""Channels that are rows of the array (pyarc2 documentation, overview)."""
WORDLINES: Final = (*range(16, 32), *range(48, 64))
"""Channels that are columns."""
_RANGE_V: Final = 10.0
"""Standard range of the channels (pyarc2 documentation, `set_channel_range`)."""


class ArcTwoOptions(DeviceOptions):
    """The options of the driver `arc-two`.

    Attributes:
        port: Number of the instrument, as `pyarc2.find_ids` lists them.
        firmware: The firmware file that came with the board.
        rows: Channels of the rows, among 0 to 15 and 32 to 47.
        columns: Channels of the columns, among 16 to 31 and 48 to 63.
        window_siemens: Lowest and highest conductance that is written.
        read_voltage_v: Highest voltage that reads: it must not be able to switch a cell.
        write: How cells are written.
    """

    port: int = Field(default=0, ge=0)
    firmware: str = Field(min_length=1)
    rows: tuple[int, ...] = Field(default=BITLINES, min_length=1)
    columns: tuple[int, ...] = Field(default=WORDLINES, min_length=1)
    window_siemens: tuple[Siemens, Siemens]
    read_voltage_v: Volts = Field(default=0.2, gt=0, le=2)
    write: PulseOptions

    @field_validator("rows")
    @classmethod
    def _are_rows(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        return _checked(channels, BITLINES, "rows are channels 0 to 15 and 32 to 47")

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        return _checked(channels, WORDLINES, "columns are channels 16 to 31 and 48 to 63")

    @model_validator(mode="after")
    def _harms_no_cell(self) -> "ArcTwoOptions":
        low, high = self.window_siemens
        if not 0 < low < high:
            raise ValueError(f"window runs from {low:g} S to {high:g} S; it must rise, from above zero")
        if self.write.largest_v > _RANGE_V:
            raise ValueError(f"pulses go up to {self.write.largest_v:g} V, the channels to {_RANGE_V:g} V")
        self.write.check_reading(self.read_voltage_v)
        return self


class ArcTwo(PulsedCrossbar):
    """Cells between the instrument's row and column channels, measured and written one at a time.

    Currents of a vector are the sums of those that each row's voltage alone drives through its cell, each measured at
    that voltage; read the other way, with the opposite voltage at the same channels. Pulses of a cell's own are the
    smallest that `write` allows. The instrument could pulse many channels at once, but what half a pulse does to the
    cells beside is the array's matter and nobody of pnnlab has seen it: nothing is updated in parallel.

    After every call of this driver all channels are tied to 0 V: left alone, they would float at their last voltage.
    The safe state is all channels at the hard ground. How finely voltages are set, and what a second program that opens
    the instrument would meet, is not documented and was not seen: nobody of pnnlab had one.
    """

    Options: ClassVar[type[DeviceOptions]] = ArcTwoOptions
    options: ArcTwoOptions

    _sdk: Any = None
    _arc: Any = None
    _missed: int = 0

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`."""
        try:
            sdk = vendor_module("pyarc2", device=cls.__name__, extra="arc")
            ports = list(sdk.find_ids())
        except Exception:  # neither a missing library nor one that fails says that something is there
            return ()
        identity = Identity("ArC Instruments", "ArC TWO", "")
        return [Candidate(identity, {"port": int(port)}, "add `firmware`, `window` and `write`") for port in ports]

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
        return (f"arc-two {self.options.port}",)

    def _open(self) -> None:
        if not Path(self.options.firmware).is_file():
            raise DeviceError(
                f"{self.name}: there is no firmware file {self.options.firmware!r}; it came with the board, or from "
                "the vendor's page; nothing was sent"
            )
        self._sdk = vendor_module("pyarc2", device=self.name, extra="arc")
        ports = list(self._sdk.find_ids())
        if self.options.port not in ports:
            found = ", ".join(map(str, ports)) or "none"
            raise DeviceError(
                f"{self.name}: there is no ArC TWO at port {self.options.port}; found: {found}; is it plugged in and "
                "allowed for this user (udev rules)?"
            )
        self._arc = self._asked(lambda: self._sdk.Instrument(self.options.port, self.options.firmware))

    def _identify(self) -> Identity:
        version = getattr(self._sdk, "LIBARC2_VERSION", None) or ""
        return Identity("ArC Instruments", "ArC TWO", str(self.options.port), str(version))

    def _close(self) -> None:
        self._arc = None

    def _make_safe(self) -> None:
        self._ground("HardGnd")

    def _hard_limits(self) -> Mapping[str, Limits]:
        read_v = self.options.read_voltage_v
        return {
            "conductance": Limits(*self.options.window_siemens), "voltage": Limits(-read_v, read_v),
            "pulse": pulse_limits(self.options.write),
        }  # fmt: skip

    def _settings(self) -> dict[str, SettingValue]:
        options = self.options
        return {
            "shape": list(self.shape), "window_siemens": list(options.window_siemens),
            "read_voltage_v": options.read_voltage_v, "missed_cells": self._missed,
        }  # fmt: skip

    def _program(self, siemens: FloatArray) -> None:
        write, found = self.options.write, np.zeros(self.shape)
        nanos = round(write.pulse_s * 1e9)

        def write_all() -> None:
            for row, column in np.ndindex(*self.shape):
                low, high = self._channels(row, column)
                found[row, column] = write_cell(
                    float(siemens[row, column]), write, read=partial(self._conductance, low, high),
                    pulse=partial(self._pulse, low, high, nanos),
                )  # fmt: skip

        self._grounded(write_all)
        self._missed = report_missed(self.name, found, siemens, write)

    def _multiply(self, volts: FloatArray) -> FloatArray:
        amps = np.zeros((len(volts), self.shape[1]))

        def measure_all() -> None:
            for row, column in np.ndindex(*self.shape):
                low, high = self._channels(row, column)
                for k, level in enumerate(volts[:, row].tolist()):
                    if level:
                        amps[k, column] += self._current(low, high, level)

        self._grounded(measure_all)
        return amps.astype(np.result_type(volts.dtype, np.float32))

    def _multiply_transposed(self, volts: FloatArray) -> FloatArray:
        amps = np.zeros((len(volts), self.shape[0]))

        def measure_all() -> None:
            for row, column in np.ndindex(*self.shape):
                low, high = self._channels(row, column)
                for k, level in enumerate(volts[:, column].tolist()):
                    if level:
                        # the column at u and its row at ground are the row at -u and its column at ground
                        amps[k, row] -= self._current(low, high, -level)

        self._grounded(measure_all)
        return amps.astype(np.result_type(volts.dtype, np.float32))

    def _step(self, counts: PulseCounts) -> None:
        nanos, (up_v, down_v) = round(self.options.write.pulse_s * 1e9), self.pulse_v

        def pulse_all() -> None:
            for row, column in np.argwhere(counts).tolist():
                low, high = self._channels(row, column)
                count = int(counts[row, column])
                for _ in range(abs(count)):
                    self._pulse(low, high, nanos, up_v if count > 0 else down_v)

        self._grounded(pulse_all)

    def _read_conductance(self) -> FloatArray:
        siemens = np.zeros(self.shape)

        def read_all() -> None:
            for row, column in np.ndindex(*self.shape):
                siemens[row, column] = self._conductance(*self._channels(row, column))

        self._grounded(read_all)
        return siemens

    # The vendor's library

    def _channels(self, row: int, column: int) -> tuple[int, int]:
        """Return the low channel, where a current leaves a cell, and the high one."""
        return self.options.columns[column], self.options.rows[row]

    def _conductance(self, low: int, high: int) -> float:
        level = self.options.read_voltage_v
        return self._current(low, high, level) / level

    def _current(self, low: int, high: int, volts: float) -> float:
        found = float(self._asked(lambda: self._arc.read_one(low, high, volts)))
        if not np.isfinite(found):
            raise AcquisitionError(
                f"{self.name}: the current between channels {low} and {high} is {found}; look for a short or an open "
                "line"
            )
        return found

    def _pulse(self, low: int, high: int, nanos: int, volts: float) -> None:
        self._asked(lambda: self._arc.pulse_one(low, high, volts, nanos).execute())
        self._asked(lambda: self._arc.wait())

    def _grounded(self, work: Callable[[], None]) -> None:
        """Release the channels from ground, work, and tie them to 0 V again."""
        self._asked(lambda: self._arc.connect_to_gnd(np.array([], np.uint64)).execute())
        try:
            work()
        finally:
            self._ground("SoftGnd")

    def _ground(self, mode: str) -> None:
        # the documentation spells the modes in two ways
        modes = {str(name).casefold(): value for name, value in vars(self._sdk.IdleMode)["_member_map_"].items()}

        def ground() -> None:
            self._arc.finalise_operation(modes[mode.casefold()])
            self._arc.execute()
            self._arc.wait()

        self._asked(ground)

    def _asked(self, call: Callable[[], Any]) -> Any:
        if self._arc is None and self._sdk is None:
            raise DeviceError(f"{self.name}: it is not open")
        try:
            return call()
        except self._sdk.ArC2Error as error:
            raise DeviceError(f"{self.name}: the ArC TWO says: {error}; look at its power and its cable") from error


def _checked(channels: tuple[int, ...], allowed: Sequence[int], said: str) -> tuple[int, ...]:
    if len(set(channels)) != len(channels) or not set(channels) <= set(allowed):
        raise ValueError(f"{said}, each once; found {', '.join(map(str, channels))}")
    return channels
