"""A network of springs with actuators and position sensors."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import SpringLoad, SpringNetwork
from pnnlab_drivers.sim._node_board import NodeBoard, NodeSetting, SettlingNodeOptions
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["SpringBoard", "SpringBoardOptions"]


class SpringBoardOptions(SettlingNodeOptions):
    """The options of the plant `sim-springs`; `coupling_spread` is that of stiffness, `bias_spread` of rest lengths.

    Attributes:
        ground: Stiffness of the spring that holds each free node at its drawn place.
    """

    ground: float = Field(default=0.3, gt=0)


class SpringBoard(NodeBoard):
    """Springs between `sim-dac` and `sim-adc`; see `pnnlab.physics.SpringNetwork`.

    Couplings are stiffnesses, which an actuator keeps above 0; biases are what it adds to each spring's rest length;
    1 V of input displaces a node by the distance of two layers. The channels of the ADC are the displacements of all
    free nodes along both axes, node by node.
    """

    Options: ClassVar[type[PlantOptions]] = SpringBoardOptions
    options: SpringBoardOptions

    def __init__(self, name: str, options: SpringBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        uneven = torch.randn(self.graph.n_pairs, dtype=self.dtype, generator=self.specimen("asymmetry"))
        network = SpringNetwork(
            self.graph, self.options.asymmetry * uneven, ground=self.options.ground,
            settling=self.settling_for(step=0.05),
        )  # fmt: skip
        self.network = network.to(self.torch_device)

    @property
    def n_biases(self) -> int:
        """See `NodeBoard.n_biases`: one a spring."""
        return self.graph.n_pairs

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return 2 * self.graph.n_free

    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """See `NodeBoard.readings`."""
        network, stiffness = self.network, setting.couplings.clamp(min=0.0)
        free = SpringLoad(setting.inputs, stiffness, setting.biases, torch.zeros_like(setting.nudge))
        state = network.relax(free, self.start_of(network.start(free), noise), generator=noise)
        if setting.clamp is not None or bool(setting.nudge.any()):
            pulled = SpringLoad(setting.inputs, stiffness, setting.biases, setting.nudge)
            state = network.relax(pulled, state, clamp=setting.clamp, generator=noise)
        return state
