"""Memristive cells: how precisely they are written, how they drift and how they fluctuate."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pnnlab.errors import SetpointError

__all__ = [
    "ConductanceLaw",
    "FlickerNoise",
    "Memristor",
    "PowerLawDrift",
    "ProgrammedCells",
    "ReadNoiseLaw",
    "Relaxation",
    "conductance_at",
    "program",
    "read_noise_std",
]

ConductanceLaw = Callable[[Tensor], Tensor]
"""A quantity that depends on a cell's conductance in siemens; element by element."""

ReadNoiseLaw = Callable[[Tensor, Tensor, float], Tensor]
"""Standard deviation of a read in siemens, from the written and the present conductance and the time `t_s`."""

# The window is a number in double precision, a target often one in single precision: a few units in the last
# place of the target's type are no violation.
_ROUNDING_STEPS = 4


@dataclass(frozen=True)
class PowerLawDrift:
    """Conductance that falls with a power of time, g(t) = g(0) ((t + t0)/t0)^-nu.

    The law of amorphous phase-change material (Le Gallo and Sebastian, J. Phys. D 53, 213002, 2020). Each write
    draws each cell's own exponent nu = |mean + std xi|, xi standard normal.

    Attributes:
        nu_mean: Mean exponent for a written conductance.
        nu_std: Standard deviation of the exponent, likewise.
        t0_s: Time from writing to the first read, where t = 0.
    """

    nu_mean: ConductanceLaw
    nu_std: ConductanceLaw
    t0_s: float

    def draw(self, written: Tensor, normal: Tensor) -> Tensor:
        """Return the exponents of cells, shape as `written`, from standard normal numbers of the same shape."""
        return (self.nu_mean(written) + self.nu_std(written) * normal).abs()

    def shift(self, g: Tensor, state: Tensor, t_s: float) -> Tensor:
        """Return the conductance at `t_s` of cells written as `g` with the exponents `state`."""
        return g * ((t_s + self.t0_s) / self.t0_s) ** (-state)


@dataclass(frozen=True)
class Relaxation:
    """Conductance whose mean moves and whose spread grows, g(t) = g(0) + mean(g, t) + std(g, t) xi.

    Each write draws each cell's own standard normal xi once, so that a cell follows one smooth path. At t = 0
    nothing has relaxed yet.

    Attributes:
        mean: Mean shift in siemens for a written conductance and a time in seconds.
        std: Standard deviation of the shift in siemens, likewise.
    """

    mean: Callable[[Tensor, float], Tensor]
    std: Callable[[Tensor, float], Tensor]

    def draw(self, written: Tensor, normal: Tensor) -> Tensor:
        """Return the deviates of cells, shape as `written`, from standard normal numbers of the same shape."""
        return normal

    def shift(self, g: Tensor, state: Tensor, t_s: float) -> Tensor:
        """Return the conductance at `t_s` of cells written as `g` with the deviates `state`."""
        return g + self.mean(g, t_s) + self.std(g, t_s) * state if t_s > 0.0 else g


@dataclass(frozen=True)
class FlickerNoise:
    """Noise with a 1/f spectrum, seen by a read that lasts `read_s` a time `t_s` after the first read.

    std = amplitude sqrt(ln((t + t0 + t_r)/(2 t_r))) (Nandakumar et al., ICECS 2019): the variance of 1/f noise
    between the highest frequency that the read passes and the lowest that has had time to appear. Two reads
    that follow each other closely share most of it, so drawing it afresh for each read, as here, is an upper
    bound on what a short series shows.

    Attributes:
        amplitude: Amplitude in siemens, from the written and the present conductance.
        read_s: Duration of one read, t_r.
        t0_s: Time from writing to t = 0.
    """

    amplitude: Callable[[Tensor, Tensor], Tensor]
    read_s: float
    t0_s: float = 0.0

    def __call__(self, written: Tensor, present: Tensor, t_s: float) -> Tensor:
        """See `ReadNoiseLaw`."""
        # before one read has passed no slower component exists: the logarithm starts at zero
        decades = max(math.log((t_s + self.t0_s + self.read_s) / (2.0 * self.read_s)), 0.0)
        return self.amplitude(written, present) * math.sqrt(decades)


