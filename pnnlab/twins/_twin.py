"""The differentiable stand-in for one system."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError

__all__ = ["DigitalTwin", "Interface"]


@dataclass(frozen=True)
class Interface:
    """What a twin must know of its system to fit onto it.

    Attributes:
        drive_shapes: Shape of each actuator's drive, without the batch.
        output_shape: Layout of the outputs; their number is its product.
        periodic: Whether drives are phases in turns, so that 0 and 1 are the same.
        shared: Index of the drives that a whole batch shares, and which therefore have no batch dimension.
        to_setpoints: Turns a drive into the devices' units (V, S), for twins that are written in them.
        decode: Turns a sensor's readings (V, A) into outputs.
        expected: The truth of a simulated system, drive to outputs; `None` for a real one.
    """

    drive_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    periodic: bool = False
    shared: frozenset[int] = frozenset()
    to_setpoints: Callable[..., tuple[Tensor, ...]] | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    expected: Callable[..., Tensor] | None = None

    @property
    def n_out(self) -> int:
        """Return the number of outputs."""
        return int(torch.Size(self.output_shape).numel())


class DigitalTwin(nn.Module, ABC):
    """A differentiable model `y = twin(*drive)` of what follows the encoder of a system.

    Args:
        interface: The system's shapes.
    """

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface

    @abstractmethod
    def forward(self, *drive: Tensor) -> Tensor:
        """Return normalised outputs, shape `(batch, n_out)`, of drives shaped as `Interface.drive_shapes`."""

    def check(self, *drive: Tensor) -> None:
        """Compare drives with the interface.

        Raises:
            TwinError: They belong to another system.
        """
        found = tuple(tuple(d.shape) if k in self.interface.shared else tuple(d.shape[1:]) for k, d in enumerate(drive))
        if found != self.interface.drive_shapes:
            raise TwinError(
                f"{type(self).__name__}: drives have shapes {found} without the batch, "
                f"expected {self.interface.drive_shapes}; was it made for another system?"
            )
