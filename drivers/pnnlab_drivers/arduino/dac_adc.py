"""A DAC-ADC board with four to eight outputs and four inputs behind an Arduino or a Teensy."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pnnlab.devices import ADC, DAC, Candidate, DeviceOptions, Identity, Limits, SettingValue, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.quantities import Seconds, VoltsPerSecond
from pnnlab.transports import LinkOptions, PlainMarker, SerialLine, Transport, open_transport
from pnnlab_drivers._boards import board_candidates, serial_number
from pnnlab_drivers.arduino._dialects import Dialect, acknowledged, dialect_of

__all__ = ["DacAdcBoard", "DacAdcBoardOptions"]

VoltArray = npt.NDArray[np.floating]
Rows = npt.NDArray[np.number]

_FULL_V: Final = 10.0
_POLL_S: Final = 1e-3


class DacAdcBoardOptions(LinkOptions):
    """The options of the driver `arduino-dac-adc`.

    Attributes:
        baud_rate: See `LinkOptions`.
        outputs: Output channels that are used.
        inputs: Input channels that are used.
        ramp_v_per_s: How fast the outputs of a board that counts in millivolts walk to their voltages.
        reading_s: Time that one reading of one input takes at the most, the way over the line included.
        settle_s: From a change of the outputs to settled ones.
        reset_on_open: Whether opening the port starts the board anew, as most Arduinos do; their outputs then jump.
        boot_s: How long the board may take to start.
    """

    baud_rate: int = Field(default=115200, gt=0)
    outputs: tuple[int, ...] = Field(default=(0, 1, 2, 3), min_length=1)
    inputs: tuple[int, ...] = Field(default=(0, 1, 2, 3), min_length=1)
    ramp_v_per_s: VoltsPerSecond = Field(default=1000.0, gt=0)
    reading_s: Seconds = Field(default=5e-3, gt=0)
    settle_s: Seconds = Field(default=1e-3, ge=0)
    reset_on_open: bool = False
    boot_s: Seconds = Field(default=5.0, gt=0)

    @field_validator("outputs", "inputs")
    @classmethod
    def _once_each(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(channels)) != len(channels) or min(channels) < 0 or max(channels) > 7:
            raise ValueError(f"channels are 0 to 7, each once; found {', '.join(map(str, channels))}")
        return channels

    @property
    def line(self) -> SerialLine:
        """See `LinkOptions.line`: the control lines decide whether the board starts anew."""
        return replace(super().line, dtr=self.reset_on_open, rts=self.reset_on_open)


class DacAdcBoard(DAC, ADC):
    """Constant voltages from -10 V to 10 V, read back after every write, and readings on a command.

    The board's identity decides whether it is spoken to in volts or in millivolts; an unknown one is refused. Records
    are sweeps over the inputs, one conversion after the other at the pace of the line, each begun after the trigger.
    The ramps that the firmware plays by itself are straight lines, which no batch of shots is: they are not used.
    Tested against models of both dialects, written after the firmware's manual and source; nobody of pnnlab had one.
    """

    Options: ClassVar[type[DeviceOptions]] = DacAdcBoardOptions
    options: DacAdcBoardOptions
    joins_runs = True

    max_samples: int = 0
    waveform_triggers: frozenset[Trigger] = frozenset()
    triggers: frozenset[Trigger] = frozenset({Trigger.SOFTWARE})
    range_v: tuple[float, float] = (-_FULL_V, _FULL_V)

    _transport: Transport | None = None
    _dialect: Dialect | None = None
    _records_left: int = 0
    _listening: bool = False

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`: ports of boards that may have such firmware; none is opened."""
        return board_candidates("it may be a DAC-ADC board; opening the port starts most boards anew")

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return len(self.options.outputs)

    @property
    def n_inputs(self) -> int:
        """See `ADC.n_inputs`."""
        return len(self.options.inputs)

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`."""
        return 1 / (2 * self.options.reading_s * self.n_outputs)

    @property
    def max_sample_rate_hz(self) -> float:
        """See `ADC.max_sample_rate_hz`."""
        return 1 / (self.options.reading_s * self.n_inputs)

    @property
    def settle_s(self) -> float:
        """See `DAC.settle_s`."""
        return self.options.settle_s

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`: asked of the board."""
        return np.array([self._spoken.output_v(channel) for channel in self.options.outputs])

    # Life

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._dialect = None
        self._ready: deque[tuple[VoltArray, bool]] = deque()
        self._transport = open_transport(self.options, who=self.name, terminator="\r", reply_terminator="\r\n")

    def _identify(self) -> Identity:
        line = self._line
        wait_s = self.options.quick_s + (self.options.boot_s if self.options.reset_on_open else 0.0)
        told = line.exchange("*IDN?", acknowledged, wait=wait_s)
        line.marker = PlainMarker("*RDY?", "READY")
        self._dialect = dialect_of(told, line, ramp_v_per_s=self.options.ramp_v_per_s)
        return Identity("DAC-ADC board", told, serial_number(self.options.resource))

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _make_safe(self) -> None:
        if self._dialect is not None:
            self._put(np.zeros(self.n_outputs))

    def _hard_limits(self) -> dict[str, Limits]:
        return {"voltage": Limits(-_FULL_V, _FULL_V)}

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "counts_in": self._spoken.unit, "output_lsb_v": self._lsb_v, "outputs": list(self.options.outputs),
            "inputs": list(self.options.inputs), "present_v": self.present_v.tolist(),
        }  # fmt: skip

    # Outputs

    def _realise(self, volts: VoltArray) -> VoltArray:
        codes = np.rint(volts / self._lsb_v)
        top = 2 ** (self._spoken.bits - 1)
        realised: VoltArray = (np.clip(codes, -top, top - 1) * self._lsb_v).astype(volts.dtype)
        return realised

    def _write(self, volts: VoltArray) -> None:
        self._put(volts)

    def _put(self, volts: VoltArray) -> None:
        for channel, value, before in zip(self.options.outputs, volts.tolist(), self.present_v.tolist(), strict=True):
            self._spoken.put(channel, value, from_v=before)
        found = self.present_v
        wrong = np.flatnonzero(np.abs(found - volts) > 2 * self._lsb_v + 1e-4)
        if len(wrong):
            k = int(wrong[0])
            raise DeviceError(
                f"{self.name}: output {self.options.outputs[k]} was set to {volts[k]:.5g} V and is at {found[k]:.5g} "
                "V; look at the board and at who else uses it"
            )

    # Records

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        self._ready.clear()
        self._records_left, self._listening = n, False
        self._n_samples, self._period_s = n_samples, 1 / rate_hz
        return None

    def _start(self) -> None:
        self._listening = True

    def _trigger(self) -> None:
        if not self._listening or self._records_left == 0:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        begin_s, in_time = self.clock.now_s(), True
        volts = np.empty((self._n_samples, self.n_inputs))
        for sample in range(self._n_samples):
            due_s = begin_s + sample * self._period_s
            self.clock.sleep_until(due_s)
            in_time &= self.clock.now_s() < due_s + self._period_s
            volts[sample] = [self._spoken.input_v(channel) for channel in self.options.inputs]
        self._records_left -= 1
        self._ready.append((volts, in_time))

    def _wait(self, timeout_s: float) -> None:
        self._until(lambda: self._records_left == 0, timeout_s)
        if self._records_left:
            raise AcquisitionError(
                f"{self.name}: after {timeout_s:g} s {self._records_left} records of the run are not taken; "
                "trigger them"
            )

    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        self._until(lambda: len(self._ready) >= len(out), timeout_s)
        count, intact = min(len(self._ready), len(out)), np.zeros(len(out), bool)
        for k in range(count):
            out[k], intact[k] = self._ready.popleft()
        note = "" if count == len(out) else "records are taken on a software trigger only"
        return Stamps(count, self._n_samples * self._period_s, intact=intact[:count], note=note)

    def _disarm(self) -> None:
        self._records_left, self._listening = 0, False
        self._ready.clear()

    # What the others share

    def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        while not done() and (left_s := deadline_s - self.clock.now_s()) > 0:
            self.clock.sleep_until(self.clock.now_s() + min(left_s, _POLL_S))

    @property
    def _lsb_v(self) -> float:
        return 2 * _FULL_V / (1 << self._spoken.bits)

    @property
    def _spoken(self) -> Dialect:
        if self._dialect is None:
            raise DeviceError(f"{self.name}: what it is spoken to in is known once it has been opened")
        return self._dialect

    @property
    def _line(self) -> Transport:
        if self._transport is None:
            raise DeviceError(f"{self.name}: its port is not open; close the device and open it again")
        return self._transport
