"""A Red Pitaya board: two fast outputs and two fast inputs."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt

from pnnlab.devices import ADC, DAC, DeviceOptions, Identity, Limits, SettingValue, Stamps, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, DeviceError
from pnnlab.quantities import Seconds
from pnnlab.transports import LinkOptions, Scpi, Transport, open_transport
from pnnlab_drivers.red_pitaya._generator import BUFFER, CLOCK_HZ, CODES, Generator
from pnnlab_drivers.red_pitaya._oscilloscope import Oscilloscope, decimation_of

__all__ = ["RedPitaya", "RedPitayaOptions"]

VoltArray = npt.NDArray[np.floating]
Rows = npt.NDArray[np.number]

_POLL_S: Final = 1e-3
_SOURCES: Final = {"external": "EXT_PE", "generator": "AWG_PE"}
_CHANNELS: Final = (1, 2)


class RedPitayaOptions(LinkOptions):
    """The options of the driver `red-pitaya`; `resource` is as `TCPIP::rp-f0abcd.local::5000::SOCKET`.

    Attributes:
        jumpers: The inputs' range as it is set by the jumpers on the board, ±1 V or ±20 V: the board cannot tell.
        record_trigger: Where hardware triggers of records come from: the pin for external triggers, or the start of the
            board's own waveform.
        latency_s: Least and most time from a command to the change at the outputs.
    """

    jumpers: Literal["1 V", "20 V"] = "1 V"
    record_trigger: Literal["external", "generator"] = "generator"
    latency_s: tuple[Seconds, Seconds] = (0.0, 0.02)


class RedPitaya(DAC, ADC):
    """Voltages of ±1 V with 14 bits on two outputs, and records of two inputs in its buffers of 16384 samples.

    The board has no clock: a record is told apart by the order of arming, and in a run with hardware triggers all
    records are cut from one filling of the buffer, which the start of a waveform triggers. Some versions of its
    software clip values beyond ±1 V in silence: they are refused here. With some the
    outputs are live when it boots: `present_v` tells what it has, and the first command for an output switches it off
    before anything else. Opening changes nothing; in the safe state the outputs are off, 0 V. Loading a waveform
    switches them off for as long as that takes.
    """

    Options: ClassVar[type[DeviceOptions]] = RedPitayaOptions
    options: RedPitayaOptions
    joins_runs: ClassVar[bool] = True

    _transport: Transport | None = None
    _constant: bool = False
    """Whether the outputs are on and constant by a command of ours."""
    _waveform: VoltArray | None = None
    _records_left: int = 0

    # What it tells

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return len(_CHANNELS)

    @property
    def n_inputs(self) -> int:
        """See `ADC.n_inputs`."""
        return len(_CHANNELS)

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`."""
        return CLOCK_HZ

    @property
    def max_sample_rate_hz(self) -> float:
        """See `ADC.max_sample_rate_hz`."""
        return CLOCK_HZ

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`."""
        return BUFFER

    @property
    def range_v(self) -> tuple[float, float]:
        """See `ADC.range_v`."""
        peak = 1.0 if self.options.jumpers == "1 V" else 20.0
        return -peak, peak

    @property
    def waveform_triggers(self) -> frozenset[Trigger]:
        """See `DAC.waveform_triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE})

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `Sensor.triggers`."""
        return frozenset(Trigger)

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `DAC.latency_s`."""
        return self.options.latency_s

    @property
    def chains_records(self) -> bool:
        """See `ADC.chains_records`: they are cut from one filling of the buffer."""
        return True

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`."""
        if self._waveform is None:
            return self._generator.outputs()
        since_s = self.clock.now_s() - self._begun_at_s
        if since_s < 0:
            return self._before_v.copy()
        sample: VoltArray = self._waveform[min(int(since_s * self._update_rate_hz), len(self._waveform) - 1)]
        return sample.copy()

    # Hooks of every device

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._constant, self._waveform, self._records_left = False, None, 0
        self._records: deque[Rows] = deque()
        self._transport = open_transport(self.options, who=self.name, terminator="\r\n")

    def _identify(self) -> Identity:
        identity = self._scpi.identity()
        if "PITAYA" not in identity.vendor.upper().replace(" ", ""):
            raise DeviceError(
                f"{self.name}: {identity.vendor} {identity.model} answered, this driver speaks to boards of Red "
                "Pitaya; correct `resource` or `driver` in the bench file"
            )
        return identity

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _make_safe(self) -> None:
        self._generator.off()
        self._constant, self._waveform = False, None

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-1.0, 1.0)}

    def _settings(self) -> dict[str, SettingValue]:
        answers = self._scpi.run((), *[f"OUTPUT{c}:STATE?" for c in _CHANNELS], *[f"SOUR{c}:FUNC?" for c in _CHANNELS])
        return {"states": ",".join(answers[:2]), "functions": ",".join(answers[2:]), "range_v": list(self.range_v)}

    def _start(self) -> None:
        if self._records_left:
            self._listening = True
            if self._record_by is not Trigger.SOFTWARE:
                self._arm_record()
        if self._waveform is not None:
            self._waiting = True
            if self._waveform_by is Trigger.INTERNAL:
                self._play()

    def _trigger(self) -> None:
        plays = self._waveform is not None and self._waiting and self._waveform_by is Trigger.SOFTWARE
        records = bool(self._records_left) and self._listening and self._record_by is Trigger.SOFTWARE
        if not (plays or records):
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        if records:
            self._arm_record()
            self._take_record(self.clock.now_s() + self.options.operation_s)
        if plays:
            self._play()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        if self._waveform is not None:
            self.clock.sleep_until(min(self._done_s, deadline_s))
            if self._done_s > deadline_s:
                left = "still plays" if math.isfinite(self._done_s) else "was not started"
                raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the waveform {left}; wait longer")
        self._take_records(deadline_s, self._records_left + len(self._records))
        if self._records_left:
            self.clock.sleep_until(deadline_s)
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s {self._records_left} records are missing")

    def _disarm(self) -> None:
        if self._records_left and self._listening:
            self._oscilloscope.stop()
        self._records.clear()
        self._records_left, self._listening = 0, False
        waveform = self._waveform
        if waveform is not None:
            begun, done = math.isfinite(self._begun_at_s), self.clock.now_s() >= self._done_s
            held_v = self.present_v
            self._waveform, self._waiting = None, False
            if begun and not done:
                self._generator.put(self._realise(held_v), running=False)
                self._constant = True
            elif not begun:
                self._rest(held_v)

    def _rest(self, volts: VoltArray) -> None:
        """Leave outputs that a waveform was loaded for where they were: on, or off."""
        if any(self._was_on):
            self._generator.put(self._realise(volts), running=False)
            self._constant = True
        else:
            self._generator.off()

    # Hooks of the outputs

    def _realise(self, volts: VoltArray) -> VoltArray:
        codes = np.clip(np.rint(volts.astype(np.float64) * CODES), -CODES, CODES - 1)
        realised: VoltArray = (codes / CODES).astype(volts.dtype)
        return realised

    def _write(self, volts: VoltArray) -> None:
        self._generator.put(volts, running=self._constant)
        self._constant = True

    def _arm_waveform(self, volts: VoltArray, rate_hz: float, trigger: Trigger) -> None:
        self._generator.check_rate(rate_hz)
        self._before_v = self._generator.outputs()
        states = self._scpi.run((), *[f"OUTPUT{c}:STATE?" for c in _CHANNELS])
        self._was_on = [state.strip() in ("ON", "1") for state in states]
        self._constant = False
        self._generator.load(volts, rate_hz, self._before_v, self._was_on)
        self._waveform, self._update_rate_hz, self._waveform_by = volts.copy(), rate_hz, trigger
        self._waiting, self._begun_at_s = False, math.inf

    @property
    def _done_s(self) -> float:
        n = 0 if self._waveform is None else len(self._waveform)
        return self._begun_at_s + self.options.latency_s[1] + n / self._update_rate_hz

    def _play(self) -> None:
        if math.isfinite(self._begun_at_s):
            raise AcquisitionError(f"{self.name}: the waveform has been played; arm it again")
        self._generator.play()
        self._begun_at_s = self.clock.now_s()

    # Hooks of the inputs

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        chained = n * n_samples if trigger is not Trigger.SOFTWARE else n_samples
        if trigger is Trigger.INTERNAL and chained > BUFFER:
            chained = n_samples  # with pauses, in which one is fetched
        if chained > BUFFER:
            raise AbilityError(
                f"{self.name}: {n} records of {n_samples} samples are asked for, its buffer holds {BUFFER} samples "
                "after one trigger; take fewer or shorter records"
            )
        decimation = decimation_of(rate_hz, who=self.name)
        self._oscilloscope.prepare(decimation, chained, "LV" if self.options.jumpers == "1 V" else "HV")
        self._at_once = chained // n_samples
        self._records.clear()
        self._records_left, self._n_samples, self._sample_rate_hz = n, n_samples, rate_hz
        self._record_by, self._listening = trigger, False
        return None

    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        self._take_records(deadline_s, len(out))
        if len(self._records) < len(out):
            self.clock.sleep_until(deadline_s)
        count = min(len(out), len(self._records))
        for k in range(count):
            out[k] = self._records.popleft()
        return Stamps(count, self._n_samples / self._sample_rate_hz)

    def _arm_record(self) -> None:
        source = "NOW" if self._record_by is not Trigger.HARDWARE else _SOURCES[self.options.record_trigger]
        self._oscilloscope.arm(source)

    def _take_records(self, deadline_s: float, n: int) -> None:
        """Take records until there are `n`, or until the deadline; where they are taken singly, one arms the next."""
        by_itself = self._record_by is not Trigger.SOFTWARE if self._records_left else False
        while by_itself and self._listening and self._records_left and len(self._records) < n:
            if not self._take_record(deadline_s):
                return
            if self._records_left:
                self._arm_record()

    def _take_record(self, deadline_s: float) -> bool:
        """Fetch what is armed, one record or all of the run; return whether it came in time."""
        scope = self._oscilloscope
        for come in (scope.triggered, scope.filled):
            while not come():
                now_s = self.clock.now_s()
                if now_s >= deadline_s:
                    return False
                self.clock.sleep_until(min(now_s + _POLL_S, deadline_s))
        fetched = scope.fetch(self._at_once * self._n_samples)
        records = fetched.reshape(self._at_once, self._n_samples, self.n_inputs)
        self._records.extend(records)
        self._records_left -= self._at_once
        return True

    @property
    def _scpi(self) -> Scpi:
        if self._transport is None:
            raise DeviceError(f"{self.name}: it is not open")
        return Scpi(self._transport)

    @property
    def _generator(self) -> Generator:
        return Generator(self._scpi, _CHANNELS)

    @property
    def _oscilloscope(self) -> Oscilloscope:
        return Oscilloscope(self._scpi, _CHANNELS)
