"""What goes wrong with the readings of a simulated sensor, and what it tells of them."""

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import DeviceOptions
from pnnlab.quantities import FrozenModel, Seconds

__all__ = ["GOOD", "Fate", "ReadingFaults", "SensorOptions"]

Floats = npt.NDArray[np.float64]
Probability = Annotated[float, Field(ge=0, le=1)]


class ReadingFaults(FrozenModel):
    """How often the readings of a simulated sensor go wrong, as probabilities for each reading.

    Attributes:
        miss: Its trigger is not seen: nothing is taken, and the counter does not count it.
        late: Its trigger is answered late.
        late_by_s: Least and most time of that, evenly spread.
        spurious: A trigger too many since the one before, or since the start of the run: it starts a reading like any
            other, and takes the place of the last one of the run.
        drop: It is counted, and lost on its way.
        repeat: It comes twice.
        swap: It comes after the next one; the last one of a run cannot.
        incomplete: Its second half does not arrive and reads zero.
        stall: It, and so what follows it, comes later.
        stall_by_s: By how much.
    """

    miss: Probability = 0.0
    late: Probability = 0.0
    late_by_s: tuple[Seconds, Seconds] = (0.0, 1e-3)
    spurious: Probability = 0.0
    drop: Probability = 0.0
    repeat: Probability = 0.0
    swap: Probability = 0.0
    incomplete: Probability = 0.0
    stall: Probability = 0.0
    stall_by_s: Seconds = Field(default=0.1, ge=0)

    @property
    def never(self) -> bool:
        """Return whether nothing goes wrong."""
        kinds = (self.miss, self.late, self.spurious, self.drop, self.repeat, self.swap, self.incomplete, self.stall)
        return not any(kinds)

    def edges(self, edge_s: float, before_s: float, noise: np.random.Generator) -> list[float]:
        """Return when readings are started by an edge on the trigger line, and by what is taken for one.

        Args:
            edge_s: When it comes.
            before_s: When the one before came, or the run was started.
            noise: Where chance comes from; faults that are off draw nothing.
        """
        starts_s = []
        if _happens(self.spurious, noise):
            starts_s.append(float(noise.uniform(before_s, edge_s)))
        if not _happens(self.miss, noise):
            late_s = float(noise.uniform(*self.late_by_s)) if _happens(self.late, noise) else 0.0
            starts_s.append(edge_s + late_s)
        return starts_s

    def fate(self, stamp_error_s: float, noise: np.random.Generator) -> "Fate":
        """Return what becomes of a reading whose stamp may be off by so much."""
        fate = Fate(
            dropped=_happens(self.drop, noise), copies=1 + _happens(self.repeat, noise),
            swapped=_happens(self.swap, noise), intact=not _happens(self.incomplete, noise),
            stamp_off_s=float(noise.uniform(-stamp_error_s, stamp_error_s)) if stamp_error_s else 0.0,
            stalled_s=self.stall_by_s if _happens(self.stall, noise) else 0.0,
        )  # fmt: skip
        return GOOD if fate == GOOD else fate


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a reading."""

    dropped: bool = False
    copies: int = 1
    swapped: bool = False
    intact: bool = True
    stamp_off_s: float = 0.0
    stalled_s: float = 0.0


GOOD: Final = Fate()


class SensorOptions(DeviceOptions):
    """The options that say what a simulated sensor tells of its readings, and how often they go wrong.

    Attributes:
        counts: Whether readings are numbered.
        counter_modulus: The counter returns to zero after this many readings.
        restarts_counter: Whether each run begins with number 0; otherwise numbers run on.
        stamps: Whether readings have time stamps.
        stamp_error_s: Largest error of a time stamp; errors are drawn evenly up to there.
        faults: What goes wrong.
    """

    counts: bool = True
    counter_modulus: int = Field(default=65536, ge=2)
    restarts_counter: bool = False
    stamps: bool = True
    stamp_error_s: Seconds = Field(default=0.0, ge=0)
    faults: ReadingFaults = ReadingFaults()


def _happens(probability: float, noise: np.random.Generator) -> bool:
    """Return whether chance has it; where it cannot, nothing is drawn."""
    return probability > 0 and float(noise.random()) < probability
