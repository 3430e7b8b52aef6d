"""A device that makes voltages."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._device import Device
from pnnlab.devices._state import State
from pnnlab.devices._trigger import Setpoint, Trigger
from pnnlab.errors import AbilityError, SetpointError

__all__ = ["DAC"]

VoltArray = npt.NDArray[np.floating]


class DAC(Device):
    """The role of a digital-to-analog converter: volts on channels, static or as waveforms."""

    quantities: ClassVar[Mapping[str, str]] = {"voltage": "V"}
    holds_outputs: ClassVar[bool] = True

    # What a driver tells

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Return the number of output channels."""

    @property
    @abstractmethod
    def max_update_rate_hz(self) -> float:
        """Return the highest sample rate of a waveform in Hz."""

    @property
    @abstractmethod
    def max_samples(self) -> int:
        """Return how many samples a channel's waveform memory holds; 0 where there are no waveforms."""

    @property
    @abstractmethod
    def waveform_triggers(self) -> frozenset[Trigger]:
        """Return what can start a waveform."""

    @property
    @abstractmethod
    def present_v(self) -> VoltArray:
        """Return the voltages at the outputs now in V, shape `(n_outputs,)`."""

    @property
    def settle_s(self) -> float:
        """Return the data sheet's time from a change of the outputs to settled ones in s, filters included."""
        return 0.0

    @property
    def latency_s(self) -> tuple[float, float]:
        """Return the data sheet's least and most time in s from a call to outputs that change.

        Counted from the end of `write`, and from the end of `start` for a waveform that starts by itself.
        """
        return 0.0, 0.0

    @property
    def start_error_s(self) -> float | None:
        """Return by how much `begun_s` may be off in bench time, in s; `None` where the instrument does not tell it."""
        return None

    # What a user calls

    @final
    def write(self, volts: VoltArray) -> Setpoint:
        """Put constant voltages on all channels.

        Args:
            volts: Shape `(n_outputs,)`, in V.

        Raises:
            SetpointError: Wrong shape, outside the limits or too steep; nothing was sent.
        """
        self._require_free(DAC)
        if volts.shape != (self.n_outputs,):
            raise SetpointError(
                f"{self.name}: voltages have shape {volts.shape}, expected {(self.n_outputs,)}; nothing was sent"
            )
        limits, who = self.limits("voltage"), f"{self.name}: voltage"
        limits.check(volts, who=who, unit="V")
        realised = self._realise(volts)
        now_s = self.clock.now_s()
        if np.isfinite(limits.slew_per_s):
            # a clock's reading is exact to its last bit, so is the time since another one
            since_s = now_s - self._written_s + np.spacing(now_s)
            limits.check_slew(self._standing_v(volts, realised), volts[None], since_s, who=who, unit="V")
        setpoint = Setpoint(self._next_tokens(1), volts, realised, now_s)
        self._call(self._write, realised)
        # a slow instrument's outputs move up to the end of the call
        self._written_s, self._asked_v = self.clock.now_s(), volts.copy()
        return setpoint

    @final
    def ramp(self, volts: VoltArray, *, step_s: float = 1e-3) -> Setpoint:
        """Walk to constant voltages at the slew limit in steps of `step_s`; blocks until it is there.

        Args:
            volts: Shape `(n_outputs,)`, in V.
            step_s: Time between two steps in s.

        Raises:
            SetpointError: Wrong shape or outside the limits; nothing was sent.
        """
        self._require_free(DAC)
        slew = self.limits("voltage").slew_per_s
        start = self._call(lambda: self.present_v) if self._asked_v is None else self._asked_v
        if volts.shape != start.shape or np.isinf(slew):
            return self.write(volts)
        self.limits("voltage").check(volts, who=f"{self.name}: voltage", unit="V")
        n_steps = max(1, int(np.ceil(np.abs(volts - start).max() / (slew * step_s) - 1e-9)))
        for k in range(1, n_steps + 1):
            self.clock.sleep_until(self._written_s + step_s)
            setpoint = self.write(start + (volts - start) * (k / n_steps))
        return setpoint

    @final
    def arm_waveform(self, volts: VoltArray, *, rate_hz: float, trigger: Trigger) -> Setpoint:
        """Load one waveform for all channels; `start` (and then the trigger) plays it once and holds its last value.

        Args:
            volts: Shape `(n_samples, n_outputs)`, in V.
            rate_hz: Samples per second.
            trigger: What starts it.

        Raises:
            SetpointError: Wrong shape, outside the limits, too fast or too steep; nothing was sent.
            AbilityError: No room for it, or no such trigger.
        """
        self._require_free(DAC)
        self._require_trigger(trigger, self.waveform_triggers)
        if volts.ndim != 2 or volts.shape[1] != self.n_outputs or len(volts) == 0:
            raise SetpointError(
                f"{self.name}: waveform has shape {volts.shape}, expected (n_samples, {self.n_outputs}); "
                "nothing was sent"
            )
        if len(volts) > self.max_samples:
            raise AbilityError(
                f"{self.name}: a waveform of {len(volts)} samples is asked for, the memory holds {self.max_samples}"
            )
        if not 0 < rate_hz <= self.max_update_rate_hz:
            raise SetpointError(
                f"{self.name}: {rate_hz:g} samples/s are asked for, allowed is up to {self.max_update_rate_hz:g} Hz; "
                "nothing was sent"
            )
        limits, who = self.limits("voltage"), f"{self.name}: voltage"
        limits.check(volts, who=who, unit="V")
        realised = self._realise(volts)
        if np.isfinite(limits.slew_per_s):
            start = self._standing_v(volts[0], realised[0])
            limits.check_slew(start, volts, 1 / rate_hz, who=who, unit="V")
        setpoint = Setpoint(self._next_tokens(1), volts, realised, self.clock.now_s())
        self._arm(DAC, self._arm_waveform, realised, rate_hz, trigger)
        self._plays = True
        return setpoint

    @final
    def begun_s(self) -> float:
        """Return when the armed waveform began, in bench time, right to `start_error_s`.

        Raises:
            AbilityError: The instrument does not tell.
            AcquisitionError: The waveform has not begun.
        """
        self._require(State.ARMED)
        if self.start_error_s is None:
            raise self._unable("tell when a waveform began")
        return self._call(self._begun_s)

    def _standing_v(self, volts: VoltArray, realised: VoltArray) -> VoltArray:
        """Return from where a change to `volts` counts against the slew limit, shape `(n_outputs,)`.

        That is what was asked for last, not its nearest code: otherwise a ramp at the limit would break it by half a
        step of the converter. An output that stands at the code asked for does not move.
        """
        present = self._call(lambda: self.present_v)
        return np.where(realised == present, volts, present if self._asked_v is None else self._asked_v)

    def _outputs_moved(self, *, by_run: bool) -> None:
        if by_run and not self._plays:
            return  # the run of another role of this instrument
        # a later moment than that of the last movement: the slew limit is kept from there on, too
        self._plays, self._asked_v, self._written_s = False, None, self.clock.now_s()

    # Hooks of a driver

    _written_s: float = -np.inf
    """Bench time up to which the outputs may have moved; before the first write they have been still for ever."""

    _asked_v: VoltArray | None = None
    """What was asked for last; `None` where something else than a write has moved the outputs since."""

    _plays: bool = False
    """Whether a waveform is armed."""

    def _realise(self, volts: VoltArray) -> VoltArray:
        """Return the voltages that the converter makes of legal ones (its nearest codes), same shape."""
        return volts

    @abstractmethod
    def _write(self, volts: VoltArray) -> None:
        """Put realised voltages, shape `(n_outputs,)`, on the outputs."""

    def _arm_waveform(self, volts: VoltArray, rate_hz: float, trigger: Trigger) -> None:
        """Load a realised waveform, shape `(n_samples, n_outputs)`, and be ready for `_start`."""
        raise self._unable("play waveforms")

    def _begun_s(self) -> float:
        """Return when the armed waveform began, as the instrument tells it."""
        raise self._unable("tell when a waveform began")
