"""A board of Hopfield units."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import HopfieldNetwork
from pnnlab_drivers.sim._node_board import NodeBoard, NodeSetting, SettlingNodeOptions
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["HopfieldBoard", "HopfieldBoardOptions"]


class HopfieldBoardOptions(SettlingNodeOptions):
    """The options of the plant `sim-hopfield`.

    Attributes:
        compliance: By how much couplings and biases give way to what acts on them, see
            `pnnlab.physics.HopfieldNetwork`; where they do, their voltages are read, too. 0 for couplings that hold.
    """

    compliance: float = Field(default=0.0, ge=0)


class HopfieldBoard(NodeBoard):
    """Hopfield units between `sim-dac` and `sim-adc`; see `pnnlab.physics.HopfieldNetwork`.

    The channels of the ADC are the values of all free units, and, where they give way, all couplings and biases.
    """

    Options: ClassVar[type[PlantOptions]] = HopfieldBoardOptions
    options: HopfieldBoardOptions

    def __init__(self, name: str, options: HopfieldBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        skew = self.skew(self.graph.n_free, self.options.asymmetry)
        network = HopfieldNetwork(skew, self.settling_for(step=0.2), compliance=self.options.compliance)
        self.network = network.to(self.torch_device)

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        soft = self.graph.n_pairs + self.n_biases if self.options.compliance else 0
        return self.graph.n_free + soft

    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """See `NodeBoard.readings`."""
        network = self.network
        acting = self.graph.acting(setting.inputs, setting.couplings, setting.biases)
        state = network.relax(acting, self.start_of(network.start(acting), noise), generator=noise)
        if setting.clamp is not None or bool(setting.nudge.any()):
            state = network.relax(acting.nudged(setting.nudge), state, clamp=setting.clamp, generator=noise)
        values = network.values(state)
        if not self.options.compliance:
            return values
        both = torch.cat([setting.inputs, values], -1)
        met = torch.cat([both[:, self.graph.first] * both[:, self.graph.second], values], -1)
        asked = torch.cat([setting.couplings, setting.biases], -1)
        return torch.cat([values, asked + self.options.compliance * met], -1)
