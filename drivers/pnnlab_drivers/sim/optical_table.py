"""A laser, a panel that shapes its phase, a scattering medium and a sensor plane."""

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import scipy.signal
import torch
from pydantic import Field

from pnnlab.devices import Clock
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.physics import PhaseModulator, PhaseScreens, TransmissionMatrix, intensity
from pnnlab.quantities import FrozenModel, Metres, Radians
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant

__all__ = ["OpticalTable"]

_SMALL_RESIDUE_RAD: Final = 0.05
"""Below this the light during an exposure is linear in the unsettled phase: the error of one node is its square."""
_NODES: Final = 8
"""Gauss-Legendre nodes a piece of an exposure; a piece lasts a time constant of the liquid crystal at the most."""
_SETTLED: Final = 14
"""Time constants after which a pixel has settled: 2 pi exp(-14) are 5e-6 rad."""
_KEPT: Final = 64
"""How many past schedules of the panel stay known at most, for exposures that began before the last one."""
_KEPT_PIXELS: Final = 1 << 24
"""Pixels of all their patterns together, but for the last four schedules."""


class MatrixMedium(FrozenModel):
    """A multiply scattering medium: a transmission matrix with circular Gaussian entries."""

    kind: Literal["transmission-matrix"] = "transmission-matrix"
    seed: int = 0
    input_modes: tuple[int, int]
    output_modes: tuple[int, int]


class ScreensMedium(FrozenModel):
    """A medium of thin phase screens with free space between them; as many outputs as panel pixels."""

    kind: Literal["phase-screens"]
    seed: int = 0
    screens: int = Field(default=2, gt=0)
    distance_m: Metres
    strength_rad: Radians
    correlation_m: Metres
    wavelength_m: Metres


class OpticalTableOptions(PlantOptions):
    """The options of the plant `sim-optical-table`.

    Attributes:
        medium: The medium's design; its seed is known to whoever knows the design.
        medium_mismatch: Part of the medium's field that the design does not know (0 to 1), times `mismatch`.
        photons_per_pixel_s: Mean light on a sensor pixel, in photons per s.
    """

    medium: MatrixMedium | ScreensMedium = Field(discriminator="kind")
    medium_mismatch: float = Field(default=0.0, ge=0, le=1)
    photons_per_pixel_s: float = Field(default=1e6, gt=0)


