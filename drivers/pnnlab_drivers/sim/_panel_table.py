"""A laser, a panel that shapes its phase, optics behind it and a sensor plane."""

import itertools
import threading
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.devices import Clock, Device
from pnnlab.errors import DeviceError
from pnnlab.physics import PhaseModulator
from pnnlab_drivers.sim._exposures import UNNUMBERED, Exposure, ExposureLog
from pnnlab_drivers.sim._panel import PanelMotion
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant, plant_of

__all__ = ["PanelTable", "PulseInput", "table_of"]

FloatArray = npt.NDArray[np.float64]

_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
"""Gauss-Legendre nodes of a piece of an exposure; a piece lasts a time constant of the liquid crystal at the most."""


class PulseInput(Protocol):
    """A trigger input on the panel's trigger output."""

    def pulse(self, times_s: FloatArray, now_s: float) -> None:
        """Take pulses, ascending, some or all of them still to come."""
        ...

    def cut(self, time_s: float) -> None:
        """Forget the pulses at this time and later: the patterns that give them will not be shown."""
        ...


@dataclass(frozen=True, slots=True)
class _Shown:
    """Patterns that nobody has looked at yet."""

    levels: npt.NDArray[np.number]
    start_s: float
    period_s: float
    handed_s: float
    tokens: npt.NDArray[np.int64]