@dataclass(frozen=True)
class Memristor:
    """A kind of memristive cell and its statistics; `dataclasses.replace` makes variants.

    Attributes:
        name: Short name, as `"pcm-nandakumar-2019"`.
        source: Publication, units, and what each spread means: from device to device or from cycle to cycle,
            for one write or for one read.
        g_min_siemens: Lowest conductance that may be asked for.
        g_max_siemens: Highest conductance that may be asked for.
        programming_std: Standard deviation in siemens of the written conductance for a target; None: exact.
        drift: How the written conductance moves; None: it stays.
        read_noise: Standard deviation of one read; None: noiseless.
        n_levels: Number of equally spaced targets over the window, both ends included; None: continuous.
        stuck_low: Fraction of cells that stay at the window's lower end whatever is written.
        stuck_high: Fraction of cells that stay at the window's upper end whatever is written.
        programming_scale: Factor on `programming_std`; 0 switches it off.
        drift_scale: Factor on the exponent or on the relaxation; 0 switches it off.
        read_scale: Factor on `read_noise`; 0 switches it off.
    """

    name: str
    source: str
    g_min_siemens: float
    g_max_siemens: float
    programming_std: ConductanceLaw | None = None
    drift: PowerLawDrift | Relaxation | None = None
    read_noise: ReadNoiseLaw | None = None
    n_levels: int | None = None
    stuck_low: float = 0.0
    stuck_high: float = 0.0
    programming_scale: float = 1.0
    drift_scale: float = 1.0
    read_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.g_min_siemens < self.g_max_siemens < math.inf:
            raise ValueError(
                f"{self.name}: conductance window is {self.g_min_siemens:g} S to {self.g_max_siemens:g} S, "
                "expected 0 S <= g_min < g_max"
            )
        if self.n_levels is not None and self.n_levels < 2:
            raise ValueError(f"{self.name}: n_levels is {self.n_levels}, expected at least 2 or None")
        if min(self.stuck_low, self.stuck_high) < 0.0 or self.stuck_low + self.stuck_high > 1.0:
            raise ValueError(
                f"{self.name}: stuck fractions are {self.stuck_low:g} low and {self.stuck_high:g} high, "
                "expected fractions of one whole"
            )
        if not min(self.programming_scale, self.drift_scale, self.read_scale) >= 0.0:
            raise ValueError(
                f"{self.name}: scales are {self.programming_scale:g} (programming), {self.drift_scale:g} (drift) "
                f"and {self.read_scale:g} (read), expected none below 0"
            )


@dataclass(frozen=True)
class ProgrammedCells:
    """Cells as one write has left them; a value, rewritten by the next `program`.

    Attributes:
        model: What kind of cell they are.
        g_siemens: Conductance at t = 0, shape `(n_rows, n_cols)`.
        drift_state: What decides each cell's drift, same shape: the exponent nu of a `PowerLawDrift`, the
            standard normal deviate of a `Relaxation`, zero without drift.
        stuck: -1 where a cell is stuck low, 1 where it is stuck high, else 0, same shape, `int8`.
        outside: Where programming noise carried the cell out of the model's window, same shape, `bool`.
        floored: Where it would have carried the cell below zero; such a cell is written as 0 S. Same shape.
    """

    model: Memristor
    g_siemens: Tensor
    drift_state: Tensor
    stuck: Tensor
    outside: Tensor
    floored: Tensor

    def to(self, torch_device: torch.device | str) -> "ProgrammedCells":
        """Return the same cells with their tensors on `torch_device`."""
        return replace(
            self,
            g_siemens=self.g_siemens.to(torch_device),
            drift_state=self.drift_state.to(torch_device),
            stuck=self.stuck.to(torch_device),
            outside=self.outside.to(torch_device),
            floored=self.floored.to(torch_device),
        )


