"""Which step a reading belongs to where one trigger has started all readings of a run."""

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Stamps
from pnnlab.systems._pairing import Pairs

__all__ = ["ChainedRun", "Pairing"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_GRAIN_S: Final = 1e-9
"""Rounding of times in double precision, far below any device's clock."""


class Pairing(Protocol):
    """Readings of a run as they come, and the steps that they are proven to belong to."""

    def add(self, stamps: Stamps) -> None:
        """Take the stamps of readings that came."""
        ...

    def decide(self, *, final: bool) -> Pairs:
        """Return the pairs that are certain by now and were not returned before; `final` if no more readings come."""
        ...

    def fault(self) -> str:
        """Return what is wrong with the readings that belong to no step."""
        ...


class ChainedRun:
    """The readings of a run that one trigger has started: reading k began k periods after it.

    No trigger can be missed, late or one too many within the run, so a reading's number is the number of its step.
    Where there are stamps, too, they must agree: taken back by its number of periods, a reading's stamp is a moment at
    which the run may have begun. Without numbers readings are counted, and only a complete run counts.

    Mutable: `add` takes readings as they come.

    Args:
        n: Number of steps.
        period_s: From step to step.
        begun_s: Earliest and latest bench time at which the run began.
        first: The number of the first reading; `None` where readings have none, or it is not known.
        modulus: Numbers return to zero after so many.
        error_s: By how much a time stamp may be off; `None` where there are none.
        tolerance_s: How late the whole run may be.
    """

    def __init__(
        self, n: int, *, period_s: float, begun_s: tuple[float, float], first: int | None, modulus: int | None,
        error_s: float | None, tolerance_s: float,
    ) -> None:  # fmt: skip
        self._n, self._period_s, self._begun_s = n, period_s, begun_s
        self._first = first if modulus is not None and n <= modulus else None
        self._modulus, self._error_s, self._tolerance_s = modulus or 1, error_s, tolerance_s
        self._came = 0
        self._intact: list[Flags] = []
        self._paired: Flags = np.zeros(n, bool)
        self._faults: dict[str, int] = {}

    def add(self, stamps: Stamps) -> None:
        """See `Pairing.add`."""
        self._new = stamps
        self._came += stamps.count
        self._intact.append(np.ones(stamps.count, bool) if stamps.intact is None else stamps.intact)

    def decide(self, *, final: bool) -> Pairs:
        """See `Pairing.decide`; to be called once after each `add`."""
        stamps, intact = self._new, self._intact[-1]
        self._note("incomplete", int((~intact).sum()))
        if self._first is None or stamps.counters is None:
            return self._counted(final=final)
        steps = np.asarray((stamps.counters - self._first) % self._modulus, np.int64)
        ours = steps < self._n
        self._note("from another run", int((~ours).sum()))
        punctual = self._is_punctual(stamps, steps)
        self._note("of a run that began too early or too late", int((ours & ~punctual).sum()))
        readings = np.flatnonzero(intact & ours & punctual)
        _, first = np.unique(steps[readings], return_index=True)
        once = readings[np.sort(first)]
        once = once[~self._paired[steps[once]]]
        self._note("repeated", len(readings) - len(once))
        self._paired[steps[once]] = True
        return Pairs(once + self._came - stamps.count, steps[once])

    def fault(self) -> str:
        """See `Pairing.fault`."""
        faults = [f"{count} {what}" for what, count in self._faults.items() if count]
        if self._came < self._n:
            faults.insert(0, f"{self._n - self._came} of {self._n} never came")
        return ", ".join(faults) or "readings have numbers that fit no step"

    def _is_punctual(self, stamps: Stamps, steps: Ints) -> Flags:
        """Return which readings began when their step may have begun."""
        if stamps.start_s is None or self._error_s is None:
            return np.ones(stamps.count, bool)
        error_s, (earliest_s, latest_s) = self._error_s + _GRAIN_S, self._begun_s
        begun_s = stamps.start_s - steps * self._period_s
        early, late = begun_s < earliest_s - error_s, begun_s > latest_s + self._tolerance_s + error_s
        return np.asarray(~(early | late))

    def _counted(self, *, final: bool) -> Pairs:
        """Pair by count: all readings of a complete run, or none."""
        intact = np.concatenate(self._intact)
        if final and len(intact) == self._n and bool(intact.all()):
            return Pairs(np.arange(self._n), np.arange(self._n))
        if final:
            self._note("of a run with gaps and without numbers", int(intact.sum()))
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64))

    def _note(self, what: str, count: int) -> None:
        self._faults[what] = self._faults.get(what, 0) + count
