"""The differentiable stand-in for one system."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError

__all__ = ["DigitalTwin", "Interface", "StagedTwin"]


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

    def in_units(self, who: str, kind: str) -> tuple[Callable[..., tuple[Tensor, ...]], Callable[[Tensor], Tensor]]:
        """Return `to_setpoints` and `decode`, for a twin that is written in the devices' units.

        Args:
            who: The twin's class.
            kind: For which system it is made, as `a system of the kind mesh`.

        Raises:
            TwinError: The interface does not tell them.
        """
        if self.to_setpoints is None or self.decode is None:
            raise TwinError(f"{who}: it needs to know how drives become volts; make it for {kind}")
        return self.to_setpoints, self.decode


class DigitalTwin(nn.Module, ABC):
    """A differentiable model `y = twin(*drive)` of what follows the encoder of a system.

    Outputs arise in stages, with a state behind each that a bench may be able to read. Here there is one stage, whose
    state is the output; a `StagedTwin` knows more of them.

    Args:
        interface: The system's shapes.
    """

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        self._learned: frozenset[str] | None = None

    @abstractmethod
    def forward(self, *drive: Tensor) -> Tensor:
        """Return normalised outputs, shape `(batch, n_out)`, of drives shaped as `Interface.drive_shapes`."""

    # Stages

    @property
    def n_stages(self) -> int:
        """Return in how many stages outputs arise."""
        return 1

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """Return the state behind a stage, counted from 0, batch first; real or complex.

        Args:
            stage: Which.
            state: The state before it; `None` for the first stage.
            drive: As in `forward`.
        """
        y: Tensor = self(*drive)
        return y

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """Return what a bench reads of the state behind a stage: outputs behind the last one."""
        return state

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """Return the state that is next to the twin's own and has the reading that was taken."""
        return reading

    def replay(self, drive: Sequence[Tensor], readings: Sequence[Tensor]) -> Tensor:
        """Return outputs whose gradient is taken with every state where it was read, not where the twin has it.

        Args:
            drive: As in `forward`.
            readings: Of the last states, those behind the last stage at the end; of earlier stages nothing is known.
        """
        known = (*[None] * (self.n_stages - len(readings)), *readings[-self.n_stages :])
        state: Tensor | None = None
        for stage, reading in enumerate(known):
            state = self.advance(stage, state, *drive)
            if reading is not None:
                there = self.anchored(stage, state.detach(), reading)
                # the value that was read with the gradient of the twin
                state = there.detach() + (state - state.detach())
        assert state is not None  # noqa: S101 (there is a stage)
        return self.reading(self.n_stages - 1, state)

    # Learning

    @property
    def learned(self) -> dict[str, nn.Parameter]:
        """Return the parameters that fitting may change, by their names."""
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if (parameter.requires_grad if self._learned is None else name in self._learned)
        }

    def freeze(self) -> None:
        """Stop asking for gradients of parameters; `learned` goes on telling what fitting may change."""
        self._learned = frozenset(self.learned)
        self.requires_grad_(False)

    @contextmanager
    def learning(self) -> Iterator[list[nn.Parameter]]:
        """Ask for gradients of what fitting may change, and of nothing else, meanwhile; frozen afterwards."""
        self.freeze()
        parameters = list(self.learned.values())
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            yield parameters
        finally:
            self.requires_grad_(False)

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


class StagedTwin(DigitalTwin):
    """A twin that knows the states between drive and outputs: it writes `advance`, `reading` and `anchored`."""

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        state: Tensor | None = None
        for stage in range(self.n_stages):
            state = self.advance(stage, state, *drive)
        assert state is not None  # noqa: S101 (there is a stage)
        return self.reading(self.n_stages - 1, state)

    @abstractmethod
    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`."""
