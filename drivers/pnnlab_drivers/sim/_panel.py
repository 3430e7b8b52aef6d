"""The phase of a liquid-crystal panel as it follows its patterns."""

import bisect
import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.errors import AcquisitionError, DeviceError

__all__ = ["PanelMotion", "Schedule"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SMALL_RESIDUE_RAD: Final = 0.05
"""Below this the light during an exposure is linear in the unsettled phase: the error of one node is its square."""
_SETTLED: Final = 14
"""Time constants after which a pixel has settled: 2 pi exp(-14) are 5e-6 rad."""
_KEPT_BYTES: Final = 2**27
"""Memory for patterns of the past, for exposures that began before the last ones."""
_EPS_S: Final = 1e-9
"""Times closer than this are one: rounding of a clock that has run for months."""


@dataclass(frozen=True)
class Schedule:
    """Patterns on the panel, one every `period_s` from `start_s` on, until the next schedule starts.

    Attributes:
        start_s: When the first pattern appears.
        period_s: From one to the next; 0 where there is only one.
        handed_s: When the instrument was given the first one.
        targets: Phase that each pixel goes to in rad, shape `(n, h, w)`.
        residues: How far each is from it when the pattern appears in rad, shape `(n, h, w)`.
        tokens: Setpoint of each pattern, shape `(n,)`.
        forgotten: Patterns before the first one above, of a schedule that was saved and restored.
        reach_rad: The largest residue of each pattern, shape `(n,)`.
    """

    start_s: float
    period_s: float
    handed_s: float
    targets: Tensor
    residues: Tensor
    tokens: IntArray
    forgotten: int = 0
    reach_rad: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        flat = self.residues.flatten(1)
        reach = torch.maximum(flat.amax(1), -flat.amin(1))
        object.__setattr__(self, "reach_rad", reach.cpu().numpy().astype(np.float64))

    @property
    def last(self) -> int:
        """Return the number of the last pattern."""
        return self.forgotten + len(self.targets) - 1

    @property
    def changes_s(self) -> FloatArray:
        """Return when each pattern appears, shape `(n,)`."""
        return np.asarray(self.start_s + self.period_s * np.arange(self.forgotten, self.last + 1), np.float64)

    @property
    def n_bytes(self) -> int:
        """Return the memory it takes."""
        return 2 * self.targets.numel() * self.targets.element_size()

    def steps_at(self, times_s: FloatArray) -> IntArray:
        """Return the number of the pattern on the panel at each time; one on the edge belongs to the next pattern."""
        if not self.period_s:
            return np.zeros(len(times_s), np.int64)
        steps = np.floor((times_s - self.start_s) / self.period_s + 1e-9)
        return np.clip(steps, 0, self.last).astype(np.int64)

    def from_step(self, step: int) -> "Schedule":
        """Return what is left of it from one pattern on."""
        cut = max(step - self.forgotten, 0)
        return Schedule(
            self.start_s, self.period_s, self.handed_s, self.targets[cut:], self.residues[cut:], self.tokens[cut:],
            forgotten=self.forgotten + cut,
        )  # fmt: skip


class PanelMotion:
    """Each pixel relaxes exponentially towards the present pattern; a schedule may lie in the future.

    Mutable: `show` adds to it, `restore` replaces it.

    Args:
        name: Whose panel, for messages.
        rest: Phase before the first pattern in rad, shape `(1, h, w)`.
        settling_s: Time constant of the liquid crystal in s; 0 for one that jumps.
        rest_token: What stands for `rest`.
        kept_bytes: Memory for the past; the last two schedules are always kept.
    """

    def __init__(
        self, name: str, rest: Tensor, settling_s: float, *, rest_token: int, kept_bytes: int = _KEPT_BYTES
    ) -> None:
        self._name = name
        self.tau_s = settling_s or 1e-12
        self._settling_s = settling_s
        self._dtype, self._torch_device = rest.dtype, rest.device
        self._kept_bytes = kept_bytes
        self._schedules: list[Schedule] = []
        self._starts_s: list[float] = []
        self._bytes = 0
        self.version = 0
        tokens = np.array([rest_token])
        self._append(Schedule(-math.inf, 0.0, -math.inf, rest, torch.zeros_like(rest), tokens))

    @property
    def latest(self) -> Schedule:
        """Return the last schedule that was shown."""
        return self._schedules[-1]

    @property
    def last_change_s(self) -> float:
        """Return when the last pattern appeared or will appear; -inf where none was shown."""
        return self.latest.start_s + self.latest.last * self.latest.period_s

    @property
    def last_handed_s(self) -> float:
        """Return when the instrument was given the last pattern, or took it from its memory; -inf where none was."""
        return self.latest.handed_s + self.latest.last * self.latest.period_s

    def show(
        self, targets: Tensor, *, start_s: float, period_s: float, handed_s: float, tokens: IntArray
    ) -> Schedule:  # fmt: skip
        """Show patterns; they replace those of the last schedule that have not appeared by `start_s`."""
        if start_s < self._starts_s[-1]:
            raise DeviceError(
                f"{self._name}: a pattern at {start_s:g} s is to be shown before one that was given earlier, at "
                f"{self._starts_s[-1]:g} s; show patterns in the order of time"
            )
        period_s = period_s if len(targets) > 1 else 0.0
        appear = self._follow(targets, self.phase_at(start_s), math.exp(-period_s / self.tau_s))
        schedule = Schedule(start_s, period_s, handed_s, targets, appear.sub_(targets), tokens)
        self._append(schedule)
        return schedule

    def phase_at(self, time_s: float) -> Tensor:
        """Return the phase at one time in rad, shape `(h, w)`."""
        which = bisect.bisect_right(self._starts_s, time_s) - 1
        if which < 0:
            raise self._forgotten(time_s)
        schedule = self._schedules[which]
        step = 0
        if schedule.period_s:
            step = min(int((time_s - schedule.start_s) / schedule.period_s), schedule.last)
        age_s = time_s - schedule.start_s - step * schedule.period_s
        decay = math.exp(-age_s / self.tau_s) if math.isfinite(age_s) else 0.0
        index = max(step - schedule.forgotten, 0)
        return torch.add(schedule.targets[index], schedule.residues[index], alpha=decay)

    def mean_phases(self, starts_s: FloatArray, duration_s: float) -> tuple[IntArray, Tensor]:
        """Return the mean phases of those exposures whose light is that of the mean phase.

        These are the exposures of one pattern that is nearly settled.

        Args:
            starts_s: When each begins, shape `(n,)`.
            duration_s: How long it lasts.

        Returns:
            Which ones they are, shape `(m,)`, and their phases in rad, shape `(m, h, w)`.
        """
        owners = np.searchsorted(self._starts_s, starts_s + _EPS_S, side="right") - 1
        if len(owners) and owners.min() < 0:
            raise self._forgotten(float(starts_s.min()))
        where: list[IntArray] = []
        phases: list[Tensor] = []
        for owner in np.unique(owners).tolist():
            picked = np.flatnonzero(owners == owner)
            until_s = self._starts_s[owner + 1] if owner + 1 < len(self._starts_s) else math.inf
            still, phase = self._still(self._schedules[owner], starts_s[picked], duration_s, until_s)
            where.append(picked[still])
            phases.append(phase)
        if len(where) == 1:
            return where[0], phases[0]
        none = self.latest.targets[:0]
        return np.concatenate([np.zeros(0, np.int64), *where]), torch.cat([none, *phases])

    def edges(self, start_s: float, end_s: float) -> list[float]:
        """Return the times that cut an exposure into pieces in which the phase turns by radians at the most."""
        edges = {start_s, end_s}
        memory_s = _SETTLED * self.tau_s
        first = max(bisect.bisect_right(self._starts_s, start_s - memory_s) - 1, 0)
        for which in range(first, bisect.bisect_left(self._starts_s, end_s)):
            schedule = self._schedules[which]
            if not math.isfinite(schedule.start_s):
                continue
            # after a change the phase turns by radians, a time constant later by a third of them
            seen = slice(*np.searchsorted(schedule.changes_s, [start_s - memory_s, end_s]).tolist())
            marks = np.add.outer(schedule.changes_s[seen], self._settling_s * np.arange(_SETTLED + 1)).ravel()
            edges.update(marks[(marks > start_s) & (marks < end_s)].tolist())
        return sorted(edges)

    # Saving

    def state(self, now_s: float) -> list[dict[str, object]]:
        """Return what the phase depends on from now on."""
        first = max(bisect.bisect_right(self._starts_s, now_s) - 1, 0)
        kept = list(self._schedules[first:])
        kept[0] = kept[0].from_step(int(kept[0].steps_at(np.array([now_s]))[0]))
        return [
            {
                "start_s": s.start_s, "period_s": s.period_s, "handed_s": s.handed_s, "forgotten": s.forgotten,
                "targets": s.targets.clone(), "residues": s.residues.clone(), "tokens": torch.as_tensor(s.tokens),
            }
            for s in kept
        ]  # fmt: skip

    def restore(self, saved: list[dict[str, Any]]) -> None:
        """Go back to what `state` returned."""
        self._schedules, self._starts_s, self._bytes = [], [], 0
        for entry in saved:
            targets, residues = (entry[key].to(self._torch_device, self._dtype) for key in ("targets", "residues"))
            times = entry["start_s"], entry["period_s"], entry["handed_s"]
            self._append(Schedule(*times, targets, residues, entry["tokens"].numpy(), forgotten=entry["forgotten"]))

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Return all that is known, in the order of time."""
        return tuple(self._schedules)

    # Inside

    def _append(self, schedule: Schedule) -> None:
        self._schedules.append(schedule)
        self._starts_s.append(schedule.start_s)
        self._bytes += schedule.n_bytes
        self.version += 1
        old = 0
        while self._bytes > self._kept_bytes and len(self._schedules) - old > 2:
            self._bytes -= self._schedules[old].n_bytes
            old += 1
        del self._schedules[:old], self._starts_s[:old]

    def _forgotten(self, time_s: float) -> AcquisitionError:
        return AcquisitionError(
            f"{self._name}: the panel's state at {time_s:g} s is no longer known; read frames sooner"
        )

    def _follow(self, targets: Tensor, start: Tensor, decay: float) -> Tensor:
        """Return the phase when each pattern appears, a: a_0 = start, a_{k+1} = target_k + (a_k - target_k) decay."""
        appear = torch.empty_like(targets)
        appear[0] = start
        torch.mul(targets[:-1], 1 - decay, out=appear[1:])
        # the sum over all earlier patterns, 1, 2, 4 … of them at a time, until what is left is below rounding
        stride = 1
        while stride < len(targets) and (factor := decay**stride) > torch.finfo(targets.dtype).eps / 10:
            appear[stride:] += factor * appear[:-stride]
            stride *= 2
        return appear

    def _still(
        self, schedule: Schedule, starts_s: FloatArray, duration_s: float, until_s: float
    ) -> tuple[npt.NDArray[np.bool_], Tensor]:
        """Return which exposures see one nearly settled pattern of a schedule that lasts `until_s`, and the phases."""
        steps = schedule.steps_at(starts_s)
        age_s = starts_s - schedule.start_s - steps * schedule.period_s
        index = np.maximum(steps - schedule.forgotten, 0)
        decay = np.exp(-age_s.clip(0) / self.tau_s)
        still = (steps >= schedule.forgotten) & (starts_s + duration_s <= until_s + _EPS_S)
        still &= (steps == schedule.last) | (age_s + duration_s <= schedule.period_s * (1 + 1e-9))
        still &= schedule.reach_rad[index] * decay <= _SMALL_RESIDUE_RAD
        index, decay = index[still], decay[still]
        # the mean of exp(-t / tau) over the exposure
        weight = decay * (-math.expm1(-duration_s / self.tau_s) * self.tau_s / duration_s)
        targets = _pick(schedule.targets, index)
        if (schedule.reach_rad[index] * weight <= torch.finfo(self._dtype).eps).all():
            return still, targets
        share = torch.as_tensor(weight, dtype=self._dtype, device=self._torch_device)[:, None, None]
        return still, torch.addcmul(targets, _pick(schedule.residues, index), share)


def _pick(x: Tensor, index: IntArray) -> Tensor:
    """Return entries of `x`, without a copy where they are neighbours."""
    if len(index) and (np.diff(index) == 1).all():
        return x[int(index[0]) : int(index[-1]) + 1]
    return x[torch.as_tensor(index, device=x.device)]
