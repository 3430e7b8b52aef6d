"""Physics whose ports are channels of converters: static voltages in, one reading of every channel out."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import ADC, DAC, Device, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import Hertz, Seconds, Volts
from pnnlab.systems._array import A
from pnnlab.systems._records import Played, RecordTaker, Stepped
from pnnlab.systems._shots import FloatArray, PendingShots, Shots
from pnnlab.systems._system import Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._timing import Timing

__all__ = ["PortSystem", "PortSystemConfig"]

Ints = npt.NDArray[np.int64]


class PortSystemConfig(SystemConfig):
    """The keys that the kinds of systems with static ports share.

    Attributes:
        dac: The device that makes the voltages.
        adc: The device that measures; it may be the same.
        mode: `waveform` plays a batch as one waveform whose start triggers the records; `steps` writes static voltages,
            lets them settle and records, one shot after the other.
        rate_hz: Samples per second.
        hold: Samples that each shot's voltages stand; the last one is the reading. More than one lets the physics
            settle where a batch is played as a waveform.
        settle_s: With `steps`: how long the physics takes to settle after a change, on top of the converter's own time,
            as far as its design tells; a calibration record counts instead of both where there is one.
        unit_v: Voltage of a channel at a drive of 1.
    """

    dac: str
    adc: str
    mode: Literal["waveform", "steps"] = "waveform"
    rate_hz: Hertz = Field(gt=0)
    hold: int = Field(default=1, gt=0)
    settle_s: Seconds = Field(default=0.0, ge=0)
    unit_v: Volts = Field(default=1.0, gt=0)


class PortSystem(System):
    """One shot: a voltage on every channel of the DAC, and a reading of every channel of the ADC once all has settled.

    Which channel carries what is told by the wirings that derive from it. The drive is the voltage of every channel in
    units of `unit`, shape `(batch, n_outputs of the DAC)`. A reading is in V, shape `(batch, n_inputs of the ADC)`.

    Besides the forward pass, `probe` measures any drive: errors sent backwards, nudges, clamps. Its shots count like
    any other.
    """

    Config = PortSystemConfig
    roles: ClassVar[Mapping[str, type]] = {"dac": DAC, "adc": ADC}
    config: PortSystemConfig

    def __init__(
        self, name: str, config: PortSystemConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        self._dac, self._adc = cast(DAC, devices["dac"]), cast(ADC, devices["adc"])
        waveform = config.mode == "waveform"
        self._timing = self._calibrated(
            "dac", settle_s=0.0 if waveform else self._dac.settle_s + config.settle_s, latency_s=self._dac.latency_s,
            devices=("dac", "adc"), conditions={"mode": config.mode},
        )  # fmt: skip
        if waveform:
            self._check_waveform()
        self._taker = self._make_taker()

    def _check_channels(self, n_outputs: int, n_inputs: int) -> None:
        """Refuse converters with other numbers of channels than the physics has ports; for the wirings."""
        found = self._dac.n_outputs, self._adc.n_inputs
        if found != (n_outputs, n_inputs):
            raise SetpointError(
                f"{self.name}: the system drives {n_outputs} channels and reads {n_inputs}, {self.config.dac} has "
                f"{found[0]} and {self.config.adc} has {found[1]}; correct the numbers of ports in the bench file"
            )

    def _check_waveform(self) -> None:
        instead = "set the system's `mode` to `steps`, which takes static voltages and no trigger line"
        adc = self._adc
        if Trigger.HARDWARE not in adc.triggers or (adc.stamp_error_s is None and not adc.chains_records):
            raise AbilityError(
                f"{self.name}: {self.config.adc} has no hardware trigger, or takes one for each record and has no time "
                f"stamps, so that no record can be proven to belong to its waveform; {instead}"
            )
        if self.devices["dac"] is self.devices["adc"] and not self._dac.joins_runs:
            raise AbilityError(f"{self.name}: {self.config.dac} cannot play a waveform and record at once; {instead}")

    def _make_taker(self) -> RecordTaker:
        config = self.config
        taker: type[RecordTaker] = Played
        if config.mode == "waveform":
            return taker(self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=self.clock, trace=self.trace)
        return Stepped(
            self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=self.clock, trace=self.trace, hold=1,
            rest_s=0.0,
        )  # fmt: skip

    # What it is

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return (self.n_out,)

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`: the channels of the DAC."""
        return ((self._dac.n_outputs,),)

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._adc

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`."""
        if isinstance(self._taker, Stepped):
            return self._taker.step_s
        return self.config.hold / self.config.rate_hz

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `System.timings`."""
        return {"dac": self._timing}

    @abstractmethod
    def outputs(self, reading: A) -> A:
        """Return normalised outputs, shape `(batch, n_out)`, of readings in V, shape `(batch, n_inputs)`."""

    def inside(self, reading: A) -> tuple[A, ...]:
        """Return the states inside that a reading tells, shaped as `state_shapes`; none unless a wiring knows of some.

        Args:
            reading: In V, shape `(batch, n_inputs)`.
        """
        return ()

    # Beyond the forward pass

    def read(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        """Measure a batch and return what every channel read, in V, shape `(batch, n_inputs)`.

        Arguments and errors are those of `System.measure`, whose outputs are the `outputs` of this reading.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        return self.probe(self.encode(x, theta)[0])

    def probe(self, drive: FloatArray) -> FloatArray:
        """Measure any drive, one shot a row, and return what every channel read, in V, shape `(batch, n_inputs)`.

        Args:
            drive: Voltages in units of `unit`, shape `(batch, n_outputs)`.

        Raises:
            SetpointError: Wrong shape, or a voltage outside the DAC's limits; nothing was sent.
            AcquisitionError: See `System.measure`.
            DeviceError: See `System.measure`.
        """
        drive = np.asarray(drive, self.dtype)
        expected = self.drive_shapes[0]
        if drive.ndim != 2 or not len(drive) or drive.shape[1:] != expected or not np.isfinite(drive).all():
            raise SetpointError(
                f"{self.name}: a drive of shape {drive.shape} is to be probed, expected are finite numbers of shape "
                f"(batch, {expected[0]}); nothing was sent"
            )
        setpoints = self._prepare((drive,))
        shots = _Readings(
            (len(drive),), self._adc.n_inputs, self.drive_shapes, shared=frozenset(), dtype=self.dtype
        )  # fmt: skip
        pending = PendingShots(shots, lambda tell: self._measure(setpoints, shots, tell), self.trace)
        if self._thread.is_current:
            pending.run()
        else:
            self._thread.submit(pending)
        return pending.result().y

    # Walking down and up

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: voltages in V, shape `(batch, hold, n_outputs)`."""
        (units,) = drive
        rows = units[..., None, :] * self.config.unit_v
        return (rows[..., np.zeros(self._n_rows, np.int64), :],)

    def decode(self, reading: A) -> A:
        """See `System.decode`; records as long as a setpoint."""
        outputs: A = self.outputs(reading[..., -1, :])
        return outputs

    @property
    def _n_rows(self) -> int:
        return self.config.hold if self.config.mode == "waveform" else 1

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
        return self.to_setpoints(*drive)

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        return self._taker.take(cast(FloatArray, setpoints[0]), wanted, _Sink(self, shots, tell))


class _Readings(Shots):
    """Shots whose readings are kept as they come, instead of outputs."""


class _Sink:
    """Where a batch's records go."""

    def __init__(self, system: PortSystem, shots: Shots, tell: Callable[[], None]) -> None:
        self._system, self._shots, self._tell = system, shots, tell
        self.until_edge = shots.until_edge

    def shown(self, shots: Ints, volts: FloatArray) -> None:
        self._shots.drive[0][shots] = volts[:, -1] / self._system.config.unit_v

    def decode(self, volts: npt.NDArray[np.number]) -> FloatArray:
        settled = volts[:, -1].astype(self._system.dtype, copy=False)
        if isinstance(self._shots, _Readings):
            return settled
        # states come with their outputs, so that both are proven to belong to one shot
        return np.concatenate([self._system.outputs(settled), *self._system.inside(settled)], 1)

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        end = self._shots.y.shape[1]
        for state in self._shots.states:
            begin, end = end, end + state.shape[1]
            state[shots] = y[:, begin:end]
        self._shots.put(shots, y[:, : self._shots.y.shape[1]], tokens, exposed_s)
        self._shots.end_s = self._system.clock.now_s()
        self._tell()
