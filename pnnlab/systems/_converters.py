"""Converters whose channels are ports of the physics: static voltages out, one reading of every channel back."""

from collections.abc import Mapping
from typing import Final, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import ADC, DAC, Device, Trigger
from pnnlab.errors import AbilityError, SetpointError
from pnnlab.quantities import Hertz, Seconds
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._link import Link, ReadingSink
from pnnlab.systems._records import Played, RecordTaker, Stepped
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import System, SystemConfig
from pnnlab.systems._timing import Timing

__all__ = ["CONVERTER_ROLES", "Converters", "ConvertersConfig"]

Ints = npt.NDArray[np.int64]

CONVERTER_ROLES: Final[Mapping[str, type]] = {"dac": DAC, "adc": ADC}
"""What the devices of `ConvertersConfig` must be."""


class ConvertersConfig(SystemConfig):
    """The keys of systems behind converters.

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
    """

    dac: str
    adc: str
    mode: Literal["waveform", "steps"] = "waveform"
    rate_hz: Hertz = Field(gt=0)
    hold: int = Field(default=1, gt=0)
    settle_s: Seconds = Field(default=0.0, ge=0)


class Converters(Link):
    """One shot: a voltage on every channel of the DAC, and a reading of every channel of the ADC once all has settled.

    Args:
        system: Whose devices they are.
        config: Its configuration.
        unit_v: Voltage of a channel at a value of 1, in V; one number, or one a channel.
        reading_v: Voltage of a reading of 1, in V.
        ports: How many channels are driven and how many are read, where the wiring knows.

    Raises:
        AbilityError: The converters cannot do what the `mode` needs.
        SetpointError: They have other numbers of channels.
    """

    def __init__(
        self, system: System, config: ConvertersConfig, *, unit_v: float | FloatArray = 1.0, reading_v: float = 1.0,
        ports: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self._name, self._config, self._dtype = system.name, config, system.dtype
        devices = system.devices
        self._dac, self._adc = cast(DAC, devices["dac"]), cast(ADC, devices["adc"])
        if ports is not None:
            self.check_channels(*ports)
        self._unit_v = np.broadcast_to(np.asarray(unit_v, np.float64), (self._dac.n_outputs,))
        self._reading_v = reading_v
        waveform = config.mode == "waveform"
        self._timing = system.calibrated_timing(
            "dac", settle_s=0.0 if waveform else self._dac.settle_s + config.settle_s, latency_s=self._dac.latency_s,
            devices=("dac", "adc"), conditions={"mode": config.mode},
        )  # fmt: skip
        if waveform:
            self._check_waveform(is_one=devices["dac"] is devices["adc"])
        self._taker = self._make_taker(system)

    def check_channels(self, n_outputs: int, n_inputs: int) -> None:
        """Refuse converters with other numbers of channels than the physics has ports.

        Raises:
            SetpointError: They have others.
        """
        found = self._dac.n_outputs, self._adc.n_inputs
        if found != (n_outputs, n_inputs):
            raise SetpointError(
                f"{self._name}: the system drives {n_outputs} channels and reads {n_inputs}, {self._config.dac} has "
                f"{found[0]} and {self._config.adc} has {found[1]}; correct the numbers of ports in the bench file"
            )

    def _check_waveform(self, *, is_one: bool) -> None:
        instead = "set the system's `mode` to `steps`, which takes static voltages and no trigger line"
        adc = self._adc
        if Trigger.HARDWARE not in adc.triggers or (adc.stamp_error_s is None and not adc.chains_records):
            raise AbilityError(
                f"{self._name}: {self._config.adc} has no hardware trigger, or takes one for each record and has no "
                f"time stamps, so that no record can be proven to belong to its waveform; {instead}"
            )
        if is_one and not self._dac.joins_runs:
            raise AbilityError(f"{self._name}: {self._config.dac} cannot play a waveform and record at once; {instead}")

    def _make_taker(self, system: System) -> RecordTaker:
        config, clock, trace = self._config, system.clock, system.trace
        if config.mode == "waveform":
            return Played(self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=clock, trace=trace)
        return Stepped(
            self._dac, self._adc, self._timing, rate_hz=config.rate_hz, clock=clock, trace=trace, hold=1, rest_s=0.0
        )

    @property
    def n_values(self) -> int:
        """See `Link.n_values`: channels of the DAC."""
        return self._dac.n_outputs

    @property
    def n_readings(self) -> int:
        """See `Link.n_readings`: channels of the ADC."""
        return self._adc.n_inputs

    @property
    def sensor(self) -> Device:
        """See `Link.sensor`."""
        return self._adc

    @property
    def shot_s(self) -> float:
        """See `Link.shot_s`."""
        if isinstance(self._taker, Stepped):
            return self._taker.step_s
        return self._config.hold / self._config.rate_hz

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `Link.timings`."""
        return {"dac": self._timing}

    def to_setpoints(self, drive: A) -> A:
        """See `Link.to_setpoints`: voltages in V, shape `(batch, hold, n_values)`."""
        rows = (drive * constant_like(self._unit_v, drive))[..., None, :]
        held: A = rows[..., np.zeros(self._n_rows, np.int64), :]
        return held

    def readings(self, raw: A) -> A:
        """See `Link.readings`, of records in V as long as a setpoint."""
        settled: A = raw[..., -1, :] / self._reading_v
        return settled

    def prepare(self, drive: FloatArray) -> npt.NDArray[np.number]:
        """See `Link.prepare`."""
        volts: FloatArray = self.to_setpoints(drive)
        return volts

    def take(self, setpoints: npt.NDArray[np.number], wanted: Ints, sink: ReadingSink) -> str:
        """See `Link.take`."""
        return self._taker.take(cast(FloatArray, setpoints), wanted, _Records(self, sink))

    def realised(self, volts: FloatArray) -> FloatArray:
        """Return the values that voltages are, of shape `(n, n_rows, n_values)`."""
        values: FloatArray = volts[:, -1] / self._unit_v.astype(volts.dtype)
        return values

    def decoded(self, volts: npt.NDArray[np.number]) -> FloatArray:
        """Return the readings of records, shape `(n, n_samples, n_readings)`, in the system's precision."""
        readings: FloatArray = self.readings(volts[:, -1:].astype(self._dtype, copy=False))
        return readings

    @property
    def _n_rows(self) -> int:
        return self._config.hold if self._config.mode == "waveform" else 1


class _Records:
    """Where records go: on to where readings go."""

    def __init__(self, link: Converters, sink: ReadingSink) -> None:
        self._link, self._sink = link, sink
        self.put, self.until_edge = sink.put, sink.until_edge

    def shown(self, shots: Ints, volts: FloatArray) -> None:
        self._sink.shown(shots, self._link.realised(volts))

    def decode(self, volts: npt.NDArray[np.number]) -> FloatArray:
        return self._sink.decode(self._link.decoded(volts))
