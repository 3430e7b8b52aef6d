"""A simulated digital-to-analog converter."""

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator

from pnnlab.devices import DAC, DeviceOptions, Identity, Limits, SettingValue, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.quantities import Hertz, Seconds, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._waveforms import UNNUMBERED
from pnnlab_drivers.sim.board import board_of

__all__ = ["SimDac"]

VoltArray = npt.NDArray[np.floating]
NonNegative = Annotated[Seconds, Field(ge=0)]


class SimDacOptions(DeviceOptions):
    """The options of the driver `sim-dac`.

    Attributes:
        bits: Bits of a code; the last code lies one below the upper end of the range.
        quantised: Whether voltages are codes; off for tests of gradients.
        range_v: Voltage at code 0, and the upper end of the range.
        max_rate_hz: Samples per second at most.
        max_samples: Samples of each channel that the waveform memory holds.
        safe_v: Voltage of all channels in the safe state.
        latency_s: Least and most time from the end of `start` or `write` to the change at the outputs, drawn evenly
            between them; the marker's pulses tell the real one. The safe state is there at once.
        start_error_s: By how much the start of a waveform may be off that the converter tells; `null` where it tells
            none.
        mismatch: Scales every hidden deviation below; 0 switches them off.
        offset_v: Standard deviation of the channels' offsets.
        gain_error: Standard deviation of the channels' relative gain errors.
        inl_lsb: Largest integral nonlinearity of each channel, in codes.
        dnl_lsb: Root mean square of the differential nonlinearity, in codes.
        noise_rms_v: Root mean square of the noise that each new voltage carries until the next one.
        noise: Scales it; 0 switches it off.
        serial: What the converter reports.
    """

    bits: int = Field(default=16, ge=2, le=18)
    quantised: bool = True
    range_v: tuple[Volts, Volts] = (-5.0, 5.0)
    max_rate_hz: Hertz = Field(default=100e3, gt=0)
    max_samples: int = Field(default=262144, ge=0)
    safe_v: Volts = 0.0
    latency_s: tuple[NonNegative, NonNegative] = (0.0, 0.0)
    start_error_s: NonNegative | None = None
    mismatch: float = 1.0
    offset_v: Volts = 0.0
    gain_error: float = 0.0
    inl_lsb: float = Field(default=0.0, ge=0)
    dnl_lsb: float = Field(default=0.0, ge=0)
    noise_rms_v: Volts = 0.0
    noise: float = Field(default=1.0, ge=0)
    serial: str = "SIM-DAC-1"

    @field_validator("latency_s")
    @classmethod
    def _check_order(cls, latency_s: tuple[float, float]) -> tuple[float, float]:
        least_s, most_s = latency_s
        if least_s > most_s:
            raise ValueError(f"the least latency of {least_s:g} s is above the most, {most_s:g} s; swap them")
        return latency_s


