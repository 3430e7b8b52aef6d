"""An Arduino or another board with Firmata firmware: pulse-width pins as a DAC, analog pins as an ADC."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Final, TypeVar

import numpy as np
import numpy.typing as npt

from pnnlab.devices import ADC, DAC, Candidate, DeviceOptions, Identity, Limits, SettingValue, Stamps, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, DeviceError, SetpointError
from pnnlab.transports import open_link
from pnnlab_drivers._boards import board_candidates, serial_number
from pnnlab_drivers.firmata._options import FirmataOptions
from pnnlab_drivers.firmata._pins import OutputPins
from pnnlab_drivers.firmata._protocol import (
    ANALOG,
    PWM,
    QUERY_ANALOG_PINS,
    QUERY_CAPABILITIES,
    QUERY_FIRMWARE,
    AnalogReading,
    Firmware,
    Message,
    Reply,
    read_analog_pins,
    read_capabilities,
    read_firmware,
    request_report,
    request_sampling_interval,
)
from pnnlab_drivers.firmata._pulses import PulseOutputs
from pnnlab_drivers.firmata._session import Session
from pnnlab_drivers.firmata._sweeps import RecordBuilder, Sweeps

__all__ = ["FirmataBoard"]

R = TypeVar("R")
VoltArray = npt.NDArray[np.floating]
Rows = npt.NDArray[np.number]
_PULSES_S: Final = 2.1e-3
"""A new code takes effect with the next period of its timer: 490 Hz, or 980 Hz."""
_CONVERSION_S: Final = 112e-6
"""Time of one analog conversion of an AVR."""
_NONCE: Final = 8
"""So many questions in random order nobody else has asked."""
_PIN_BYTES: Final = 7
"""Bytes that set a pin and ask for it, as a rule."""


class FirmataBoard(DAC, ADC):
    """A board whose pins are told by Firmata messages what to do.

    An output is the mean of pulses: what is behind a pin needs a filter, whose time `settle` tells. The board tells its
    inputs again and again without being asked; a record is made of sweeps that came after the answer to a question
    which was asked when the record was triggered, and so were taken after it. The first sweep after it is not used
    either (`stale_sweeps`).
    """

    Options: ClassVar[type[DeviceOptions]] = FirmataOptions
    options: FirmataOptions
    joins_runs = True

    _outputs: PulseOutputs | None = None
    _reference_bits: int = 10

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        """See `Device.discover`: ports of boards that may have the firmware; asking them would start them anew."""
        return board_candidates("it may have Firmata firmware; opening the port starts it anew")

    # As a DAC

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return len(self.options.outputs)

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`: what the line carries."""
        return self._byte_rate_hz / (_PIN_BYTES * self.n_outputs)

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`: the firmware plays no waveforms."""
        return 0

    @property
    def waveform_triggers(self) -> frozenset[Trigger]:
        """See `DAC.waveform_triggers`."""
        return frozenset()

    @property
    def settle_s(self) -> float:
        """See `DAC.settle_s`."""
        return self.options.settle_s

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `DAC.latency_s`: the pulses' period."""
        return 0.0, _PULSES_S

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`; a pin that drives nothing yet counts as low."""
        return self._pulses().volts(self._pins.codes)

    # As an ADC

    @property
    def n_inputs(self) -> int:
        """See `ADC.n_inputs`."""
        return len(self.options.inputs)

    @property
    def max_sample_rate_hz(self) -> float:
        """See `ADC.max_sample_rate_hz`: a sweep in a whole number of milliseconds, and some time for answers."""
        least_s = max(1.2 * self.n_inputs * (3 / self._byte_rate_hz + _CONVERSION_S), self.options.sweep_s)
        return 1e3 / math.ceil(1e3 * least_s * (1 - 1e-9))

    @property
    def range_v(self) -> tuple[float, float]:
        """See `ADC.range_v`."""
        return 0.0, self._reference_v

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `ADC.triggers`."""
        return frozenset({Trigger.SOFTWARE, Trigger.INTERNAL})

    # Life

    def _claims(self) -> Sequence[str]:
        return [self.options.resource]

    def _open(self) -> None:
        options = self.options
        line = replace(options.line, dtr=options.reset_on_open, rts=options.reset_on_open)
        link = open_link(options.resource, backend=options.backend, line=line)
        self._session = session = Session(link, who=self.name, answer_s=options.quick_s)
        self._builder: RecordBuilder | None = None
        self._interval_ms = 0
        self._firmware = self._greet()
        modes = session.ask(QUERY_CAPABILITIES, _reply(read_capabilities))
        channels = session.ask(QUERY_ANALOG_PINS, _reply(read_analog_pins))
        self._outputs = PulseOutputs(
            [self._bits(modes, pin, PWM, f"pin {pin}", "outputs") for pin in options.outputs],
            [pin in options.counts_up for pin in options.outputs], options.supply_v,
        )  # fmt: skip
        bits = {self._bits(modes, channels.get(c, -1), ANALOG, f"analog channel {c}", "inputs") for c in options.inputs}
        self._reference_bits = max(bits)
        self._sweeps = Sweeps(options.inputs, 2**self._reference_bits - 1)
        session.listener = self._hear
        self._pins = OutputPins(session, who=self.name, pins=options.outputs, verify=options.verify)

    def _greet(self) -> Firmware:
        """Return what the board says of itself: when it has started, or when it is asked."""
        session, said = self._session, None
        if self.options.reset_on_open:
            said = session.await_answer(_reply(read_firmware), self.options.boot_s, strict=False)
        if said is None:
            said = session.ask(QUERY_FIRMWARE, _reply(read_firmware), strict=False)
        session.agree(random.choices(self.options.outputs, k=_NONCE))  # noqa: S311 (no secret)
        return said

    def _bits(self, modes: list[dict[int, int]], pin: int, mode: int, what: str, key: str) -> int:
        """Return the resolution of a pin in a mode."""
        if 0 <= pin < len(modes) and modes[pin].get(mode):
            return modes[pin][mode]
        able = [k for k, found in enumerate(modes) if found.get(mode)]
        kind = "analog input" if mode == ANALOG else "pulse-width output"
        raise AbilityError(
            f"{self.name}: {what} of the board is no {kind}; pins that are: {', '.join(map(str, able)) or 'none'}; "
            f"correct `{key}` in the bench file"
        )

    def _identify(self) -> Identity:
        firmware = self._firmware
        version = f"{firmware.major}.{firmware.minor}"
        return Identity("Firmata", firmware.name or "unknown", serial_number(self.options.resource), version)

    def _close(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None:
            session.close()

    def _make_safe(self) -> None:
        if self._outputs is not None:
            self._pins.write_anew(self._outputs.codes(np.full(self.n_outputs, self.options.safe_v)))

    def _hard_limits(self) -> dict[str, Limits]:
        limits = Limits(0.0, self.options.supply_v)
        limits.check(np.array(self.options.safe_v), who=f"{self.name}: safe voltage", unit="V")
        return {"voltage": limits}

    def _settings(self) -> dict[str, SettingValue]:
        version = self._session.barrier()
        return {
            "protocol": f"{version.major}.{version.minor}", "output_pins": list(self.options.outputs),
            "input_channels": list(self.options.inputs), "supply_v": self.options.supply_v,
            "reference_v": self._reference_v, "output_lsb_v": self._pulses().lsb_v, "input_lsb_v": self._lsb_v,
        }  # fmt: skip

    # Outputs

    def _realise(self, volts: VoltArray) -> VoltArray:
        return self._pulses().volts(self._pulses().codes(volts))

    def _write(self, volts: VoltArray) -> None:
        self._pins.write(self._pulses().codes(volts))

    def _pulses(self) -> PulseOutputs:
        if self._outputs is None:
            raise DeviceError(f"{self.name}: what its pins can do is known once the device has been opened")
        return self._outputs

    # Records

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        interval_ms = round(1e3 / rate_hz)
        if not 0.99 <= interval_ms * rate_hz / 1e3 <= 1.01 or interval_ms >= 1 << 14:
            near_hz = 1e3 / max(interval_ms, 1)
            raise SetpointError(
                f"{self.name}: {rate_hz:g} samples/s are asked for, the board takes one in a whole number of "
                f"milliseconds, up to {(1 << 14) - 1}; choose {near_hz:g} Hz; nothing was sent"
            )
        self._chained, self._duration_s = trigger is Trigger.INTERNAL, n_samples * interval_ms / 1e3
        builder = RecordBuilder(n, n_samples, self.options.stale_sweeps, chained=self._chained)
        data = b"" if interval_ms == self._interval_ms else request_sampling_interval(interval_ms)
        self._session.send(data + b"".join(request_report(c, on=True) for c in self.options.inputs))
        self._interval_ms = interval_ms
        self._session.expect(3e3 * self.n_inputs / interval_ms)
        self._builder, self._listening = builder, False
        return None

    def _start(self) -> None:
        if self._builder is None:
            return  # the run of no role
        self._listening = True
        if self._chained:
            self._begin_record(self._builder)

    def _trigger(self) -> None:
        builder = self._builder
        if builder is None or not self._listening or self._chained:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        self._begin_record(builder)

    def _begin_record(self, builder: RecordBuilder) -> None:
        self._look_in_time(builder)
        self._session.barrier()
        if builder.busy:
            raise AcquisitionError(
                f"{self.name}: a record is being taken, it lasts for {self._duration_s:g} s; trigger no faster"
            )
        self._sweeps.clear()
        builder.trigger()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        builder = self._builder
        while builder is not None and builder.left and self.clock.now_s() < deadline_s:
            self._listen(builder, deadline_s)
        if builder is not None and builder.left:
            raise AcquisitionError(
                f"{self.name}: after {timeout_s:g} s {builder.left} records of the run are not taken; trigger them, or "
                "wait longer"
            )

    def _read(self, out: Rows, timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        builder, count, intact = self._builder, 0, np.zeros(len(out), bool)
        while builder is not None and count < len(out):
            if builder.ready:
                codes, intact[count] = builder.ready.popleft()
                out[count] = (codes + 0.5) * self._lsb_v
                count += 1
            elif self.clock.now_s() >= deadline_s:
                break
            else:
                self._listen(builder, deadline_s)
        note = "" if count == len(out) else f"a record takes {self._duration_s:g} s after its trigger"
        return Stamps(count, self._duration_s, intact=intact[:count], note=note)

    def _disarm(self) -> None:
        if self._builder is not None:
            self._builder, self._listening = None, False
            self._session.expect(0.0)
            self._session.send(b"".join(request_report(c, on=False) for c in self.options.inputs))

    def _listen(self, builder: RecordBuilder, deadline_s: float) -> None:
        self._look_in_time(builder)
        self._session.listen(min(max(deadline_s - self.clock.now_s(), 0.0), 0.1))

    def _look_in_time(self, builder: RecordBuilder) -> None:
        if self._session.overrun():
            self._sweeps.clear()
            builder.interrupt()

    def _hear(self, reading: AnalogReading) -> None:
        if self._builder is not None:
            for sweep in self._sweeps.feed(reading):
                self._builder.add(sweep, self.n_inputs)

    @property
    def _reference_v(self) -> float:
        return float(self.options.supply_v if self.options.reference_v is None else self.options.reference_v)

    @property
    def _lsb_v(self) -> float:
        return self._reference_v / (1 << self._reference_bits)

    @property
    def _byte_rate_hz(self) -> float:
        return self.options.baud_rate / 10.0


def _reply(read: Callable[[Reply], R | None]) -> Callable[[Message], R | None]:
    """Return a taker of answers that are sysex messages."""
    return lambda message: read(message) if isinstance(message, Reply) else None
