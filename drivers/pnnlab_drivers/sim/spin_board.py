"""A few quantum spins."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import MOST_SPINS, SpinNetwork
from pnnlab_drivers.sim._node_board import NodeBoard, NodeBoardOptions, NodeSetting
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["SpinBoard", "SpinBoardOptions"]


class SpinBoardOptions(NodeBoardOptions):
    """The options of the plant `sim-spins`.

    Attributes:
        transverse: Strength of the transverse field, see `pnnlab.physics.SpinNetwork`.
        temperature: Of the thermal state; 0 for the ground state.
        ramp: Time over which spins are brought from the transverse field into their state; `null` for as long as it
            takes.
        flip: Probability that a spin is read as the other, times `mismatch`.
        shots: How often the state is prepared and read; `null` for infinitely often.
    """

    transverse: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    ramp: float | None = Field(default=None, gt=0)
    flip: float = Field(default=0.0, ge=0, le=0.5)
    shots: int | None = Field(default=None, gt=0)


class SpinBoard(NodeBoard):
    """Quantum spins between `sim-dac` and `sim-adc`; see `pnnlab.physics.SpinNetwork`.

    Inputs are fields: an input node is a classical spin that is held. The channels of the ADC are the mean values of
    all Z_i of the free spins, then those of all their Z_i Z_j. Outputs cannot be held: a field only pulls on them.
    """

    Options: ClassVar[type[PlantOptions]] = SpinBoardOptions
    options: SpinBoardOptions
    has_clamp: ClassVar[bool] = False

    def __init__(self, name: str, options: SpinBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        options, n = self.options, self.graph.n_free
        if n > MOST_SPINS // 2:
            raise DeviceError(
                f"{name}: {n} spins beside the inputs are to be diagonalised, {MOST_SPINS // 2} can be; take fewer"
            )
        if options.ramp is not None and options.temperature:
            raise DeviceError(f"{name}: spins that are ramped have no temperature; set `temperature` 0, or `ramp` null")
        flip = torch.full((n,), options.flip * options.mismatch, dtype=self.dtype)
        network = SpinNetwork(
            flip, transverse=options.transverse, temperature=options.temperature, ramp=options.ramp
        )  # fmt: skip
        self.network = network.to(self.torch_device)

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        n = self.graph.n_free
        return n + n * (n - 1) // 2

    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """See `NodeBoard.readings`."""
        acting = self.graph.acting(setting.inputs, setting.couplings, setting.biases).nudged(setting.nudge)
        probability, states = self.network.probability(acting), self.network.states
        if noise is not None and self.options.shots is not None:
            probability = states.counted(probability.clamp(min=0.0), self.options.shots, noise)
        return states.moments(probability)
