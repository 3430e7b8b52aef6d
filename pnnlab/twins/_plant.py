"""The truth of a simulated system in the place of a twin."""

from typing import Literal

import torch
from torch import Tensor

from pnnlab.errors import TwinError
from pnnlab.quantities import FrozenModel
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["PlantTwin", "PlantTwinConfig"]


class PlantTwinConfig(FrozenModel):
    """A twin of the kind `plant` in a recipe: the exact gradient, for ceilings on simulated benches."""

    kind: Literal["plant"] = "plant"


class PlantTwin(DigitalTwin):
    """The simulated plant's own noise-free response, with its exact gradient.

    Args:
        config: Nothing to choose.
        interface: The shapes of a simulated system.
        dtype: Of the outputs.

    Raises:
        TwinError: The system is real.
    """

    def __init__(self, config: PlantTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        if interface.expected is None:
            raise TwinError("PlantTwin: only simulated systems tell the truth; fit another twin to this one")
        self._expected = interface.expected

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        return self._expected(*drive)
