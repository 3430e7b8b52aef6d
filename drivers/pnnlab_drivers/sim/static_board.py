"""Boards that answer each set of voltages with one set of readings."""

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.quantities import Hertz, Seconds
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim._steps import TICKS, Cut
from pnnlab_drivers.sim.board import Board

__all__ = ["StaticBoard", "StaticBoardOptions"]


class StaticBoardOptions(PlantOptions):
    """The keys that the options of all static boards share.

    Attributes:
        sample_rate_hz: Rate that its converters are meant for.
        lag_s: Time constant with which what the physics meets follows the DAC (a heater, a node's capacitance, the
            drive's filter); 0 follows at once.
    """

    sample_rate_hz: Hertz = Field(default=10e3, gt=0)
    lag_s: Seconds = Field(default=0.0, ge=0)


class StaticBoard(Board):
    """Physics that settles much faster than it is sampled: the readings depend on the voltages alone.

    What happens within a shot (a relaxation, a wave that runs through) is a matter of `respond`.
    """

    Options: ClassVar[type[PlantOptions]] = StaticBoardOptions
    options: StaticBoardOptions

    def _make_physics(self) -> "_Lagging":
        rest = torch.zeros(1, self.n_inputs + self.n_kept, dtype=self.dtype, device=self.torch_device)
        return _Lagging(self, rest)

    @property
    def sample_rate_hz(self) -> float:
        """See `Board.sample_rate_hz`."""
        return self.options.sample_rate_hz

    @property
    def n_kept(self) -> int:
        """Return how many voltages inside outlast a sample; see `respond_after`."""
        return 0

    @abstractmethod
    def respond(self, volts: Tensor) -> Tensor:
        """Return the settled readings, without noise, differentiably where the physics is.

        Args:
            volts: Shape `(batch, n_inputs)`, in V.

        Returns:
            Volts, shape `(batch, n_outputs)`.
        """

    def respond_live(self, volts: Tensor) -> Tensor:
        """Return the settled readings of one run, with what fluctuates inside the physics; `respond` without."""
        return self.respond(volts)

    def respond_after(self, volts: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `respond_live` does of samples that follow each other, and what is kept after the last one.

        Args:
            volts: Shape `(n, n_inputs)`, in V.
            kept: From before, shape `(1, n_kept)`, in V; 0 from rest.
        """
        return self.respond_live(volts), kept


class _Lagging:
    """A static board behind inputs that follow with one time constant; its state is these, and what is kept inside."""

    def __init__(self, board: StaticBoard, state_v: Tensor) -> None:
        self._board, self.state_v = board, state_v

    def run(self, volts: Tensor, steps: tuple[int, int], cut: Cut, period_s: float) -> Tensor:
        """See `pnnlab_drivers.sim._course.Running.run`."""
        rows = torch.arange(*steps, device=volts.device).clamp(max=len(volts) - 1)
        followed, kept = self.state_v.tensor_split([self._board.n_inputs], 1)
        met, followed = self._met(volts[rows][None], followed, cut, period_s)
        n_steps = len(rows)
        samples = volts.new_empty(n_steps, 0, self._board.n_outputs)
        if cut.n_samples:
            readings, kept = self._board.respond_after(met[0].flatten(0, 1), kept)
            samples = readings.unflatten(0, (n_steps, cut.n_samples))
        self.state_v = torch.cat([followed, kept], 1)
        return samples

    def from_rest(self, volts: Tensor, cut: Cut, period_s: float) -> Tensor:
        """See `pnnlab_drivers.sim.board.BoardPhysics.from_rest`."""
        rest = torch.zeros_like(volts[:, 0])
        met, _ = self._met(volts, rest, cut, period_s)
        samples: Tensor = self._board.respond(met.flatten(0, 2)).unflatten(0, met.shape[:-1])
        return samples

    def _met(self, volts: Tensor, state: Tensor, cut: Cut, period_s: float) -> tuple[Tensor, Tensor]:
        """Return what the physics meets at samples, shape `(batch, n, n_samples, n_in)`, and after the last step."""
        lag_s = self._board.options.lag_s
        if not lag_s:
            return volts[:, :, None].expand(-1, -1, cut.n_samples, -1), volts[:, -1]
        ends = torch.tensor(cut.lengths, dtype=torch.float64).cumsum(0) * (period_s / TICKS)
        left = torch.exp(-ends / lag_s).to(volts)
        within: list[Tensor] = []
        for target in volts.unbind(1):
            away = (state - target)[:, None]
            within.append(target[:, None] + away * left[: cut.n_samples, None])
            state = target + away[:, 0] * math.exp(-float(ends[-1]) / lag_s)
        return torch.stack(within, 1), state