class SimDac(DAC):
    """A converter with as many channels as its `Board` has inputs.

    What it reports (`realised`, `present_v`) is the ideal voltage of its codes, which is all that a user knows; the
    board gets the true one. A constant voltage is reported as soon as it is written. A marker output gives a pulse when
    a waveform starts, and while it plays one for each record that the ADC was armed for. When the plant is made the
    outputs are at 0 V, but for the converter's errors, and opening does not change them.
    """

    Options: ClassVar[type[DeviceOptions]] = SimDacOptions
    needs_plant: ClassVar[bool] = True
    options: SimDacOptions

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return board_of(self).n_inputs

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`."""
        return self.options.max_rate_hz

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`."""
        return self.options.max_samples

    @property
    def waveform_triggers(self) -> frozenset[Trigger]:
        """See `DAC.waveform_triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE} if self.max_samples else ())

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `DAC.latency_s`."""
        return self.options.latency_s

    @property
    def start_error_s(self) -> float | None:
        """See `DAC.start_error_s`."""
        return self.options.start_error_s

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`."""
        if self._register is not None:
            return self._register.copy()
        return board_of(self).shown_at(self.clock.now_s())

    _register: VoltArray | None = None
    """What was written last, where no waveform has begun since."""

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        return {"voltage": self._converter.limits()}

    def _open(self) -> None:
        self._board = board_of(self)
        options, board = self.options, self._board
        low, high = options.range_v
        self._converter = Converter(
            self.n_outputs, low=low, high=high, n_codes=2**options.bits,
            offset=options.mismatch * options.offset_v, gain=options.mismatch * options.gain_error,
            inl_lsb=options.mismatch * options.inl_lsb, dnl_lsb=options.mismatch * options.dnl_lsb,
            generator=board.specimen(f"dac {self.name}"), dtype=board.dtype, torch_device=board.torch_device,
        )  # fmt: skip
        self._converter.limits().check(np.array(options.safe_v), who=f"{self.name}: safe voltage", unit="V")
        board.attach_dac(self._converter.distort)
        self._waveform: VoltArray | None = None
        self._register = None
        self._changes_s = -np.inf

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated DAC", self.options.serial, "1")

    def _close(self) -> None:
        self._waveform = None

    def _make_safe(self) -> None:
        volts = self._realise(np.full(self.n_outputs, self.options.safe_v))
        self._hold(volts, self.clock.now_s(), UNNUMBERED)

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "bits": self.options.bits, "range_v": list(self.options.range_v), "lsb_v": self._converter.lsb,
            "n_outputs": self.n_outputs, "max_update_rate_hz": self.max_update_rate_hz, "max_samples": self.max_samples,
        }  # fmt: skip

    def _realise(self, volts: VoltArray) -> VoltArray:
        return self._converter.nearest(volts) if self.options.quantised else volts

    def _write(self, volts: VoltArray) -> None:
        self._hold(volts, self._next_change_s(), self._last_token)

    def _arm_waveform(self, volts: VoltArray, rate_hz: float, trigger: Trigger) -> None:
        self._waveform, self._rate_hz, self._armed_trigger = volts.copy(), rate_hz, trigger
        # what upload and conversion take is over before the start
        self._true_v, self._token = self._at_output(volts), self._last_token
        self._listening, self._done_s, self._told_s = False, np.inf, np.inf

    def _start(self) -> None:
        self._listening = True
        if self._armed_trigger is Trigger.INTERNAL:
            self._play()

    def _trigger(self) -> None:
        if not self._listening or self._armed_trigger is not Trigger.SOFTWARE:
            raise AcquisitionError(
                f"{self.name}: it does not listen to software triggers now; arm and start it for them"
            )
        self._play()

    def _wait(self, timeout_s: float) -> None:
        deadline_s = self.clock.now_s() + timeout_s
        self.clock.sleep_until(min(self._done_s, deadline_s))
        if self._done_s > deadline_s:
            left = "still plays" if np.isfinite(self._done_s) else "was not started"
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s the waveform {left}; wait longer, or start it")

    def _disarm(self) -> None:
        now_s = self.clock.now_s()
        if now_s < self._done_s < np.inf:
            # the outputs stay where the waveform has got to
            self._board.stop(now_s)
            self._changes_s = min(self._changes_s, now_s)
        self._waveform, self._listening = None, False

    def _begun_s(self) -> float:
        if not np.isfinite(self._told_s):
            raise AcquisitionError(f"{self.name}: the waveform has not begun; start it")
        return self._told_s

    # Outputs

    @property
    def _last_token(self) -> int:
        """The setpoint that a hook is called for."""
        return self._tokens - 1

    def _hold(self, volts: VoltArray, start_s: float, token: int) -> None:
        self._board.hold(self._at_output(volts[None])[0], volts, start_s=start_s, token=token)
        self._register, self._changes_s = volts.copy(), start_s

    def _play(self) -> None:
        if self._waveform is None or np.isfinite(self._done_s):
            raise AcquisitionError(f"{self.name}: the waveform has been played; arm it again")
        start_s, period_s = self._next_change_s(), 1 / self._rate_hz
        self._done_s = start_s + len(self._waveform) * period_s
        error_s = self.options.start_error_s or 0.0
        off_s = float(self._board.noise(f"dac {self.name} start").uniform(-error_s, error_s)) if error_s else 0.0
        self._told_s = start_s + off_s
        self._register = None
        self._board.play(self._true_v, self._waveform, start_s=start_s, period_s=period_s, token=self._token)

    def _next_change_s(self) -> float:
        """Return when the outputs follow a call that ends now; calls do not overtake each other."""
        least_s, most_s = self.options.latency_s
        latency_s = least_s
        if most_s > least_s:
            latency_s = float(self._board.noise(f"dac {self.name} latency").uniform(least_s, most_s))
        self._changes_s = max(self.clock.now_s() + latency_s, self._changes_s)
        return self._changes_s

    def _at_output(self, volts: VoltArray) -> VoltArray:
        """Return what is at the outputs, shape `(n, n_outputs)`, when these voltages are reported."""
        board, options = self._board, self.options
        reported = torch.as_tensor(volts, dtype=board.dtype, device=board.torch_device)
        true: VoltArray = self._converter.distort(reported).cpu().numpy()
        if options.noise * options.noise_rms_v:
            noise = board.noise(f"dac {self.name}").standard_normal(true.shape)
            true = true + (options.noise * options.noise_rms_v) * noise
        return true
