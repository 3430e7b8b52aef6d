"""A device that shows patterns to light."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from pnnlab.devices._device import Device
from pnnlab.devices._limits import Limits
from pnnlab.devices._trigger import Setpoint, Trigger
from pnnlab.errors import AbilityError, SetpointError

__all__ = ["Pattern", "SpatialLightModulator"]

Pattern = npt.NDArray[np.number]


class SpatialLightModulator(Device):
    """The role of a spatial light modulator (SLM): grey levels in, phase or amplitude of light out.

    Levels are what the instrument is told (0 to `levels - 1`); which phase a level makes is a matter of calibration.
    """

    quantities: ClassVar[Mapping[str, str]] = {"level": ""}

    # What a driver tells

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Return the panel's pixels as `(h, w)`."""

    @property
    @abstractmethod
    def levels(self) -> int:
        """Return the number of grey levels; 2π of phase is nominally `levels` steps."""

    @property
    @abstractmethod
    def pitch_m(self) -> float:
        """Return the distance between the centres of neighbouring pixels in m."""

    @property
    @abstractmethod
    def frame_period_s(self) -> float:
        """Return the shortest time between two patterns in s."""

    @property
    @abstractmethod
    def settle_s(self) -> float:
        """Return the data sheet's time from a new pattern to settled light in s."""

    @property
    def latency_s(self) -> tuple[float, float]:
        """Return the data sheet's least and most time in s from a call that shows a pattern to light that changes.

        Counted from the end of `write`, and from the end of `start` for the first pattern of a sequence that the
        instrument plays by itself; the pulse on the trigger output marks the change.
        """
        return 0.0, 0.0

    @property
    def dtype(self) -> np.dtype[np.number]:
        """Return the type of a pattern as the hardware takes it; a float type means: not quantised."""
        return np.dtype(np.uint8 if self.levels <= 256 else np.uint16)

    @property
    def max_sequence(self) -> int:
        """Return how many patterns the instrument holds on board; 0 where it cannot play sequences."""
        return 0

    @property
    def triggers(self) -> frozenset[Trigger]:
        """Return what can advance an on-board sequence."""
        return frozenset()

    # What a user calls

    @final
    def write(self, levels: Pattern) -> Setpoint:
        """Show one pattern; returns once the instrument has it, before the light has settled.

        Args:
            levels: Grey levels, shape `(h, w)`; numbers between two levels are rounded to the nearest.

        Returns:
            The setpoint; `realised` holds the levels that are shown.

        Raises:
            SetpointError: Wrong shape, or a level outside the limits; nothing was sent.
        """
        self._require_free(SpatialLightModulator)
        self._check(levels, levels.shape)
        realised = self._realise(levels)
        setpoint = Setpoint(self._next_tokens(1), levels, realised, self.clock.now_s())
        self._call(self._write, realised)
        return setpoint

    @final
    def arm_sequence(self, levels: Pattern, *, trigger: Trigger, period_s: float) -> Setpoint:
        """Load patterns on board; `start` plays them, one a step, and each gives a pulse on the trigger output.

        Args:
            levels: Grey levels, shape `(n, h, w)`.
            trigger: What advances from one pattern to the next.
            period_s: Time from one pattern to the next with `Trigger.INTERNAL`, in s.

        Returns:
            The setpoint, with one token a pattern.

        Raises:
            SetpointError: Wrong shape, too fast, or a level outside the limits; nothing was sent.
            AbilityError: The instrument has no room or no such trigger.
        """
        self._require_free(SpatialLightModulator)
        self._require_trigger(trigger, self.triggers)
        if levels.ndim != 3:
            raise SetpointError(
                f"{self.name}: a sequence has shape {levels.shape}, expected (n, {self.shape[0]}, {self.shape[1]}); "
                "nothing was sent"
            )
        if len(levels) > self.max_sequence:
            raise AbilityError(
                f"{self.name}: a sequence of {len(levels)} patterns is asked for, "
                f"the instrument holds {self.max_sequence}"
            )
        # a clock's sum of periods rounds in the last bits
        if trigger is Trigger.INTERNAL and not self.frame_period_s * (1 - 1e-9) <= period_s < np.inf:
            raise SetpointError(
                f"{self.name}: a pattern every {period_s:g} s is asked for, "
                f"allowed is {self.frame_period_s:g} s or longer, but finite; nothing was sent"
            )
        self._check(levels, levels.shape[1:])
        realised = self._realise(levels)
        setpoint = Setpoint(self._next_tokens(len(levels)), levels, realised, self.clock.now_s())
        self._arm(SpatialLightModulator, self._arm_sequence, realised, trigger, period_s)
        return setpoint

    def _check(self, levels: Pattern, shape: tuple[int, ...]) -> None:
        if shape != self.shape or levels.size == 0:
            raise SetpointError(
                f"{self.name}: pattern has shape {levels.shape}, expected {self.shape} or a sequence of it; "
                "nothing was sent"
            )
        self.limits("level").check(levels, who=f"{self.name}: level", unit="")

    # Hooks of a driver

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"level": Limits(0, self.levels - 1)}

    def _realise(self, levels: Pattern) -> Pattern:
        """Return the levels that the hardware makes of legal ones, in its own `dtype`."""
        if levels.dtype == self.dtype:
            return levels
        if np.issubdtype(self.dtype, np.integer):
            levels = np.rint(levels)
        return levels.astype(self.dtype)

    @abstractmethod
    def _write(self, levels: Pattern) -> None:
        """Show a pattern of shape `(h, w)` and type `dtype`."""

    def _arm_sequence(self, levels: Pattern, trigger: Trigger, period_s: float) -> None:
        """Load patterns of shape `(n, h, w)` and type `dtype` and be ready for `_start`."""
        raise self._unable("play sequences")
