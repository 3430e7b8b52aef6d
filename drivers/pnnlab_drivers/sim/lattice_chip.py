"""A nonlinear wave in a chip of coupled modes before a phase-conjugating mirror."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import EchoLattice, grid_coupling
from pnnlab.quantities import Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["LatticeChip", "LatticeChipOptions"]


class LatticeChipOptions(StaticBoardOptions):
    """The options of the plant `sim-echo-lattice`; times are in units of some time, rates over it.

    Attributes:
        modes: Rows and columns of the modes.
        slabs: Stretches of medium, passed one after the other.
        lattice: `grid` couples next neighbours in rows and columns by `coupling`; `random` couples all with all, by
            normal numbers of that standard deviation over the root of 2, from `design_seed`.
        coupling: Rate, see above.
        design_seed: Of a random lattice, known to whoever knows the design.
        kerr: Shift of each mode's frequency at unit intensity.
        duration: Time in a slab.
        steps: Steps of the integration of a slab.
        loss: Rate at which the wave loses energy.
        flux: Phase in rad of each coupling times its distance in the numbering of modes: breaks time reversal, not
            energy conservation; times `mismatch`.
        conjugation_error: Standard deviation of the part of each mode that the mirror does not conjugate, times
            `mismatch`.
        detuning_spread: Standard deviation of detunings that are there whatever one sets, times `mismatch`.
        coupling_spread: Relative standard deviation of couplings, times `mismatch`.
        amplitude_v: Voltage of a pulse of unit amplitude.
        detuning_v: Voltage of a unit detuning.
        nudge_v: Voltage at which a mirror's phase moves by 1 rad.
        shutter_v: Voltage at which the mirror's shutter is open; below half of it is closed.
        field_v: Reading of a receiver at a quadrature of 1.
        momentum_v: Reading of a momentum of 1.
    """

    modes: tuple[int, int] = (1, 8)
    slabs: int = Field(default=1, gt=0)
    lattice: Literal["grid", "random"] = "grid"
    coupling: float = 1.0
    design_seed: int = 0
    kerr: float = 0.5
    duration: float = Field(default=1.0, gt=0)
    steps: int = Field(default=100, gt=0)
    loss: float = Field(default=0.0, ge=0)
    flux: float = 0.0
    conjugation_error: float = Field(default=0.0, ge=0)
    detuning_spread: float = Field(default=0.0, ge=0)
    coupling_spread: float = Field(default=0.0, ge=0)
    amplitude_v: Volts = Field(default=1.0, gt=0)
    detuning_v: Volts = Field(default=1.0, gt=0)
    nudge_v: Volts = Field(default=1.0, gt=0)
    shutter_v: Volts = Field(default=1.0, gt=0)
    field_v: Volts = Field(default=1.0, gt=0)
    momentum_v: Volts = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _check_modes(self) -> "LatticeChipOptions":
        if min(self.modes) < 1 or math.prod(self.modes) < 2:
            raise ValueError(f"{self.modes} modes are no lattice; write rows and columns, two modes at least")
        return self


class LatticeChip(StaticBoard):
    """The physics is that of `pnnlab.physics.EchoLattice`; a shot is a run to the mirror and, if it is open, back.

    Channels of the DAC, each run slab by slab: amplitudes of the pulses; detunings; phases by which the mirrors move
    the wave as it enters each slab again; last, the shutter of the mirror. Channels of the ADC: real parts and then
    imaginary parts of the field at the end of each slab; the same of the field that comes back at its beginning; what
    the medium of each mode has gathered in momentum.
    """

    Options: ClassVar[type[PlantOptions]] = LatticeChipOptions
    options: LatticeChipOptions

    def __init__(self, name: str, options: LatticeChipOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        chosen, n, complex_ = self.options, self.n_modes, self.dtype.to_complex()
        draw = self.specimen("lattice")
        stray = torch.randn(n, n, generator=draw, dtype=torch.float64)
        coupling = self._designed() * (1 + chosen.mismatch * chosen.coupling_spread * (stray + stray.mT) / math.sqrt(2))
        if turned := chosen.mismatch * chosen.flux:
            places = torch.arange(n, dtype=torch.float64)
            angle = turned * (places[:, None] - places)
            coupling = coupling * torch.polar(torch.ones_like(angle), angle)
        error = torch.randn(n, generator=draw, dtype=torch.complex128)
        self.lattice = EchoLattice(
            coupling.to(complex_ if coupling.is_complex() else self.dtype), kerr=chosen.kerr, duration=chosen.duration,
            n_steps=chosen.steps, n_slabs=chosen.slabs, loss=chosen.loss,
            conjugation_error=(chosen.mismatch * chosen.conjugation_error * error).to(complex_),
        ).to(self.torch_device)  # fmt: skip
        """The truth, which no device tells."""
        off = torch.randn(chosen.slabs, n, generator=draw, dtype=torch.float64)
        self._detuned = (chosen.mismatch * chosen.detuning_spread * off).to(self.torch_device, self.dtype)

    def _designed(self) -> Tensor:
        """Return the coupling of the design."""
        n = self.n_modes
        if self.options.lattice == "random":
            generator = torch.Generator().manual_seed(self.options.design_seed)
            drawn = torch.randn(n, n, generator=generator, dtype=torch.float64).triu(1)
            return self.options.coupling / math.sqrt(2) * (drawn + drawn.mT)
        return grid_coupling(self.options.modes, self.options.coupling)

    @property
    def n_modes(self) -> int:
        """Return the number of modes."""
        return math.prod(self.options.modes)

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return 3 * self.options.slabs * self.n_modes + 1

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return 5 * self.options.slabs * self.n_modes

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        chosen = self.options
        pulses, detuning, nudge = volts[:, :-1].unflatten(1, (3, chosen.slabs, self.n_modes)).unbind(1)
        is_open = volts[:, -1:] > chosen.shutter_v / 2
        run = self.lattice(
            pulses / chosen.amplitude_v, detuning / chosen.detuning_v + self._detuned, nudge / chosen.nudge_v,
            echo=bool(is_open.any()),
        )  # fmt: skip
        there = run.exits.flatten(1) * chosen.field_v
        back = torch.where(is_open, run.returned.flatten(1), 0) * chosen.field_v
        momentum = torch.where(is_open, run.momentum.flatten(1), 0) * chosen.momentum_v
        return torch.cat([there.real, there.imag, back.real, back.imag, momentum], 1)
