"""A simulated digital-to-analog converter."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from pnnlab.devices import DAC, DeviceOptions, Identity, Limits, SettingValue, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.quantities import Hertz, Volts
from pnnlab_drivers.sim._converter import Converter
from pnnlab_drivers.sim._plant import plant_of
from pnnlab_drivers.sim.circuit_board import CircuitBoard

__all__ = ["SimDac"]

VoltArray = npt.NDArray[np.floating]


class SimDacOptions(DeviceOptions):
    """The options of the driver `sim-dac`.

    Attributes:
        bits: Bits of a code; the last code lies one below the upper end of the range.
        quantised: Whether voltages are codes; off for tests of gradients.
        range_v: Voltage at code 0, and the upper end of the range.
        max_rate_hz: Samples per second at most.
        max_samples: Samples of each channel that the waveform memory holds.
        safe_v: Voltage of all channels in the safe state.
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
    mismatch: float = 1.0
    offset_v: Volts = 0.0
    gain_error: float = 0.0
    inl_lsb: float = Field(default=0.0, ge=0)
    dnl_lsb: float = Field(default=0.0, ge=0)
    noise_rms_v: Volts = 0.0
    noise: float = Field(default=1.0, ge=0)
    serial: str = "SIM-DAC-1"


class SimDac(DAC):
    """A converter with as many channels as its `CircuitBoard` has inputs.

    What it reports (`realised`, `present_v`) is the ideal voltage of its codes, which is all that a user knows; the
    board gets the true one. A marker output gives a pulse when a waveform starts, and while it plays one for each
    record that the ADC was armed for. When the plant is made the outputs are at 0 V, but for the converter's errors,
    and opening does not change them.
    """

    Options: ClassVar[type[DeviceOptions]] = SimDacOptions
    needs_plant: ClassVar[bool] = True
    options: SimDacOptions

    @property
    def n_channels(self) -> int:
        """See `DAC.n_channels`."""
        return plant_of(self, CircuitBoard).n_inputs

    @property
    def max_rate_hz(self) -> float:
        """See `DAC.max_rate_hz`."""
        return self.options.max_rate_hz

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`."""
        return self.options.max_samples

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `DAC.triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE} if self.max_samples else ())

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`."""
        return plant_of(self, CircuitBoard).shown_at(self.clock.now_s())

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        return {"voltage": self._converter.limits()}

    def _open(self) -> None:
        self._board = plant_of(self, CircuitBoard)
        options, board = self.options, self._board
        low, high = options.range_v
        self._converter = Converter(
            self.n_channels, low=low, high=high, n_codes=2**options.bits,
            offset=options.mismatch * options.offset_v, gain=options.mismatch * options.gain_error,
            inl_lsb=options.mismatch * options.inl_lsb, dnl_lsb=options.mismatch * options.dnl_lsb,
            generator=board.specimen(f"dac {self.name}"), dtype=board.dtype, torch_device=board.torch_device,
        )  # fmt: skip
        self._converter.limits().check(np.array(options.safe_v), who=f"{self.name}: safe voltage", unit="V")
        board.attach_dac(self._converter.distort)
        self._waveform: VoltArray | None = None

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated DAC", self.options.serial, "1")

    def _close(self) -> None:
        self._waveform = None

    def _make_safe(self) -> None:
        self._hold(self._realise(np.full(self.n_channels, self.options.safe_v)))

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "bits": self.options.bits, "range_v": list(self.options.range_v), "lsb_v": self._converter.lsb,
            "n_channels": self.n_channels, "max_rate_hz": self.max_rate_hz, "max_samples": self.max_samples,
        }  # fmt: skip

    def _realise(self, volts: VoltArray) -> VoltArray:
        return self._converter.nearest(volts) if self.options.quantised else volts

    def _write(self, volts: VoltArray) -> None:
        self._hold(volts)

    def _arm_waveform(self, volts: VoltArray, rate_hz: float, trigger: Trigger) -> None:
        self._waveform, self._rate_hz, self._armed_trigger = volts.copy(), rate_hz, trigger
        self._listening, self._done_s = False, np.inf

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
            self._hold(self._board.shown_at(now_s))
        elif self._done_s <= now_s:
            self._written_s = self._done_s
        self._waveform = None

    def _hold(self, volts: VoltArray) -> None:
        now_s = self.clock.now_s()
        self._board.hold(self._at_output(volts[None])[0], volts, start_s=now_s)
        # the next jump is as steep as the time since this one makes it, whoever asked for it
        self._written_s = now_s

    def _play(self) -> None:
        if self._waveform is None or np.isfinite(self._done_s):
            raise AcquisitionError(f"{self.name}: the waveform has been played; arm it again")
        now_s = self.clock.now_s()
        self._done_s = now_s + len(self._waveform) / self._rate_hz
        volts = self._at_output(self._waveform)
        self._board.play(volts, self._waveform, start_s=now_s, period_s=1 / self._rate_hz)

    def _at_output(self, volts: VoltArray) -> VoltArray:
        """Return what is at the outputs, shape `(n, n_channels)`, when these voltages are reported."""
        board, options = self._board, self.options
        reported = torch.as_tensor(volts, dtype=board.dtype, device=board.torch_device)
        true: VoltArray = self._converter.distort(reported).cpu().numpy()
        if options.noise * options.noise_rms_v:
            noise = board.noise(f"dac {self.name}").standard_normal(true.shape)
            true = true + (options.noise * options.noise_rms_v) * noise
        return true
