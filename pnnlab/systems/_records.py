"""Records of voltages: two ways from a DAC to an ADC."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from pnnlab.devices import ADC, DAC, Clock, Device, Records, Setpoint, Trigger
from pnnlab.errors import AbilityError
from pnnlab.systems._chain import ChainedRun, Pairing
from pnnlab.systems._frames import BLOCK_S, HOST_S, PATIENCE_S
from pnnlab.systems._newest import newest_fault
from pnnlab.systems._pairing import TriggeredRun
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._timing import Timing
from pnnlab.systems._trace import Lane, Trace

__all__ = ["Played", "RecordSink", "RecordTaker", "Stepped"]

Ints = npt.NDArray[np.int64]
_GRAIN_S: Final = 1e-9


class RecordSink(Protocol):
    """Where records go."""

    def shown(self, shots: Ints, volts: FloatArray) -> None:
        """Take note of what the DAC makes of shots, shape `(n, n_rows, n_outputs)`."""
        ...

    def decode(self, volts: npt.NDArray[np.number]) -> FloatArray:
        """Return outputs, shape `(n, n_out)`, of records, shape `(n, n_samples, n_inputs)`."""
        ...

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        """Take outputs that are proven to be those of the shots."""
        ...

    def until_edge(self, shot: int) -> int:
        """Return how many shots the host wants to have at once from this one on."""
        ...


class RecordTaker(ABC):
    """Puts out the voltages of shots and records what comes back.

    Args:
        dac: The converter that puts them out.
        adc: The one that records; it may be the same device.
        timing: What calibration or the data sheet say of the outputs.
        rate_hz: Samples per second.
        clock: The bench's time.
        trace: What is done when.
    """

    mode: ClassVar[str]

    def __init__(self, dac: DAC, adc: ADC, timing: Timing, *, rate_hz: float, clock: Clock, trace: Trace) -> None:
        self._dac, self._adc, self._timing = dac, adc, timing
        self._rate_hz, self._clock, self._trace = rate_hz, clock, trace
        self._is_one = cast(Device, dac) is cast(Device, adc)

    @abstractmethod
    def take(self, volts: FloatArray, wanted: Ints, sink: RecordSink) -> str:
        """Take one record of each wanted shot once.

        Args:
            volts: Of all shots, shape `(batch, n_rows, n_outputs)`.
            wanted: Which, increasing.
            sink: Where records go.

        Returns:
            What was wrong with those that the sink was not given.
        """


class Played(RecordTaker):
    """The DAC plays all shots as one waveform, and its start or its pulses trigger the records."""

    mode: ClassVar[str] = "waveform"

    def take(self, volts: FloatArray, wanted: Ints, sink: RecordSink) -> str:
        """See `RecordTaker.take`; a row is a sample."""
        size, fault = self._dac.max_samples // volts.shape[1], ""
        for begin in range(0, len(wanted), size):
            fault = self._play(volts, wanted[begin : begin + size], sink) or fault
        return fault

    def _play(self, volts: FloatArray, wanted: Ints, sink: RecordSink) -> str:
        dac, adc, rate_hz, n = self._dac, self._adc, self._rate_hz, len(wanted)
        shot_s = volts.shape[1] / rate_hz
        chosen = volts if n == len(volts) else volts[wanted]
        with self._trace.span(Lane.BENCH, "upload", n):
            adc.arm_records(n, n_samples=volts.shape[1], rate_hz=rate_hz, trigger=Trigger.HARDWARE)
        try:
            with self._trace.span(Lane.BENCH, "upload", n):
                setpoint = dac.arm_waveform(
                    chosen.reshape(-1, chosen.shape[2]), rate_hz=rate_hz, trigger=Trigger.INTERNAL
                )
            try:
                sink.shown(wanted, cast(FloatArray, setpoint.realised.reshape(chosen.shape)))
                begun_s = self._start()
                run = self._pairing(n, shot_s, begun_s)
                self._read_out(run, wanted, setpoint, sink, begun_s[1], shot_s)
                dac.wait(n * shot_s + PATIENCE_S)
            finally:
                dac.disarm()
        finally:
            adc.disarm()
        return run.fault()

    def _start(self) -> tuple[float, float]:
        """Begin both armed runs; return the earliest and the latest time at which the waveform began."""
        dac, clock = self._dac, self._clock
        if not self._is_one:
            self._adc.start()
        earliest_s = clock.now_s() + self._timing.latency_s[0]
        dac.start()
        latest_s = clock.now_s() + self._timing.latency_s[1]
        if dac.start_error_s is None:
            return earliest_s, latest_s
        told_s = dac.begun_s()
        return told_s - dac.start_error_s, told_s + dac.start_error_s

    def _pairing(self, n: int, shot_s: float, begun_s: tuple[float, float]) -> Pairing:
        adc, tolerance_s = self._adc, 0.5 / self._rate_hz
        if adc.chains_records and (adc.first_counter is not None or adc.stamp_error_s is None):
            return ChainedRun(
                n, period_s=shot_s, begun_s=begun_s, first=adc.first_counter, modulus=adc.counter_modulus,
                error_s=adc.stamp_error_s, tolerance_s=tolerance_s,
            )  # fmt: skip
        return TriggeredRun(
            n, period_s=shot_s, delay_s=0.0, duration_s=shot_s, begun_s=begun_s, error_s=adc.stamp_error_s or 0.0,
            tolerance_s=tolerance_s,
            margin_s=HOST_S,  # the marker starts the records, so none can come before the waveform
        )  # fmt: skip

    def _read_out(
        self, run: Pairing, wanted: Ints, setpoint: Setpoint, sink: RecordSink, first_s: float, shot_s: float
    ) -> None:
        adc, n, taken, came = self._adc, len(wanted), 0, True
        block = max(1, int(BLOCK_S / shot_s))
        ys: FloatArray | None = None
        starts_s = np.full(n, np.nan)
        while came and taken < n:
            size = min(block, n - taken, sink.until_edge(int(wanted[taken])))
            due_s = first_s + (taken + size) * shot_s
            with self._trace.span(Lane.BENCH, "record", size):
                records = adc.collect(size, timeout_s=max(due_s - self._clock.now_s(), 0.0) + PATIENCE_S)
            with self._trace.span(Lane.BENCH, "decode", size):
                y, count = sink.decode(records.volts), records.stamps.count
                ys = np.empty((n, y.shape[1]), y.dtype) if ys is None else ys
                new = slice(taken, taken + count)
                ys[new] = y
                if records.stamps.start_s is not None:
                    starts_s[new] = records.stamps.start_s
                taken, came = taken + count, count == size
                run.add(records.stamps)
                pairs = run.decide(final=not came or taken == n)
                tokens = np.full(len(pairs), setpoint.tokens[0])
                sink.put(wanted[pairs.steps], ys[pairs.readings], tokens, starts_s[pairs.readings])


class Stepped(RecordTaker):
    """Static voltages, one after the other: write, settle, arm, record, read. Nothing overlaps.

    A record that began after arming and came before the next voltages were written can be of these only; records that a
    queue may have kept from before are thrown away first, as many as the driver declares.

    Args:
        hold: Samples of the record of each row.
        rest_s: How long the first row of each shot stands, which is not recorded; 0 where all rows are.
    """

    mode: ClassVar[str] = "steps"

    def __init__(
        self, dac: DAC, adc: ADC, timing: Timing, *, rate_hz: float, clock: Clock, trace: Trace, hold: int,
        rest_s: float,
    ) -> None:  # fmt: skip
        super().__init__(dac, adc, timing, rate_hz=rate_hz, clock=clock, trace=trace)
        self._hold, self._rest_s = hold, rest_s
        self._trigger = next((t for t in (Trigger.SOFTWARE, Trigger.INTERNAL) if t in adc.triggers), None)
        if self._trigger is None:
            raise AbilityError(
                f"{adc.name}: static voltages are recorded by software or internal triggers, the converter has "
                f"{', '.join(sorted(adc.triggers)) or 'none'}; set the system's mode to waveform"
            )
        self._ring = np.empty((1, hold, adc.n_inputs), adc.dtype)

    @property
    def step_s(self) -> float:
        """Return the time that the devices need for a row that is recorded, in s."""
        records = 1 + self._adc.stale_readings
        return self._timing.latency_s[1] + self._timing.settle_s + records * self._hold / self._rate_hz

    def take(self, volts: FloatArray, wanted: Ints, sink: RecordSink) -> str:
        """See `RecordTaker.take`; a row is a static voltage."""
        fault, skipped = "", int(self._rest_s > 0)
        for k, shot in enumerate(wanted):
            realised = np.empty_like(volts[shot])
            record = np.empty((len(realised) - skipped, self._hold, self._adc.n_inputs), self._adc.dtype)
            started_s, wrong = np.nan, ""
            for row in range(len(realised)):
                with self._trace.span(Lane.BENCH, "show", 1):
                    setpoint = self._dac.ramp(volts[shot, row])
                realised[row] = setpoint.realised
                if row < skipped:
                    self._clock.sleep_until(self._clock.now_s() + self._timing.latency_s[1] + self._rest_s)
                    continue
                records, wrong = self._record()
                if wrong:
                    break
                record[row - skipped] = records.volts[0]
                if row == skipped and records.stamps.start_s is not None:
                    started_s = float(records.stamps.start_s[0])
            if wrong:
                fault = wrong
                continue
            one = wanted[k : k + 1]
            sink.shown(one, realised[None])
            with self._trace.span(Lane.BENCH, "decode", 1):
                y = sink.decode(record.reshape(1, -1, record.shape[2]))
            sink.put(one, y, np.asarray(setpoint.tokens), started_s)
        return fault

    def _record(self) -> tuple[Records, str]:
        """Wait until the voltages have settled; return the newest record, and what is wrong with it."""
        clock, adc, n = self._clock, self._adc, 1 + self._adc.stale_readings
        settled_s = clock.now_s() + self._timing.latency_s[1] + self._timing.settle_s
        # a true time must keep so far from a limit that a stamp which is off proves it nevertheless
        doubt_s = 2 * (adc.stamp_error_s or 0.0) + _GRAIN_S
        with self._trace.span(Lane.BENCH, "settle", 1):
            clock.sleep_until(settled_s + doubt_s)
        with self._trace.span(Lane.BENCH, "record", 1):
            assert self._trigger is not None  # noqa: S101 (asked for when wired)
            adc.arm_records(n, n_samples=self._hold, rate_hz=self._rate_hz, trigger=self._trigger, out=self._ring)
            try:
                adc.start()
                for k in range(n):
                    if self._trigger is Trigger.SOFTWARE:
                        adc.trigger()
                        if k + 1 < n:  # an old record comes at once, while the new one is being taken
                            clock.sleep_until(clock.now_s() + self._hold / self._rate_hz + doubt_s)
                    records = adc.collect(1, timeout_s=self._hold / self._rate_hz + PATIENCE_S)
                    if not records.stamps.count:
                        return records, f"a record never came ({records.stamps.note})"
                return records, newest_fault(adc, records.stamps, n, settled_s, what="record", of="voltages")
            finally:
                adc.disarm()
