"""A chip of memristive cells between row and column wires."""

from dataclasses import replace
from typing import ClassVar, Final, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import (
    PowerLawDrift,
    ProgrammedCells,
    Pulses,
    Wires,
    conductance_at,
    effective_conductance,
    memristor_preset,
    multiply,
    program,
    read_noise_std,
)
from pnnlab.quantities import Ohms
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant
from pnnlab_drivers.sim._pulsed_cells import PulsedArray, PulsesOptions

__all__ = ["CrossbarChip"]

_STALE: Final = 1e-4
"""Drift of a cell, over the largest conductance, up to which vectors share one conductance and the wires one solution;
published cells are read with a hundred times as much noise."""

SiemensArray = npt.NDArray[np.floating]
PulseArray = npt.NDArray[np.integer]


class CrossbarChipOptions(PlantOptions):
    """The options of the plant `sim-crossbar-chip`.

    Attributes:
        shape: Rows and columns.
        cells: Name of a published cell (`pnnlab.physics.MEMRISTOR_PRESETS`), or `ideal`.
        levels: Number of conductances that the write circuit tells apart; as published where left out.
        row_wire_ohm: Resistance of a row's wire from cell to cell.
        column_wire_ohm: Resistance of a column's wire from cell to cell; both 0 for no wires.
        stuck_low: Part of the cells that stay at the lowest conductance, times `mismatch`.
        stuck_high: Part of the cells that stay at the highest, times `mismatch`.
        programming_noise: Scales the published spread of a write; 0 switches it off.
        drift: Scales the published drift; 0 switches it off.
        read_noise: Scales the published noise of a read; 0 switches it off.
        pulses: How cells answer pulses; left out, they can be programmed only.
    """

    shape: tuple[int, int] = (64, 64)
    cells: str = "ideal"
    levels: int | None = Field(default=None, ge=2)
    row_wire_ohm: Ohms = Field(default=0.0, ge=0)
    column_wire_ohm: Ohms = Field(default=0.0, ge=0)
    stuck_low: float = Field(default=0.0, ge=0, le=1)
    stuck_high: float = Field(default=0.0, ge=0, le=1)
    programming_noise: float = Field(default=1.0, ge=0)
    drift: float = Field(default=1.0, ge=0)
    read_noise: float = Field(default=1.0, ge=0)
    pulses: PulsesOptions | None = None

    @field_validator("cells")
    @classmethod
    def _published(cls, name: str) -> str:
        return memristor_preset(name).name

    @model_validator(mode="after")
    def _both_wires(self) -> Self:
        if bool(self.row_wire_ohm) != bool(self.column_wire_ohm):
            raise ValueError("row and column wires have a resistance both, or neither; write the other one too")
        return self


