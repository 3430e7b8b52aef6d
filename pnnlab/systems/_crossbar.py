"""A crossbar of programmable conductances as a layer of weights."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import CrossbarArray, Device, PulsedCrossbar
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import Amps, Siemens, Volts
from pnnlab.systems._act import done_by
from pnnlab.systems._array import A
from pnnlab.systems._capability import Capability
from pnnlab.systems._shots import FloatArray, Shots
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._trace import Lane
from pnnlab.systems._weight_pairs import PairKind, WeightPairs

__all__ = ["CrossbarSystem", "CrossbarSystemConfig"]

Ints = npt.NDArray[np.int64]
Pulses = npt.NDArray[np.integer]


class CrossbarSystemConfig(SystemConfig):
    """A system of the kind `crossbar` in the bench file.

    Attributes:
        array: The crossbar's name.
        read_voltage_v: Voltage of a row at input 1.
        full_scale_a: Difference current of a pair of columns at output 1, and of a row at output 1 the other way.
        low_siemens: Conductance of a cell whose half of the weight is 0.
        high_siemens: Conductance of a cell at weight 1.
        pair: `differential` has the halves of a weight on two cells; `reference` has a weight on one, against another
            in the middle of the window.
    """

    kind: Literal["crossbar"] = "crossbar"
    array: str
    read_voltage_v: Volts = Field(gt=0)
    full_scale_a: Amps = Field(gt=0)
    low_siemens: Siemens = Field(ge=0)
    high_siemens: Siemens = Field(gt=0)
    pair: PairKind = "differential"


class CrossbarSystem(System):
    """One shot: a vector of row voltages, and the difference of the currents in each pair of columns.

    Controls 0 to 1 are weights W from -1 to 1, each on a pair of cells (see `pair`): y = gain x W. The drive is the row
    voltages in units of `read_voltage`, shape `(batch, n_rows)`, and the conductances in units of `high`, shape
    `(n_rows, n_columns)`. Cells are programmed only when controls change.

    Where the array can, it is trained in place: read the other way (`read_transposed`), and its cells moved by pulses
    (`pulse`, `step`), after which its weights are what is read and no longer what controls say. The controls still
    count as set, so that pulses stay until other controls are asked for.
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
        self._pairs = WeightPairs(self._array.shape[1], config.low_siemens / config.high_siemens, config.pair)
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

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`: what the array can; that cells obey is measured."""
        found = set()
        if self._array.reads_transposed:
            found |= {Capability.BIDIRECTIONAL, Capability.RECIPROCAL, Capability.TRANSPOSED_READ}
        if isinstance(self._array, PulsedCrossbar) and self._array.pulses_cells:
            found.add(Capability.SINGLE_PULSES)
            if self._array.updates_in_parallel:
                found.add(Capability.OUTER_PRODUCT_UPDATE)
        return frozenset(found)

    @property
    def gain(self) -> float:
        """Return the output at input 1 and weight 1."""
        config = self.config
        return self._pairs.unit * config.high_siemens * config.read_voltage_v / config.full_scale_a

    def weights(self, theta: A) -> A:
        """See `System.weights`: from -1 to 1."""
        matrix: A = (theta * 2 - 1).reshape(self.n_in, self.n_out)
        return matrix

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        return x, self._pairs.cells(self.weights(theta))

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

    # In place

    def read_transposed(self, error: FloatArray, theta: FloatArray | None = None) -> FloatArray:
        """Drive the columns and read the rows, one shot a row: gain · error Wᵀ, with the array's own W and noise.

        Args:
            error: One number from -1 to 1 an output, shape `(batch, n_out)`.
            theta: Controls to be set before, shape `(n_controls,)`; the cells as they are if `None`.

        Returns:
            Shape `(batch, n_in)`.

        Raises:
            SetpointError: Wrong shape, or a value outside its range; nothing was sent.
            AbilityError: The array cannot be driven at its columns.
        """
        error = np.asarray(error, self.dtype)
        if error.ndim != 2 or error.shape[1] != self.n_out or not len(error):
            raise SetpointError(f"{self.name}: errors have shape {error.shape}, expected (batch, {self.n_out})")
        self._check_range("error", error, -1.0, 1.0)
        volts = self._pairs.driven(error) * self.dtype.type(self.config.read_voltage_v)

        def work() -> FloatArray:
            if theta is not None:
                self._set(self._conductances(theta))
            with self.trace.span(Lane.BENCH, "multiply transposed", len(volts)):
                amps = self._array.multiply_transposed(volts)[1]
            self.n_shots += len(volts)
            found: FloatArray = (amps / self.config.full_scale_a).astype(self.dtype)
            return found

        return done_by(self._thread, work)

    def pulse(self, rows: Pulses, columns: Pulses) -> None:
        """Pulse all rows and pairs of columns at once; every meeting of two pulses is a step of a weight.

        Args:
            rows: -1, 0 or 1, shape `(n_slots, n_in)`.
            columns: Likewise, shape `(n_slots, n_out)`; a weight goes up where both signs are equal.

        Raises:
            SetpointError: Wrong shape, or outside the device's limits; nothing was sent.
            AbilityError: The array cannot be pulsed in parallel.
        """
        array = self._pulsed_array()
        if columns.ndim != 2 or columns.shape[1] != self.n_out:
            raise SetpointError(f"{self.name}: pulses have shape {columns.shape}, expected (n_slots, {self.n_out})")
        self._move("pulse", lambda: array.update(rows, self._pairs.pulsed(columns)))

    def step(self, counts: Pulses) -> None:
        """Give each weight pulses of its own, one after the other.

        Args:
            counts: How many, shape `(n_in, n_out)`; negative numbers lower the weight.

        Raises:
            SetpointError: Wrong shape, or outside the device's limits; nothing was sent.
            AbilityError: The array gives no pulses.
        """
        array = self._pulsed_array()
        if counts.shape != (self.n_in, self.n_out):
            raise SetpointError(
                f"{self.name}: counts of pulses have shape {counts.shape}, expected {(self.n_in, self.n_out)}"
            )
        self._move("step", lambda: array.step(self._pairs.pulsed(counts)))

    def read_weights(self) -> FloatArray:
        """Return the weights that the cells hold, read one by one, shape `(n_in, n_out)`; some may lie beyond ±1."""

        def work() -> FloatArray:
            with self.trace.span(Lane.BENCH, "read conductance"):
                return self._array.read_conductance().astype(self.dtype)

        cells = done_by(self._thread, work) / self.dtype.type(self.config.high_siemens)
        if self._realised is not None:
            self._realised = cells * self.dtype.type(self.config.high_siemens)
        return self._pairs.weights(cells)

    def write(self, theta: FloatArray) -> None:
        """Program controls now, shape `(n_controls,)`, whatever the cells hold."""
        siemens = self._conductances(theta)

        def work() -> None:
            self._programmed = None
            self._set(siemens)

        done_by(self._thread, work)

    def hold(self, theta: FloatArray) -> None:
        """Take controls as set, shape `(n_controls,)`: the cells hold what they stand for, and stay as they are."""
        self._programmed = self._conductances(theta)
        if self._realised is None:
            self._realised = np.full_like(self._programmed, np.nan)

    def _pulsed_array(self) -> PulsedCrossbar:
        if not isinstance(self._array, PulsedCrossbar):
            raise AbilityError(
                f"{self.name}: {self.config.array} ({type(self._array).__name__}) cannot move its cells by pulses; "
                "program it"
            )
        return self._array

    def _move(self, what: str, work: Callable[[], None]) -> None:
        def moved() -> None:
            with self.trace.span(Lane.BENCH, what):
                work()
            if self._realised is not None:
                # what became of the cells, nobody knows before they are read
                self._realised = np.full_like(self._realised, np.nan)

        done_by(self._thread, moved)

    def _conductances(self, theta: FloatArray) -> FloatArray:
        theta = np.asarray(theta, self.dtype)
        x = np.zeros((1, self.n_in), self.dtype)
        self._check(x, theta)
        siemens: FloatArray = self.to_setpoints(*self.encode(x, theta))[1]
        return siemens

    def _set(self, siemens: FloatArray) -> FloatArray:
        """Program cells unless they have been programmed so; return what they realise, NaN where pulses moved them."""
        if self._programmed is None or self._realised is None or not np.array_equal(siemens, self._programmed):
            self._programmed = None  # should programming fail half-way, nothing is known of the cells
            with self.trace.span(Lane.BENCH, "program"):
                self._realised = np.asarray(self._array.program(siemens).realised, self.dtype)
            self._programmed = siemens
        return self._realised

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        volts, siemens = self.to_setpoints(*drive)
        return volts, siemens

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        volts, siemens = cast(tuple[FloatArray, FloatArray], setpoints)
        shots.drive[1][...] = self._set(siemens) / self.dtype.type(self.config.high_siemens)
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
