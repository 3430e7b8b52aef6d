"""The record of what every frame integrated: the truth, which no device tells."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab_drivers.sim._panel import Schedule

__all__ = ["UNNUMBERED", "Exposure", "ExposureLog"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

UNNUMBERED: Final = -1
"""The token of what is on a panel without being a setpoint: its rest before the first one, and the safe blank."""
_EXPOSURES: Final = 100_000
_PENDING: Final = 4096
"""Exposures that are kept as arrays until somebody asks, or frames are handed out while there are more of them."""
_UNREAD: Final = 16 * _PENDING
"""As many of which no frame was ever handed out."""
_EPS_S: Final = 1e-9
"""Shares of an exposure below this are rounding of the clock."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one frame integrated.

    Attributes:
        number: Unique on the table and growing; `PanelTable.deliveries` speaks of it.
        camera: Whose frame it is.
        counter: What the camera's counter showed, modulo its modulus, whether it tells or not.
        start_s: When the sensor began to collect.
        end_s: When it ended.
        tokens: Setpoints of the panel that were on it meanwhile, in their order, each with the seconds it was there;
            -1 for what is no setpoint.
        unsettled_rad: Largest distance of a pixel's phase from its target at the start.
    """

    number: int
    camera: str
    counter: int
    start_s: float
    end_s: float
    tokens: tuple[tuple[int, float], ...]
    unsettled_rad: float


@dataclass(frozen=True, slots=True)
class _Changes:
    """Patterns that came onto the panel: when, which, and how far each pixel was from it at the most."""

    times_s: FloatArray
    tokens: IntArray
    reach_rad: FloatArray

    @classmethod
    def join(cls, parts: "Sequence[_Changes]") -> "_Changes":
        columns = zip(*((part.times_s, part.tokens, part.reach_rad) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def before(self, time_s: float) -> "_Changes":
        n = int(np.searchsorted(self.times_s, time_s - _EPS_S))
        return _Changes(self.times_s[:n], self.tokens[:n], self.reach_rad[:n])


@dataclass(frozen=True, slots=True)
class _Block:
    """Exposures of one camera that nobody has looked at yet."""

    camera: str
    numbers: IntArray
    counters: IntArray
    starts_s: FloatArray
    duration_s: float

    def __getitem__(self, mask: npt.NDArray[np.bool_]) -> "_Block":
        return _Block(self.camera, self.numbers[mask], self.counters[mask], self.starts_s[mask], self.duration_s)


class ExposureLog:
    """Exposures of all cameras of a table, and the order in which their frames were handed out.

    A run costs a few arrays; `Exposure` objects are made when somebody asks for them.

    Mutable: the panel tells of its changes (`show`), cameras of exposures (`add`, `withdraw`) and frames (`deliver`).

    Args:
        look: Called before exposures are looked into, to be told of the last changes.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self.deliveries: deque[int] = deque(maxlen=_EXPOSURES)
        self._exposures: deque[Exposure] = deque(maxlen=_EXPOSURES)
        self._changes: list[_Changes] = []
        self._pending: list[_Block] = []
        self._n_pending = 0
        self._next = 0
        self._tau_s = 1.0

    def reset_panel(self, tau_s: float) -> None:
        """Forget what was on the panel; it relaxes with the time constant `tau_s`."""
        self._changes.clear()
        self._tau_s = tau_s

    def show(self, schedule: Schedule, *, now_s: float) -> None:
        """Take note of patterns; they replace all that were to come at the first one's time or later."""
        if len(self._changes) > _EXPOSURES:
            self._resolve(now_s)
        times_s = schedule.changes_s
        while self._changes and self._changes[-1].times_s[0] >= times_s[0] - _EPS_S:
            self._changes.pop()
        if self._changes:
            self._changes[-1] = self._changes[-1].before(float(times_s[0]))
        self._changes.append(_Changes(times_s, schedule.tokens, schedule.reach_rad))

    def add(
        self, camera: str, *, starts_s: FloatArray, duration_s: float, counters: IntArray, now_s: float
    ) -> IntArray:
        """Take note of exposures that have begun or will begin; return their numbers."""
        numbers = np.arange(self._next, self._next + len(starts_s))
        self._next += len(starts_s)
        self._pending.append(_Block(camera, numbers, counters, starts_s, duration_s))
        self._n_pending += len(starts_s)
        if self._n_pending > _UNREAD:
            self._resolve(now_s)
        return numbers

    def withdraw(self, camera: str, numbers: IntArray) -> None:
        """Strike out exposures that did not happen after all: what should have started them was called off."""
        for k, block in enumerate(self._pending):
            if block.camera == camera:
                self._pending[k] = block[~np.isin(block.numbers, numbers)]
        self._n_pending = sum(len(block.numbers) for block in self._pending)

    def deliver(self, numbers: Sequence[int], *, now_s: float) -> None:
        """Take note of frames that were handed out.

        A read is when looking into thousands of exposures disturbs nothing; the start of a run, which `add` belongs to,
        has to be over within part of a shot.
        """
        self.deliveries.extend(numbers)
        if self._n_pending > _PENDING:
            self._resolve(now_s)

    def exposures(self, now_s: float) -> deque[Exposure]:
        """Return the exposures that have ended, in the order in which they began; at most the last 100 000."""
        self._resolve(now_s)
        return self._exposures

    def _resolve(self, now_s: float) -> None:
        self._look()
        due: list[_Block] = []
        later: list[_Block] = []
        for block in self._pending:
            ended = block.starts_s + block.duration_s <= now_s + _EPS_S
            due.append(block[ended])
            if not ended.all():
                later.append(block[~ended])
        self._pending, self._n_pending = later, sum(len(block.numbers) for block in later)
        if self._changes:
            changes = _Changes.join(self._changes)
            found = [exposure for block in due for exposure in self._truth(block, changes)]
            found.sort(key=lambda exposure: exposure.start_s)
            self._exposures.extend(found)
        self._forget(min([now_s, *(float(block.starts_s[0]) for block in later)]))

    def _truth(self, block: _Block, changes: _Changes) -> list[Exposure]:
        times_s, tokens, reach_rad = changes.times_s, changes.tokens, changes.reach_rad
        starts_s, ends_s = block.starts_s, block.starts_s + block.duration_s
        first = np.searchsorted(times_s, starts_s + _EPS_S, side="right").clip(1) - 1
        last = np.searchsorted(times_s, ends_s - _EPS_S, side="left").clip(1) - 1
        age_s = (starts_s - times_s[first]).clip(0)
        unsettled_rad = reach_rad[first] * np.exp(-age_s / self._tau_s)
        shares: list[tuple[tuple[int, float], ...]] = [((token, block.duration_s),) for token in tokens[first].tolist()]
        for k in np.flatnonzero(last > first).tolist():
            shown = slice(int(first[k]), int(last[k]) + 1)
            edges_s = [float(starts_s[k]), *times_s[shown][1:].tolist(), float(ends_s[k])]
            shares[k] = tuple(zip(tokens[shown].tolist(), np.diff(edges_s).tolist(), strict=True))
        columns = (block.numbers, block.counters, starts_s, ends_s, unsettled_rad)
        rows = zip(*(column.tolist() for column in columns), shares, strict=True)
        return [
            Exposure(number, block.camera, counter, start_s, end_s, share, unsettled)
            for number, counter, start_s, end_s, unsettled, share in rows
        ]

    def _forget(self, before_s: float) -> None:
        """Drop changes that no exposure to come can see; the one before is still on the panel."""
        starts_s = [float(change.times_s[0]) for change in self._changes]
        kept = int(np.searchsorted(starts_s, before_s, side="right")) - 1
        if kept > 0:
            del self._changes[:kept]