class CrossbarChip(SimPlant):
    """The cells of a `sim-crossbar`.

    What a write leaves in the cells drifts with the bench's clock; time 0 of the published drift is the end of the
    write. Wires attenuate as the exact solution of the resistive network says, a cell's noise like its current.

    Until they are first programmed all cells are at the lowest conductance. A cell that is stuck has been so from the
    beginning and stays so.

    Where cells answer pulses, each keeps to its own bounds, which writing cannot pass either. A cell that a pulse moved
    drifts on as its last write decided.
    """

    Options: ClassVar[type[PlantOptions]] = CrossbarChipOptions
    options: CrossbarChipOptions

    def __init__(self, name: str, options: CrossbarChipOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        chosen = self.options
        published = memristor_preset(chosen.cells)
        self._model = replace(
            published, n_levels=chosen.levels or published.n_levels, stuck_low=chosen.mismatch * chosen.stuck_low,
            stuck_high=chosen.mismatch * chosen.stuck_high, programming_scale=chosen.programming_noise,
            drift_scale=chosen.drift, read_scale=chosen.read_noise,
        )  # fmt: skip
        self._wires = Wires(chosen.row_wire_ohm, chosen.column_wire_ohm) if chosen.row_wire_ohm else None
        self._target = torch.full(chosen.shape, self._model.g_min_siemens, dtype=self.dtype)
        cells = program(self._target, self._model, self.specimen("cells"))
        self._target = self._target.to(self.torch_device)
        self._cells = cells.to(self.torch_device)
        self.pulsed = None if chosen.pulses is None else PulsedArray(
            chosen.pulses, chosen.shape, self.window_siemens, mismatch=chosen.mismatch,
            generator=self.specimen("pulses"), like=self._target,
        )  # fmt: skip
        self._bound()
        self._written_s = clock.now_s()
        self._behind_wires: tuple[Tensor, Tensor] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Return the number of rows and of columns."""
        return self.options.shape

    @property
    def window_siemens(self) -> tuple[float, float]:
        """Return the lowest and the highest conductance that may be asked for."""
        return self._model.g_min_siemens, self._model.g_max_siemens

    def nearest(self, siemens: SiemensArray) -> SiemensArray:
        """Return the nearest conductances that the write circuit can aim at, same shape and type."""
        low, high = self.window_siemens
        # what lies outside does so by the rounding of single precision: the limits have been checked
        aims = np.clip(siemens.astype(np.float64), low, high)
        if self._model.n_levels is not None:
            step = (high - low) / (self._model.n_levels - 1)
            aims = low + step * np.rint((aims - low) / step)
        return aims.astype(siemens.dtype)

    def write(self, siemens: SiemensArray) -> None:
        """Program every cell, shape `(n_rows, n_columns)`, in S."""
        target = torch.as_tensor(siemens, dtype=self.dtype, device=self.torch_device)
        # clone: the caller's array may change later
        self._target = target.clone().clamp(*self.window_siemens)
        self._cells = program(self._target, self._model, self._generator("write"), stuck=self._cells.stuck)
        self._bound()
        self._written_s = self.clock.now_s()
        self._behind_wires = None

    def update(self, rows: PulseArray, columns: PulseArray) -> None:
        """Send streams of pulses, shapes `(n_slots, n_rows)` and `(n_slots, n_columns)`, as the role does."""
        assert self.pulsed is not None  # noqa: S101 (the driver has asked)
        sent = Pulses(self._placed(rows, torch.int8), self._placed(columns, torch.int8), torch.tensor(0))
        self._move(self.pulsed.updated(self._now(), sent, self._generator("pulses")))

    def step(self, counts: PulseArray) -> None:
        """Give each cell pulses of its own, shape `(n_rows, n_columns)`."""
        assert self.pulsed is not None  # noqa: S101 (the driver has asked)
        self._move(self.pulsed.stepped(self._now(), self._placed(counts, torch.int64), self._generator("pulses")))

    def read(self) -> Tensor:
        """Return the conductance of every cell, read one by one, shape `(n_rows, n_columns)`, in S."""
        age_s = self._age_s(self.clock.now_s())
        present, std = conductance_at(self._cells, age_s), read_noise_std(self._cells, age_s)
        noise = torch.randn(
            present.shape, generator=self._generator("read"), dtype=self.dtype, device=self.torch_device
        )
        return present + std * noise

    def currents(self, volts: Tensor, *, start_s: float, vector_s: float, transposed: bool = False) -> Tensor:
        """Return the currents of the columns, with the cells' noise.

        Args:
            volts: Voltages of the rows in V, shape `(n, n_rows)`, one vector after the other.
            start_s: When the first one is applied.
            vector_s: Time from one to the next; a vector's currents are those at the end of its time.
            transposed: Drive the columns at their bottom ends and read the rows at their left ends instead: a network
                of resistors is reciprocal, with wires too.

        Returns:
            Shape `(n, n_columns)`, in A; `(n, n_rows)` if transposed.
        """
        generator = self._generator("multiply") if self._noisy else None
        with torch.no_grad():
            return self._currents(volts, self._age_s(start_s + vector_s), vector_s, generator, transposed=transposed)

    def settled(self, volts: Tensor, siemens: Tensor) -> Tensor:
        """Return the mean currents in A, shape `(n, n_columns)`, differentiably.

        Args:
            volts: Voltages of the rows in V, shape `(n, n_rows)`.
            siemens: Conductances asked for in S, shape `(n_rows, n_columns)`; the cells miss them by as much as they
                miss now what they were last programmed to, and stuck ones do not follow.
        """
        present = conductance_at(self._cells, self._age_s(self.clock.now_s()))
        followed = siemens.to(self._target) + (present - self._target)
        g = torch.where(self._cells.stuck == 0, followed.clamp(min=0.0), present)
        return volts @ (g if self._wires is None else effective_conductance(g, self._wires))

    # What a later reading depends on

    def state(self) -> dict[str, object]:
        """See `pnnlab.devices.Plant.state`."""
        solved = None if self._behind_wires is None else self._behind_wires[0].clone()
        cells = {name: getattr(self._cells, name).clone() for name in _CELL_TENSORS}
        return super().state() | {
            "cells": cells, "target_siemens": self._target.clone(), "written_s": self._written_s,
            "solved_siemens": solved,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        super().restore(state)
        target = cast(Tensor, state["target_siemens"])
        if tuple(target.shape) != self.shape:
            raise DeviceError(
                f"{self.name}: the saved state is that of {target.shape[0]} x {target.shape[1]} cells, this chip has "
                f"{self.shape[0]} x {self.shape[1]}; start a new run"
            )
        cells = {name: value.clone() for name, value in cast("dict[str, Tensor]", state["cells"]).items()}
        self._cells = ProgrammedCells(model=self._model, **cells).to(self.torch_device)
        self._target = target.to(self._target).clone()
        self._written_s = cast(float, state["written_s"])
        solved = cast("Tensor | None", state["solved_siemens"])
        self._behind_wires = None if solved is None else self._solved(solved.to(self._target).clone())

    # The cells

    @property
    def _noisy(self) -> bool:
        return self._model.read_noise is not None and self._model.read_scale > 0

    def _placed(self, values: PulseArray, kind: torch.dtype) -> Tensor:
        return torch.as_tensor(values, device=self.torch_device).to(kind)

    def _now(self) -> Tensor:
        return conductance_at(self._cells, self._age_s(self.clock.now_s()))

    def _bound(self) -> None:
        """Hold cells that have just been written within the bounds that are theirs."""
        if self.pulsed is not None:
            g = self._cells.g_siemens
            free = self._cells.stuck == 0
            self._cells = replace(self._cells, g_siemens=torch.where(free, self.pulsed.reached(g), g))

    def _move(self, siemens: Tensor) -> None:
        """Let the cells have these conductances now; stuck ones stay."""
        cells, present = self._cells, self._now()
        moved = siemens - present
        if isinstance(self._model.drift, PowerLawDrift):
            # what is left of the written conductance by now is a factor, through which the change must be seen
            moved = moved * torch.where(present > 0, cells.g_siemens / present.clamp(min=1e-30), 1.0)
        g = torch.where(cells.stuck == 0, (cells.g_siemens + moved).clamp(min=0.0), cells.g_siemens)
        self._cells = replace(cells, g_siemens=g)
        self._behind_wires = None

    def _generator(self, who: str) -> torch.Generator:
        """Return a generator for one act; its seed is the next number of the part's running noise source."""
        seed = int(self.noise(who).integers(2**63 - 1))
        return torch.Generator(self.torch_device).manual_seed(seed)

    def _age_s(self, time_s: float) -> float:
        return max(time_s - self._written_s, 0.0)

    def _currents(
        self, volts: Tensor, age_s: float, vector_s: float, generator: torch.Generator | None, *, transposed: bool
    ) -> Tensor:
        """Return the currents of vectors from `age_s` on; where cells drift meanwhile, in parts."""
        n, end_s = len(volts), age_s + (len(volts) - 1) * vector_s
        if n > 1:
            moved = conductance_at(self._cells, end_s) - conductance_at(self._cells, age_s)
            if float(moved.abs().max()) > _STALE * self._model.g_max_siemens:
                half = n // 2
                parts = (volts[:half], age_s), (volts[half:], age_s + half * vector_s)
                return torch.cat([
                    self._currents(part, since_s, vector_s, generator, transposed=transposed)
                    for part, since_s in parts
                ])  # fmt: skip
        matrix, variance = self._terminals((age_s + end_s) / 2)
        if transposed:
            matrix, variance = matrix.mT, variance.mT
        return multiply(volts, matrix, read_variance=variance if self._noisy else None, generator=generator)

    def _terminals(self, age_s: float) -> tuple[Tensor, Tensor]:
        """Return the matrix and its read variance as the terminals show them."""
        g, variance = conductance_at(self._cells, age_s), read_noise_std(self._cells, age_s) ** 2
        if self._wires is None:
            return g, variance
        known = self._behind_wires
        if known is None or float((g - known[0]).abs().max()) > _STALE * self._model.g_max_siemens:
            known = self._behind_wires = self._solved(g)
        # a cell's noise reaches the terminals as its current does; what sneaks around a weak cell is not its own
        attenuation = torch.where(known[0] > 0, known[1] / known[0], 1.0).clamp(max=1.0)
        return known[1], variance * attenuation**2

    def _solved(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return conductances and the matrix that they make behind the wires."""
        assert self._wires is not None  # noqa: S101 (only chips with wires come here)
        with torch.no_grad():
            return g, effective_conductance(g, self._wires)


_CELL_TENSORS: Final = ("g_siemens", "drift_state", "stuck", "outside", "floored")
