"""A function and arbitrary waveform generator of Keysight's Series 33500 and 33600."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import DAC, DeviceOptions, Identity, Limits, SettingValue, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, DeviceError, OverloadError
from pnnlab.quantities import Ohms, Seconds, Volts
from pnnlab.transports import LinkOptions, Scpi, Transport, Wait, open_transport, parse_number
from pnnlab_drivers.keysight._arbitrary import FULL_SCALE, load_waveform

__all__ = ["WaveformGenerator", "WaveformGeneratorOptions"]

VoltArray = npt.NDArray[np.floating]

_SERIES: Final = re.compile(r"(?:EDU)?33[56]\d\d[A-Z]?|33[56]\d\d[A-Z]?")
_SOURCE_OHM: Final = 50.0
_OPEN_PEAK_V: Final = 10.0
"""Highest voltage into an open circuit; half of it into 50 ohm (data sheet of the 33500B, waveform output)."""
_DIGITS: Final = 4
"""Digits of an offset that the instrument keeps (data sheet, resolution of the dc offset)."""
_STEP_V: Final = 1e-4
"""Finest step of an offset."""


class WaveformGeneratorOptions(LinkOptions):
    """The options of the driver `keysight-generator`.

    Attributes:
        channels: Channels that are used, 1 or 2.
        load_ohm: What is connected, the same to each channel; left out, it is an open circuit, as an ADC or a scope of
            1 Mohm is. The instrument must be set to the same: with 50 ohm set and nothing connected it would put out
            twice the voltage that it is told.
        peak_v: Highest voltage of a waveform; its steps are 1/32767 of that. Left out, all that the load allows.
        memory_samples: Samples of the volatile memory of a channel; 16 million with the option MEM.
        latency_s: Least and most time from a command to the change at the output.
    """

    channels: int = Field(default=2, ge=1, le=2)
    load_ohm: Ohms | None = Field(default=None, gt=0)
    peak_v: Volts | None = Field(default=None, gt=0)
    memory_samples: int = Field(default=1_000_000, ge=1000)
    latency_s: tuple[Seconds, Seconds] = (0.0, 0.05)


class WaveformGenerator(DAC):
    """One or two channels of up to 10 V; constant voltages, and waveforms from the volatile memory.

    Values that the instrument would clip with a word in its error queue are refused before. The load that it is set to
    is compared with the bench file when it is opened and after every write. Opening changes nothing; the safe state is
    outputs off, 0 V. A constant voltage has the four digits of the instrument's offsets, a waveform the 16 bits of its
    samples. Loading a waveform switches the outputs off for some ten milliseconds, since the memory cannot be
    cleared while it is played; then they are back where they were. A waveform is started by a command; the trigger
    input is not used, for the instrument does not tell when an edge came there.
    """

    Options: ClassVar[type[DeviceOptions]] = WaveformGeneratorOptions
    options: WaveformGeneratorOptions

    _transport: Transport | None = None
    _held_v: VoltArray | None = None
    """What a finished waveform holds; `None` where the outputs are constant or off."""
    _waveform: VoltArray | None = None
    _trigger_by: Trigger | None = None
    _listening: bool = False
    _begun_at_s: float = math.inf
    _max_rate_hz: float = 62.5e6

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return self.options.channels

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`: as the instrument tells it."""
        return self._max_rate_hz

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`: what the memory holds beside the two short segments before and after."""
        return self.options.memory_samples - 64

    @property
    def waveform_triggers(self) -> frozenset[Trigger]:
        """See `DAC.waveform_triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE})

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `DAC.latency_s`."""
        return self.options.latency_s

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`: asked of the instrument; of a function that goes on by itself, the offset."""
        if self._waveform is not None:
            return self._playing_v(self._waveform)
        on, function, offset_v = self._ask_outputs()
        constant = np.where(np.array(on), np.array(offset_v), 0.0)
        if self._held_v is None or "DC" in function:
            return constant
        return np.where(np.array(on), self._held_v, 0.0)

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._forget()
        self._transport = open_transport(self.options, who=self.name)

    def _identify(self) -> Identity:
        identity = self._scpi.identity()
        if not _SERIES.fullmatch(identity.model):
            raise DeviceError(
                f"{self.name}: {identity.vendor} {identity.model} answered, this driver speaks to generators of the "
                "series 33500 and 33600; correct `resource` or `driver` in the bench file"
            )
        if self.options.channels > 1 and identity.model.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")[-1] in "13579":
            raise DeviceError(
                f"{self.name}: a {identity.model} has one output, the bench file uses {self.options.channels}; set "
                "`channels: 1`"
            )
        self._check_loads(self._scpi.run((), *[f"OUTP{c}:LOAD?" for c in self._channels]))
        (rate,) = self._scpi.run((), "SOUR1:FUNC:ARB:SRAT? MAX")
        self._max_rate_hz = parse_number(rate, who=self.name, asked="SRAT? MAX")
        return identity

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-self._peak_v, self._peak_v)}

    def _make_safe(self) -> None:
        self._scpi.command(*[f"OUTP{c} OFF" for c in self._channels], wait=Wait.OPERATION)
        self._forget()

    def _settings(self) -> dict[str, SettingValue]:
        load, units = self.options.load_ohm, [f"SOUR{c}:FUNC?" for c in self._channels]
        return {
            "functions": ",".join(self._scpi.run((), *units)), "channels": self.n_outputs,
            "load_ohm": load, "peak_v": self._waveform_peak_v, "max_rate_hz": self._max_rate_hz,
        }  # fmt: skip

    def _realise(self, volts: VoltArray) -> VoltArray:
        if volts.ndim == 1:
            return np.array([_as_offset(v) for v in volts.tolist()], volts.dtype)
        peak_v = self._waveform_peak_v
        if np.abs(volts).max() > peak_v * (1 + 1e-9):
            raise AbilityError(
                f"{self.name}: the waveform goes up to {np.abs(volts).max():g} V, `peak` in the bench file is "
                f"{peak_v:g} V"
            )
        realised: VoltArray = (np.rint(volts / peak_v * FULL_SCALE) / FULL_SCALE * peak_v).astype(volts.dtype)
        return realised

    def _write(self, volts: VoltArray) -> None:
        self._put(volts, stay_off=())

    def _put(self, volts: VoltArray, *, stay_off: Sequence[int]) -> None:
        """Put constant voltages on the outputs; some channels only get the setting, and stay off."""
        on, function, _ = self._ask_outputs()
        commands: list[str] = []
        for c, v, is_on, shape in zip(self._channels, volts.tolist(), on, function, strict=True):
            if is_on and shape == "DC":
                commands.append(f"SOUR{c}:VOLT:OFFS {v:.6g}")
            else:
                # with the output off, since function and offset cannot change at the same time
                commands += (f"OUTP{c} OFF", f"SOUR{c}:FUNC DC", f"SOUR{c}:VOLT:OFFS {v:.6g}")
                commands += [f"OUTP{c} ON"] * (c not in stay_off)
        questions = [q for c in self._channels for q in (f"SOUR{c}:VOLT:OFFS?", f"OUTP{c}:LOAD?")]
        answers = self._scpi.run(commands, *questions, wait=Wait.OPERATION)
        self._check_loads(answers[1::2])
        self._held_v = None
        for c, v, answer in zip(self._channels, volts.tolist(), answers[::2], strict=True):
            found = parse_number(answer, who=self.name, asked=f"SOUR{c}:VOLT:OFFS?")
            if abs(found - v) > 0.6 * max(_STEP_V, abs(v) * 10.0 ** (1 - _DIGITS)):
                raise DeviceError(
                    f"{self.name}: channel {c} was set to {v:g} V and says that it is at {found:g} V; look at the "
                    "instrument's limits (VOLT:LIM) and at who else uses it"
                )

    def _arm_waveform(self, volts: VoltArray, rate_hz: float, trigger: Trigger) -> None:
        before_v = self.present_v
        peak_v = self._waveform_peak_v
        codes = np.rint(volts / peak_v * FULL_SCALE).astype(np.int16)
        idle = np.rint(np.clip(before_v / peak_v, -1, 1) * FULL_SCALE).astype(np.int16)
        was_on, _, _ = self._ask_outputs()
        for k, c in enumerate(self._channels):
            self._scpi.command(f"OUTP{c} OFF", f"SOUR{c}:FUNC DC", f"SOUR{c}:VOLT:OFFS 0")
            name = load_waveform(self._scpi, c, codes[:, k], idle=int(idle[k]))
            settings = (
                f"SOUR{c}:FUNC:ARB {name}", f"SOUR{c}:FUNC:ARB:SRAT {rate_hz:.12g}", f"SOUR{c}:FUNC:ARB:FILT OFF",
                f"TRIG{c}:SOUR BUS", f"SOUR{c}:FUNC ARB", f"SOUR{c}:VOLT {2 * peak_v:.6g}", f"SOUR{c}:VOLT:OFFS 0",
            )  # fmt: skip
            self._scpi.command(*settings, wait=Wait.OPERATION)
        self._check_loads(self._scpi.run((), *[f"OUTP{c}:LOAD?" for c in self._channels]))
        self._scpi.complete(*[f"OUTP{c} ON" for c, on in zip(self._channels, was_on, strict=True) if on])
        self._before_v, self._off = before_v, [c for c, on in zip(self._channels, was_on, strict=True) if not on]
        self._waveform, self._rate_hz, self._trigger_by = volts.copy(), rate_hz, trigger
        self._listening, self._begun_at_s = False, math.inf

    def _start(self) -> None:
        self._listening = True
        if self._trigger_by is Trigger.INTERNAL:
            self._play()

    def _trigger(self) -> None:
        if not self._listening or self._trigger_by is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        self._play()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        done_s = self._done_s
        self.clock.sleep_until(min(done_s, deadline_s))
        if done_s > deadline_s:
            left = "still plays" if math.isfinite(done_s) else "was not started"
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the waveform {left}; wait longer, or start it")

    def _disarm(self) -> None:
        waveform = self._waveform
        if waveform is None:
            return
        held_v = self._playing_v(waveform)
        self._waveform, self._listening = None, False
        if self.clock.now_s() >= self._done_s:
            self._held_v = held_v  # the last segment is repeated until something else is told
        else:
            # it would go on, or begin with somebody else's trigger
            begun = math.isfinite(self._begun_at_s)
            self._put(self._realise(held_v), stay_off=() if begun else self._off)

    # The conversation

    @property
    def _scpi(self) -> Scpi:
        if self._transport is None:
            raise DeviceError(f"{self.name}: it is not open")
        return Scpi(self._transport)

    @property
    def _channels(self) -> range:
        return range(1, self.options.channels + 1)

    @property
    def _peak_v(self) -> float:
        """Return the highest voltage that the load allows."""
        load = self.options.load_ohm
        return _OPEN_PEAK_V if load is None else _OPEN_PEAK_V * load / (load + _SOURCE_OHM)

    @property
    def _waveform_peak_v(self) -> float:
        return min(self.options.peak_v or math.inf, self._peak_v)

    @property
    def _done_s(self) -> float:
        if self._waveform is None:
            return self._begun_at_s
        return self._begun_at_s + self.options.latency_s[1] + len(self._waveform) / self._rate_hz

    def _play(self) -> None:
        if math.isfinite(self._begun_at_s):
            raise AcquisitionError(f"{self.name}: the waveform has been played; arm it again")
        # outputs that were off begin with the waveform
        self._scpi.command(*[f"OUTP{c} ON" for c in self._off], "*TRG")
        self._begun_at_s = self.clock.now_s()

    def _playing_v(self, waveform: VoltArray) -> VoltArray:
        """Return where a loaded waveform is by the clock."""
        since_s = self.clock.now_s() - self._begun_at_s
        if since_s < 0:
            return self._before_v.copy()
        sample: VoltArray = waveform[min(int(since_s * self._rate_hz), len(waveform) - 1)]
        return sample.copy()

    def _ask_outputs(self) -> tuple[list[bool], list[str], list[float]]:
        """Return for each channel whether it is on, its function, and its offset in V."""
        units = [q for c in self._channels for q in (f"OUTP{c}?", f"SOUR{c}:FUNC?", f"SOUR{c}:VOLT:OFFS?")]
        answers = self._scpi.run((), *units)
        on = [parse_number(a, who=self.name, asked="OUTP?") == 1 for a in answers[::3]]
        offsets = [parse_number(a, who=self.name, asked="VOLT:OFFS?") for a in answers[2::3]]
        return on, [answer.strip() for answer in answers[1::3]], offsets

    def _check_loads(self, answers: Sequence[str]) -> None:
        wanted = self.options.load_ohm
        for c, answer in zip(self._channels, answers, strict=True):
            found = _as_load(answer, who=self.name)
            fits = math.isinf(found) if wanted is None else abs(found - wanted) <= 1e-3 * wanted
            if not fits:
                due = "an open circuit" if wanted is None else f"{wanted:g} ohm"
                raise DeviceError(
                    f"{self.name}: channel {c} is set to a load of {found:g} ohm, the bench file says {due}: its "
                    "voltages would be wrong by up to a factor of 2; set the load at the instrument (OUTPut:LOAD), or "
                    "correct `load` in the bench file"
                )

    def _forget(self) -> None:
        self._held_v = self._waveform = self._trigger_by = None
        self._listening, self._begun_at_s = False, math.inf


def _as_load(answer: str, *, who: str) -> float:
    """Return a load in ohm; an open circuit is told as 9.9E37, which elsewhere is an overload."""
    try:
        return parse_number(answer, who=who, asked="OUTP:LOAD?")
    except OverloadError:
        return math.inf


def _as_offset(volts: float) -> float:
    """Return the nearest voltage with as many digits as the instrument keeps."""
    if volts == 0:
        return 0.0
    digits = max(_STEP_V, 10.0 ** (math.floor(math.log10(abs(volts))) + 1 - _DIGITS))
    return round(round(volts / digits) * digits, 9)
