"""A scattering medium that is not the same an hour later."""

import math
from typing import Final

import torch

from pnnlab.physics import PhaseScreens, TransmissionMatrix

__all__ = ["AgingMedium"]

_STEP: Final = 2e-4
"""The medium is worked out anew once it has aged by this part of its decorrelation time; the field moves by no more
than the root of twice that, 2 %, at once."""


class AgingMedium:
    """A medium whose field decorrelates: its correlation with the field of the beginning is exp(-age · rate).

    The exponential loss of correlation by which a slowly changing scatterer is usually described. Every age has one
    medium, on the way to a second specimen, so the same bench time gives the same light again.

    Args:
        medium: At the beginning.
        rate_hz: One over the decorrelation time; 0 for a medium that stays.
        begin_s: Bench time at which it is fresh.
        generator: Source of what it turns into.
    """

    def __init__(
        self, medium: TransmissionMatrix | PhaseScreens, rate_hz: float, begin_s: float, generator: torch.Generator
    ) -> None:
        self._fresh = self._now = medium
        self._rate_hz, self._begin_s = rate_hz, begin_s
        self._other = medium.perturbed(1.0, generator) if rate_hz else medium
        self._step = 0

    def at(self, time_s: float) -> TransmissionMatrix | PhaseScreens:
        """Return the medium of a bench time; one that was returned before is never changed."""
        step = int((time_s - self._begin_s) * self._rate_hz / _STEP)
        if step != self._step:
            strength = math.sqrt(-math.expm1(-2 * step * _STEP))
            fresh, other = self._fresh, self._other
            # the two are of one type, which the type checker cannot know
            self._now = fresh.mixed(other, strength)  # type: ignore[arg-type]
            self._step = step
        return self._now
