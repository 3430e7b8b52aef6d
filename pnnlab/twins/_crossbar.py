"""The twin of a crossbar."""

from typing import Literal

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.quantities import FrozenModel
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["CrossbarTwin", "CrossbarTwinConfig"]


class CrossbarTwinConfig(FrozenModel):
    """A twin of the kind `crossbar` in a recipe: Ohm and Kirchhoff, with a gain and an offset of each cell to learn."""

    kind: Literal["crossbar"] = "crossbar"


class CrossbarTwin(DigitalTwin):
    """I = v (g ∘ a + b): each cell's conductance with a learned gain a and offset b, and a learned output offset.

    As designed a is 1 and b is 0. Fitting finds what a cell does of what it was told: write error, drift, stuck cells
    and, to first order, the attenuation by the wires.

    Args:
        config: Nothing to choose.
        interface: The system's shapes and units; drives are row voltages and conductances.
        dtype: Floating type.

    Raises:
        TwinError: The system is no crossbar.
    """

    def __init__(self, config: CrossbarTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        if interface.to_setpoints is None or interface.decode is None or len(interface.drive_shapes) != 2:
            raise TwinError(f"CrossbarTwin: it stands in for a crossbar system, found drives {interface.drive_shapes}")
        self._to_setpoints, self._decode = interface.to_setpoints, interface.decode
        self.gain = nn.Parameter(torch.ones(interface.drive_shapes[1], dtype=dtype))
        self.offset = nn.Parameter(torch.zeros(interface.drive_shapes[1], dtype=dtype))
        self.output_offset = nn.Parameter(torch.zeros(interface.n_out, dtype=dtype))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        rows, cells = drive
        volts, siemens = self._to_setpoints(rows, cells * self.gain + self.offset)
        return self._decode(volts @ siemens) + self.output_offset