def program(
    target: Tensor, model: Memristor, generator: torch.Generator, *, stuck: Tensor | None = None
) -> ProgrammedCells:
    """Write targets into cells once, with the errors of the model.

    A target must lie in the window. What is written may lie outside it, as on a chip, and is marked there
    (`ProgrammedCells.outside`); only a negative conductance, which a passive cell cannot have, is written as
    zero, and marked too (`ProgrammedCells.floored`). The number of random draws does not depend on the model,
    so that switching one effect off leaves the others' numbers unchanged.

    Args:
        target: Conductances asked for, in siemens, shape `(n_rows, n_cols)`.
        model: What kind of cell is written.
        generator: Source of the randomness, on the target's torch device.
        stuck: Cells known to be stuck, as `ProgrammedCells.stuck`: being stuck is a property of the cell, so
            hand it on when cells are rewritten. Default: drawn with the model's fractions.

    Raises:
        SetpointError: A target lies outside the window or is not finite; nothing is written.
    """
    _refuse_outside(target, model)

    def normal() -> Tensor:
        return torch.randn(target.shape, generator=generator, dtype=target.dtype, device=target.device)

    chance = torch.rand(target.shape, generator=generator, dtype=target.dtype, device=target.device)
    write_normal, drift_normal = normal(), normal()
    if stuck is None:
        stuck = (chance >= 1.0 - model.stuck_high).to(torch.int8) - (chance < model.stuck_low).to(torch.int8)
    elif stuck.shape != target.shape:
        raise ValueError(f"{model.name}: stuck has shape {tuple(stuck.shape)}, expected {tuple(target.shape)}")

    setpoint = target if model.n_levels is None else _nearest_level(target, model, model.n_levels)
    written = setpoint
    if model.programming_std is not None:
        written = setpoint + model.programming_scale * model.programming_std(setpoint) * write_normal
    written = torch.where(stuck < 0, torch.full_like(written, model.g_min_siemens), written)
    written = torch.where(stuck > 0, torch.full_like(written, model.g_max_siemens), written)
    floored = written.clamp(min=0.0)
    # the state that was reached decides how a cell drifts, not the one that was asked for
    drift_state = torch.zeros_like(written) if model.drift is None else model.drift.draw(floored, drift_normal)
    slack = _slack_siemens(target, model)
    return ProgrammedCells(
        model=model,
        g_siemens=floored,
        drift_state=drift_state,
        stuck=stuck,
        outside=(written < model.g_min_siemens - slack) | (written > model.g_max_siemens + slack),
        floored=written < 0.0,
    )


def conductance_at(cells: ProgrammedCells, t_s: float) -> Tensor:
    """Return what the cells' conductances have become, in siemens, shape `(n_rows, n_cols)`.

    A stuck cell does not drift. A conductance that would fall below zero is zero.

    Args:
        cells: Cells as written.
        t_s: Time in seconds since the model's first read (t = 0), at least 0.
    """
    _check_time(cells, t_s)
    model, g = cells.model, cells.g_siemens
    if model.drift is None:
        return g
    if isinstance(model.drift, PowerLawDrift):
        moved = model.drift.shift(g, model.drift_scale * cells.drift_state, t_s)
    else:
        moved = g + model.drift_scale * (model.drift.shift(g, cells.drift_state, t_s) - g)
    return torch.where(cells.stuck == 0, moved.clamp(min=0.0), g)


def read_noise_std(cells: ProgrammedCells, t_s: float) -> Tensor:
    """Return the standard deviation of one read of each cell, in siemens, shape `(n_rows, n_cols)`.

    A stuck cell is a short or an open circuit and does not fluctuate.

    Args:
        cells: Cells as written.
        t_s: Time in seconds since the model's first read (t = 0), at least 0.
    """
    present = conductance_at(cells, t_s)
    if cells.model.read_noise is None:
        return torch.zeros_like(present)
    std = cells.model.read_scale * cells.model.read_noise(cells.g_siemens, present, t_s)
    return torch.where(cells.stuck == 0, std, torch.zeros_like(std))


def _check_time(cells: ProgrammedCells, t_s: float) -> None:
    if not 0.0 <= t_s < math.inf:
        raise ValueError(f"{cells.model.name}: time is {t_s:g} s, expected at least 0 s after the first read")


def _slack_siemens(target: Tensor, model: Memristor) -> float:
    return _ROUNDING_STEPS * torch.finfo(target.dtype).eps * model.g_max_siemens


def _refuse_outside(target: Tensor, model: Memristor) -> None:
    low, high = model.g_min_siemens, model.g_max_siemens
    slack = _slack_siemens(target, model)
    allowed = (target >= low - slack) & (target <= high + slack)  # False for NaN
    n_refused = target.numel() - int(allowed.sum())
    if n_refused:
        found = target.detach()
        raise SetpointError(
            f"{model.name}: {n_refused} of {target.numel()} target conductances, spanning {float(found.min()):g} S "
            f"to {float(found.max()):g} S, lie outside the window of {low:g} S to {high:g} S; rescale the targets"
        )


def _nearest_level(target: Tensor, model: Memristor, n_levels: int) -> Tensor:
    step = (model.g_max_siemens - model.g_min_siemens) / (n_levels - 1)
    return model.g_min_siemens + step * torch.round((target - model.g_min_siemens) / step)