class PanelTable(SimPlant, ABC):
    """The light path of `sim-slm` and `sim-camera`; what lies between them is told by the tables that derive from it.

    The liquid crystal relaxes exponentially towards each new pattern, and an exposure integrates the light of the phase
    as it changes, so a frame that is taken too early is a mixture, as on a real table. What each frame really
    integrated is on record (`exposures`); no device tells it.
    """

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self.lock = threading.RLock()  # outputs are made safe from another thread
        self.log = ExposureLog(self._work_out)
        self.version = 0
        self._panel: PhaseModulator | None = None
        self._motion: PanelMotion | None = None
        self._levels = 1
        self._shown: _Shown | None = None
        self._inputs: list[PulseInput] = []

    # For the panel

    def attach_panel(self, panel: PhaseModulator, *, levels: int, pitch_m: float, settling_s: float) -> None:
        """Put a panel into the beam; its phase at the start is that of level 0.

        Args:
            panel: What the pixels do to light.
            levels: Grey levels over its full scale.
            pitch_m: Distance of its pixels in m.
            settling_s: Time constant of the liquid crystal in s.
        """
        with self.lock, torch.no_grad():
            self.log.exposures(self.clock.now_s())
            self._fit(panel.shape, pitch_m)
            self._panel, self._levels = panel, levels
            rest = panel.phase(torch.zeros(1, *panel.shape, dtype=self.dtype, device=self.torch_device))
            self._motion = PanelMotion(self.name, rest, settling_s, rest_token=UNNUMBERED)
            self._shown = None
            self.version += 1
            self._tell_log_again()

    def show(
        self, levels: npt.NDArray[np.number], *, start_s: float, period_s: float = 0.0, handed_s: float | None = None,
        tokens: range | None = None,
    ) -> None:  # fmt: skip
        """Show patterns, one every `period_s`; each gives a pulse.

        They replace those patterns shown before that would appear at `start_s` or later.

        Args:
            levels: Grey levels, shape `(n, h, w)`; the caller must not change them afterwards.
            start_s: When the first appears; not before the first one of those that were shown before.
            period_s: From one to the next.
            handed_s: When the instrument was given them; `start_s` if not given.
            tokens: Their setpoints; none if not given.
        """
        self._attached()
        numbers = np.full(len(levels), UNNUMBERED) if tokens is None else np.array(tokens)
        pulses = np.asarray(start_s + period_s * np.arange(len(levels)), np.float64)
        with self.lock:
            self._work_out()
            called_off = self.last_change_s >= start_s
            self._shown = _Shown(levels, start_s, period_s, start_s if handed_s is None else handed_s, numbers)
            self.version += 1
            for trigger_input in tuple(self._inputs):
                if called_off:
                    trigger_input.cut(start_s)
                trigger_input.pulse(pulses, self.clock.now_s())

    @property
    def scheduled_s(self) -> float:
        """Return when the first of the patterns that were shown last appeared or will appear; -inf where none was."""
        return self._moving().latest.start_s if self._shown is None else self._shown.start_s

    @property
    def last_change_s(self) -> float:
        """Return when the last pattern appeared or will appear; -inf where none was shown."""
        shown = self._shown
        if shown is None:
            return self._moving().last_change_s
        return shown.start_s + (len(shown.levels) - 1) * shown.period_s

    @property
    def last_handed_s(self) -> float:
        """Return when the instrument was given the last pattern, or took it from its memory; -inf where none was."""
        shown = self._shown
        if shown is None:
            return self._moving().last_handed_s
        return shown.handed_s + (len(shown.levels) - 1) * shown.period_s

    # For the sensor

    def listen(self, trigger_input: PulseInput) -> None:
        """Wire a trigger input to the panel's trigger output."""
        with self.lock:
            self._inputs.append(trigger_input)

    def unlisten(self, trigger_input: PulseInput) -> None:
        """Undo `listen`."""
        with self.lock:
            self._inputs.remove(trigger_input)

    def expose(self, start_s: FloatArray, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Return the mean number of photons on each sensor pixel during exposures.

        Args:
            start_s: When each begins, shape `(n,)`.
            duration_s: How long it lasts.
            shape: The sensor's pixels `(h, w)`.

        Returns:
            Shape `(n, h, w)`.
        """
        with self.lock, torch.no_grad():
            self._work_out()
            which, phases = self._moving().mean_phases(start_s, duration_s)
            light = self._behind(phases)
            if len(which) < len(start_s) or (np.diff(which) < 0).any():
                rest = np.setdiff1d(np.arange(len(start_s)), which)
                mixed = [self._integrate(t, t + duration_s) for t in start_s[rest].tolist()]
                order = torch.as_tensor(np.argsort(np.concatenate([which, rest])), device=light.device)
                light = torch.cat([light, *mixed])[order]
            return self._photons(light, duration_s, shape)

    # The truth

    @property
    def exposures(self) -> deque[Exposure]:
        """Return what the frames that were exposed integrated, in the order of exposure; the last 100 000."""
        with self.lock:
            return self.log.exposures(self.clock.now_s())

    @property
    def deliveries(self) -> deque[int]:
        """Return the `Exposure.number` of each frame that was handed out, in that order; the last 100 000."""
        return self.log.deliveries

    # Saving

    def state(self) -> dict[str, object]:
        """See `SimPlant.state`: also the pattern on the panel, those to come, and how far the crystal is from it."""
        with self.lock:
            self._work_out()
            if self._motion is None:
                return super().state()
            return super().state() | {"panel": self._motion.state(self.clock.now_s())}

    def restore(self, state: dict[str, Any]) -> None:
        """See `SimPlant.restore`."""
        with self.lock:
            super().restore(state)
            if "panel" in state:
                self.log.exposures(self.clock.now_s())
                self._shown = None
                self._moving().restore(state["panel"])
                self.version += 1
                self._tell_log_again()

    # The light

    def settled(self, levels: torch.Tensor, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Return the mean photons of a settled pattern, differentiably; arguments as in `show` and `expose`."""
        fractions = levels.to(self.torch_device, self.dtype) / self._levels
        light = self._behind(self._attached().phase(fractions))
        return self._photons(light, duration_s, shape)

    @abstractmethod
    def _fit(self, shape: tuple[int, int], pitch_m: float) -> None:
        """Set up the optics behind a panel.

        Args:
            shape: Its pixels `(h, w)`.
            pitch_m: Their distance in m.

        Raises:
            DeviceError: They do not fit it.
        """

    @abstractmethod
    def _light(self, field: torch.Tensor) -> torch.Tensor:
        """Return the intensity that leaves the optics, shape `(n, ...)`, of fields on the panel, shape `(n, h, w)`."""

    @abstractmethod
    def _photons(self, light: torch.Tensor, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Return the mean photons on a sensor of `(h, w)` pixels, shape `(n, h, w)`, of what `_light` returned."""

    def _behind(self, phase: torch.Tensor) -> torch.Tensor:
        return self._light(self._attached().field(phase))

    def _attached(self) -> PhaseModulator:
        if self._panel is None:
            raise DeviceError(f"{self.name}: no panel is in the beam; open the sim-slm of this plant first")
        return self._panel

    def _moving(self) -> PanelMotion:
        self._attached()
        assert self._motion is not None  # noqa: S101 (attached above)
        return self._motion

    def _work_out(self) -> None:
        """Follow the patterns that were shown last; not before someone looks, so that showing takes no time."""
        if self._shown is None:
            return
        shown, self._shown = self._shown, None
        with torch.no_grad():
            levels = torch.as_tensor(shown.levels, device=self.torch_device).to(self.dtype)
            schedule = self._moving().show(
                self._attached().phase(levels / self._levels),
                start_s=shown.start_s, period_s=shown.period_s, handed_s=shown.handed_s, tokens=shown.tokens,
            )  # fmt: skip
        self.log.show(schedule, now_s=self.clock.now_s())

    def _tell_log_again(self) -> None:
        motion = self._moving()
        self.log.reset_panel(motion.tau_s)
        for schedule in motion.schedules:
            self.log.show(schedule, now_s=self.clock.now_s())

    def _integrate(self, start_s: float, end_s: float) -> torch.Tensor:
        """Return the mean intensity of one exposure, shape `(1, ...)`, whatever happens on the panel meanwhile."""
        motion = self._moving()
        share = torch.as_tensor(_WEIGHTS / 2, dtype=self.dtype, device=self.torch_device)
        light: list[torch.Tensor] = []
        for left, right in itertools.pairwise(motion.edges(start_s, end_s)):
            phases = [motion.phase_at((left + right) / 2 + node * (right - left) / 2) for node in _PLACES]
            piece = torch.einsum("k,k...->...", share, self._behind(torch.stack(phases)))
            light.append(piece * ((right - left) / (end_s - start_s)))
        return torch.stack(light).sum(0, keepdim=True)


def table_of(device: Device) -> PanelTable:
    """Return the table that a simulated panel or camera stands on; errors as in `plant_of`."""
    return plant_of(device, PanelTable)  # type: ignore[type-abstract] # any table will do