@dataclass(frozen=True)
class _Schedule:
    """Patterns on the panel from `start_s` on, one every `period_s`."""

    start_s: float
    period_s: float
    targets: torch.Tensor  # (n, h, w), rad
    residues: torch.Tensor  # (n, h, w), rad: how far each pixel is from its target when the pattern appears
    forgotten: int = 0  # patterns before the first one above, of a schedule that was saved and restored

    @property
    def last(self) -> int:
        """Return the number of the last pattern."""
        return self.forgotten + len(self.targets) - 1

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return target and residue of a pattern, the first one known for one that is forgotten."""
        index = max(step - self.forgotten, 0)
        return self.targets[index], self.residues[index]


class OpticalTable(SimPlant):
    """The light path of `sim-slm` and `sim-camera`.

    The liquid crystal relaxes exponentially towards each new pattern, and an exposure integrates the light of the phase
    as it changes, so a frame that is taken too early is a mixture, as on a real table.
    """

    Options: ClassVar[type[PlantOptions]] = OpticalTableOptions
    options: OpticalTableOptions

    def __init__(self, name: str, options: OpticalTableOptions, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self._panel: PhaseModulator | None = None
        self._medium: torch.nn.Module | None = None
        self._settling_s = 0.0
        self._levels = 1
        self._schedules: deque[_Schedule] = deque(maxlen=_KEPT)
        self._shown: tuple[npt.NDArray[np.number], float, float] | None = None
        self._listeners: list[Callable[[npt.NDArray[np.float64]], None]] = []

    # For the panel

    def attach_panel(self, panel: PhaseModulator, *, levels: int, pitch_m: float, settling_s: float) -> None:
        """Put a panel into the beam; its phase at the start is that of level 0.

        Args:
            panel: What the pixels do to light.
            levels: Grey levels over its full scale.
            pitch_m: Distance of its pixels in m.
            settling_s: Time constant of the liquid crystal in s.
        """
        self._panel = panel
        self._levels = levels
        self._settling_s = settling_s
        medium = self._make_medium(panel.shape, pitch_m)
        self._medium = medium.to(device=self.torch_device)
        rest = panel.phase(torch.zeros(1, *panel.shape, dtype=self.dtype, device=self.torch_device))
        self._schedules.clear()
        self._shown = None
        self._schedules.append(_Schedule(-math.inf, 0.0, rest, torch.zeros_like(rest)))

    def show(self, levels: npt.NDArray[np.number], *, start_s: float, period_s: float) -> None:
        """Show patterns of grey levels, shape `(n, h, w)`, one every `period_s`; each gives a pulse."""
        self._attached()
        self._work_out()
        self._shown = levels, start_s, period_s
        pulses = np.asarray(start_s + period_s * np.arange(len(levels)), np.float64)
        for listener in tuple(self._listeners):
            listener(pulses)

    def _work_out(self) -> None:
        """Follow the patterns that were shown last; not before someone looks, so that showing takes no time."""
        if self._shown is None:
            return
        (levels, start_s, period_s), self._shown = self._shown, None
        panel = self._attached()
        with torch.no_grad():
            fractions = torch.as_tensor(levels, device=self.torch_device).to(self.dtype) / self._levels
            targets = panel.phase(fractions)
            start = self._phase_at(start_s)
            # a_k, the phase when pattern k appears, follows a_{k+1} = target_k + (a_k - target_k) d
            decay = math.exp(-period_s / self._settling_s) if self._settling_s and len(targets) > 1 else 0.0
            if decay:
                filtered, _ = scipy.signal.lfilter(
                    [1 - decay], [1, -decay], targets[:-1].cpu().numpy(), axis=0, zi=decay * start.cpu().numpy()[None]
                )
                follow = torch.as_tensor(filtered, dtype=self.dtype, device=self.torch_device)
            else:
                follow = targets[:-1]
            appear = torch.cat([start[None], follow])
        self._schedules.append(_Schedule(start_s, period_s, targets, appear - targets))
        while len(self._schedules) > 4 and sum(s.targets.numel() for s in self._schedules) > _KEPT_PIXELS:
            self._schedules.popleft()

    def state(self) -> dict[str, object]:
        """See `SimPlant.state`: also the last pattern, and how far the crystal was from it."""
        self._work_out()
        schedule = self._schedules[-1] if self._schedules else None
        if schedule is None:
            return super().state()
        shown = {
            "start_s": schedule.start_s, "period_s": schedule.period_s, "number": schedule.last,
            "target": schedule.targets[-1:].clone(), "residue": schedule.residues[-1:].clone(),
        }  # fmt: skip
        return super().state() | {"panel": shown}

    def restore(self, state: dict[str, Any]) -> None:
        """See `SimPlant.restore`."""
        super().restore(state)
        self._shown = None
        shown = state.get("panel")
        if shown is not None:
            target, residue = (shown[key].to(self.torch_device, self.dtype) for key in ("target", "residue"))
            self._schedules.clear()
            self._schedules.append(
                _Schedule(shown["start_s"], shown["period_s"], target, residue, forgotten=shown["number"])
            )

    @property
    def last_change_s(self) -> float:
        """Return when the last pattern appeared or will appear; -inf where none was shown."""
        if self._shown is not None:
            levels, start_s, period_s = self._shown
            return start_s + (len(levels) - 1) * period_s
        schedule = self._schedules[-1]
        return schedule.start_s + schedule.last * schedule.period_s

    # For the sensor

    def listen(self, listener: Callable[[npt.NDArray[np.float64]], None]) -> None:
        """Wire a trigger input to the panel's trigger output."""
        self._listeners.append(listener)

    def unlisten(self, listener: Callable[[npt.NDArray[np.float64]], None]) -> None:
        """Undo `listen`."""
        self._listeners.remove(listener)

    def expose(self, start_s: npt.NDArray[np.float64], duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Return the mean number of photons on each sensor pixel during exposures.

        Args:
            start_s: When each begins, shape `(n,)`.
            duration_s: How long it lasts.
            shape: The sensor's pixels `(h, w)`.

        Returns:
            Shape `(n, h, w)`.
        """
        self._work_out()
        with torch.no_grad():
            schedule = self._schedules[-1]
            late: npt.NDArray[np.float64] = start_s - schedule.start_s
            step = np.zeros(len(start_s), np.int64)
            if schedule.period_s:
                # an edge that falls on the next pattern to rounding belongs to it
                step = np.clip(np.floor(late / schedule.period_s + 1e-9), 0, schedule.last).astype(np.int64)
            age_s = np.asarray(late - step * schedule.period_s, np.float64)
            last = step == schedule.last
            index = np.maximum(step - schedule.forgotten, 0)
            within = (
                (late >= -1e-12)
                & (step >= schedule.forgotten)
                & (last | (age_s + duration_s <= schedule.period_s * (1 + 1e-9)))
            )
            mean_decay = self._mean_decay(age_s, duration_s)
            residues = schedule.residues[index]
            residue_rad = residues.abs().amax(dim=(-2, -1)).cpu().numpy() * np.exp(-age_s.clip(0) / self._tau)
            simple = within & (residue_rad <= _SMALL_RESIDUE_RAD)
            if simple.all():
                weight = torch.as_tensor(mean_decay, dtype=self.dtype, device=self.torch_device)[:, None, None]
                return self._photons(self._light(schedule.targets[index] + residues * weight), duration_s, shape)
            frames = [
                self._photons(self._integrate(float(t), float(t) + duration_s), duration_s, shape) for t in start_s
            ]
            return torch.cat(frames)

    def settled(self, levels: torch.Tensor, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Return the mean photons of a settled pattern, differentiably; arguments as in `show` and `expose`."""
        fractions = levels.to(self.torch_device, self.dtype) / self._levels
        light = self._light(self._attached().phase(fractions))
        return self._photons(light, duration_s, shape)

    # The light

    @property
    def _tau(self) -> float:
        return self._settling_s or 1e-12

    def _attached(self) -> PhaseModulator:
        if self._panel is None or self._medium is None:
            raise DeviceError(f"{self.name}: no panel is in the beam; open the sim-slm of this plant first")
        return self._panel

    def _make_medium(self, shape: tuple[int, int], pitch_m: float) -> torch.nn.Module:
        design = self.options.medium
        generator = torch.Generator().manual_seed(design.seed)
        strength = self.options.medium_mismatch * self.options.mismatch
        if isinstance(design, MatrixMedium):
            kind = torch.complex128 if self.dtype is torch.float64 else torch.complex64
            matrix = TransmissionMatrix.random(design.input_modes, design.output_modes, generator=generator, dtype=kind)
            return matrix.perturbed(strength, self.specimen("medium"))
        screens = PhaseScreens.random(
            shape,
            rms_phase_rad=design.strength_rad,
            correlation_m=design.correlation_m,
            pitch_m=pitch_m,
            wavelength_m=design.wavelength_m,
            distances_m=[design.distance_m] * (design.screens + 1),
            generator=generator,
            dtype=self.dtype,
        )
        return screens.perturbed(strength, self.specimen("medium"))

    def _light(self, phase: torch.Tensor) -> torch.Tensor:
        """Return the intensity behind the medium, relative to its mean, of phases of shape `(n, h, w)`."""
        panel = self._attached()
        assert self._medium is not None  # noqa: S101 (attached above)
        return intensity(self._medium(panel.field(phase)))

    def _photons(self, light: torch.Tensor, duration_s: float, shape: tuple[int, int]) -> torch.Tensor:
        """Spread mode intensities over sensor pixels and count photons."""
        rows, columns = shape[0] // light.shape[-2], shape[1] // light.shape[-1]
        if (rows * light.shape[-2], columns * light.shape[-1]) != shape:
            raise DeviceError(
                f"{self.name}: the sensor's {shape[0]} x {shape[1]} pixels are no multiple of the medium's "
                f"{light.shape[-2]} x {light.shape[-1]} outputs; correct `sensor` or `output_modes` in the bench file"
            )
        photons = light * (self.options.photons_per_pixel_s * duration_s)
        return photons.repeat_interleave(rows, -2).repeat_interleave(columns, -1)

    def _mean_decay(self, age_s: npt.NDArray[np.float64], duration_s: float) -> npt.NDArray[np.float64]:
        """Return the mean of exp(-t/τ) for t from `age_s` to `age_s + duration_s`."""
        tau = self._tau
        mean: npt.NDArray[np.float64] = np.exp(-age_s.clip(0) / tau) * -np.expm1(-duration_s / tau) * tau / duration_s
        return mean

    def _phase_at(self, time_s: float) -> torch.Tensor:
        """Return the panel's phase at one time, shape `(h, w)`."""
        for schedule in reversed(self._schedules):
            if time_s >= schedule.start_s:
                step = 0
                if schedule.period_s:
                    step = min(int((time_s - schedule.start_s) / schedule.period_s), schedule.last)
                age_s = time_s - schedule.start_s - step * schedule.period_s
                decay = math.exp(-age_s / self._tau) if math.isfinite(age_s) else 0.0
                target, residue = schedule.at(step)
                return target + residue * decay
        raise AcquisitionError(f"{self.name}: the panel's state at {time_s:g} s is no longer known; read frames sooner")

    def _integrate(self, start_s: float, end_s: float) -> torch.Tensor:
        """Return the mean intensity of one exposure, shape `(1, ...)`, whatever happens on the panel meanwhile."""
        edges = {start_s, end_s}
        for schedule in self._schedules:
            if math.isfinite(schedule.start_s):
                appear = schedule.start_s + schedule.period_s * np.arange(schedule.forgotten, schedule.last + 1)
                # after a change the phase turns by radians, a time constant later by a third of them
                marks = np.add.outer(appear, self._settling_s * np.arange(_SETTLED + 1)).ravel()
                edges.update(marks[(marks > start_s) & (marks < end_s)].tolist())
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        share = torch.as_tensor(weights / 2, dtype=self.dtype, device=self.torch_device)
        light: list[torch.Tensor] = []
        for left, right in itertools.pairwise(sorted(edges)):
            phases = [self._phase_at((left + right) / 2 + node * (right - left) / 2) for node in nodes.tolist()]
            piece = torch.einsum("k,k...->...", share, self._light(torch.stack(phases)))
            light.append(piece * ((right - left) / (end_s - start_s)))
        return torch.stack(light).sum(0, keepdim=True)
