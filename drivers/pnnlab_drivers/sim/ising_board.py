"""An Ising machine that anneals."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import MOST_SPINS, IsingMachine, SpinStates
from pnnlab_drivers.sim._node_board import NodeBoard, NodeBoardOptions, NodeSetting
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["IsingBoard", "IsingBoardOptions"]


class IsingBoardOptions(NodeBoardOptions):
    """The options of the plant `sim-ising`.

    Attributes:
        asymmetry: Relative standard deviation by which what one spin feels of another differs from what the other feels
            of it.
        temperature: At which spins are read, in units in which couplings are.
        hot: Temperature at which each read begins, in units of that one.
        sweeps: Sweeps of each read.
        reads: How often a shot is annealed and read; `null` for infinitely often and slowly, which few spins allow.
    """

    asymmetry: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    hot: float = Field(default=4.0, ge=1)
    sweeps: int = Field(default=20, gt=0)
    reads: int | None = Field(default=200, gt=0)


class IsingBoard(NodeBoard):
    """Annealed spins between `sim-dac` and `sim-adc`; see `pnnlab.physics.IsingMachine`.

    The channels of the ADC are the means of all free spins over the reads of a shot, then those of the products of all
    pairs of free spins.
    """

    Options: ClassVar[type[PlantOptions]] = IsingBoardOptions
    options: IsingBoardOptions

    def __init__(self, name: str, options: IsingBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        options, n = self.options, self.graph.n_free
        self.machine = IsingMachine(
            self.skew(n, options.asymmetry), temperature=options.temperature, hot=options.hot, sweeps=options.sweeps
        ).to(self.torch_device)
        self._states = SpinStates(n, self.dtype) if n <= MOST_SPINS else None

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        n = self.graph.n_free
        return n + n * (n - 1) // 2

    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """See `NodeBoard.readings`.

        Raises:
            DeviceError: The mean of infinitely many reads is asked for, and there are too many spins, or they have no
                energy.
        """
        acting = self.graph.acting(setting.inputs, setting.couplings, setting.biases).nudged(setting.nudge)
        if noise is not None and self.options.reads is not None:
            return self.machine.moments(self.machine.sample(acting, self.options.reads, noise, clamp=setting.clamp))
        if self._states is None or self.options.asymmetry:
            raise DeviceError(
                f"{self.name}: the mean of infinitely many reads is asked for, which can be told of up to {MOST_SPINS} "
                f"spins that feel each other alike, not of {self.graph.n_free} with an asymmetry of "
                f"{self.options.asymmetry:g}; let `reads` be a number"
            )
        probability = self.machine.probability(acting, self._states)
        if setting.clamp is not None:
            probability = self._held(probability, setting.clamp)
        return self._states.moments(probability)

    def _held(self, probability: Tensor, clamp: Tensor) -> Tensor:
        """Return the probabilities of states in which outputs are held at +1 or -1."""
        assert self._states is not None  # noqa: S101 (asked by readings alone)
        outputs = self._states.spins[:, -clamp.shape[-1] :]
        fits = ((outputs * clamp.unsqueeze(1)) > 0) | clamp.isnan().unsqueeze(1)
        kept = probability * fits.all(-1)
        return kept / kept.sum(-1, keepdim=True)
