"""A crossbar of programmable conductances as a layer of weights."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import CrossbarArray, Device
from pnnlab.errors import SetpointError
from pnnlab.quantities import Amps, Siemens, Volts
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._shots import FloatArray, Shots
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._trace import Lane

__all__ = ["CrossbarSystem", "CrossbarSystemConfig"]

Ints = npt.NDArray[np.int64]


class CrossbarSystemConfig(SystemConfig):
    """A system of the kind `crossbar` in the bench file.

    Attributes:
        array: The crossbar's name.
        read_voltage_v: Voltage of a row at input 1.
        full_scale_a: Difference current of a pair of columns at output 1.
        low_siemens: Conductance of a cell whose half of the weight is 0.
        high_siemens: Conductance of a cell at weight 1.
    """

    kind: Literal["crossbar"] = "crossbar"
    array: str
    read_voltage_v: Volts = Field(gt=0)
    full_scale_a: Amps = Field(gt=0)
    low_siemens: Siemens = Field(ge=0)
    high_siemens: Siemens = Field(gt=0)


class CrossbarSystem(System):
    """One shot: a vector of row voltages, and the difference of the currents in each pair of columns.

    Controls 0 to 1 are weights -1 to 1, each on a differential pair of cells: the positive part on the even column, the
    negative part on the odd one. The drive is the row voltages in units of `read_voltage`, shape `(batch, n_rows)`, and
    the conductances in units of `high`, shape `(n_rows, n_columns)`. Cells are programmed only when controls change.
    """

    Config = CrossbarSystemConfig
    roles: ClassVar[Mapping[str, type]] = {"array": CrossbarArray}
    control_range = ControlRange.BOUNDED
    config: CrossbarSystemConfig

    def __init__(
        self, name: str, config: CrossbarSystemConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        self._array = cast(CrossbarArray, devices["array"])
        if self._array.shape[1] % 2:
            raise SetpointError(
                f"{name}: {config.array} has {self._array.shape[1]} columns, differential pairs need an even number"
            )
        if config.low_siemens >= config.high_siemens:
            raise SetpointError(
                f"{name}: `low` {config.low_siemens:g} S must lie below `high` {config.high_siemens:g} S"
            )
        self._low = config.low_siemens / config.high_siemens
        # column 2j holds the positive, column 2j + 1 the negative part of weight j
        self._weight_of_column = np.arange(self._array.shape[1]) // 2
        self._programmed: FloatArray | None = None
        self._realised: FloatArray | None = None

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`: the rows."""
        return self._array.shape[0]

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`: rows times pairs of columns."""
        return self.n_in * self.n_out

    @property
    def n_out(self) -> int:
        """See `System.n_out`: the pairs of columns."""
        return self._array.shape[1] // 2

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return (self.n_out,)

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`; the second has no batch: all shots of a batch meet the same cells."""
        return (self.n_in,), self._array.shape

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._array

    @property
    def shares_controls(self) -> bool:
        """See `System.shares_controls`: programming is slow and wears the cells."""
        return True

    def weights(self, theta: A) -> A:
        """See `System.weights`: from -1 to 1."""
        matrix: A = (theta * 2 - 1).reshape(self.n_in, self.n_out)
        return matrix

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        weights = self.weights(theta)[..., self._weight_of_column]
        sign = constant_like(1.0 - 2.0 * (np.arange(self._array.shape[1]) % 2), weights)
        halves = (weights * sign).clip(0, 1)
        return x, halves * (1 - self._low) + self._low

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: row voltages in V and conductances in S."""
        rows, cells = drive
        return rows * self.config.read_voltage_v, cells * self.config.high_siemens

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        outputs: A = (reading[..., 0::2] - reading[..., 1::2]) / self.config.full_scale_a
        return outputs

    def state(self) -> dict[str, object]:
        """See `System.state`: what the cells were programmed to, and what they realised, in S."""
        if self._programmed is None or self._realised is None:
            return {}
        return {"programmed": self._programmed.tolist(), "realised": self._realised.tolist()}

    def restore(self, state: Mapping[str, object]) -> None:
        """See `System.restore`; cells that hold their weights are not programmed again."""
        kept = [state.get(key) for key in ("programmed", "realised")]
        self._programmed, self._realised = (None if cells is None else np.asarray(cells, self.dtype) for cells in kept)

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        volts, siemens = self.to_setpoints(*drive)
        return volts, siemens

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        volts, siemens = cast(tuple[FloatArray, FloatArray], setpoints)
        if self._programmed is None or self._realised is None or not np.array_equal(siemens, self._programmed):
            self._programmed = None  # should programming fail half-way, nothing is known of the cells
            with self.trace.span(Lane.BENCH, "program"):
                self._realised = np.asarray(self._array.program(siemens).realised, self.dtype)
            self._programmed = siemens
        shots.drive[1][...] = self._realised / self.dtype.type(self.config.high_siemens)
        while len(wanted):
            size = min(shots.until_edge(int(wanted[0])), len(wanted))
            now, wanted = wanted[:size], wanted[size:]
            # one call applies the rows and reads the columns: the reading can be of no other setpoint
            with self.trace.span(Lane.BENCH, "multiply", size):
                begin_s = self.clock.now_s()
                setpoint, amps = self._array.multiply(volts[now])
            shots.drive[0][now] = setpoint.realised / self.config.read_voltage_v
            shots.put(now, self.decode(amps), np.asarray(setpoint.tokens), begin_s)
            shots.end_s = self.clock.now_s()
            tell()
        return ""
