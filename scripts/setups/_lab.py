"""What a trainer needs of a bench, for systems whose physics is a function."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from pnnlab.devices import SimulatedClock
from pnnlab.nn import PhysicalLayer
from pnnlab.training import Task
from pnnlab.twins import DigitalTwin
from scripts.setups._function import FunctionSystem

__all__ = ["Lab", "held_out", "layer_from"]


class Lab:
    """Systems and their time, as `pnnlab.training.Trainer` wants a bench.

    Args:
        systems: In any order, each with a name of its own.
        clock: Of all of them.

    Attributes:
        systems: By their names.
    """

    def __init__(self, systems: Sequence[FunctionSystem], clock: SimulatedClock) -> None:
        self.systems, self.clock = {system.name: system for system in systems}, clock

    def state(self) -> dict[str, object]:
        """Return what later readings depend on."""
        return {name: system.state() for name, system in self.systems.items()}

    def restore(self, state: dict[str, object]) -> None:
        """Go back to what `state` returned."""
        for name, system in self.systems.items():
            system.restore(cast(Mapping[str, Any], state[name]))


def layer_from(system: FunctionSystem, twin: DigitalTwin | None, setting: Tensor) -> PhysicalLayer:
    """Return a layer that starts from what its controls are to set; without a twin, the truth is its twin."""
    controls = setting if system.reach is None else (setting + system.reach) / (2 * system.reach)
    return PhysicalLayer(system, twin or system.twin(), controls=controls.flatten())


def held_out(
    name: str, learn: tuple[Tensor, Tensor], judge: tuple[Tensor, Tensor], *, grid: tuple[int, int], n_classes: int = 10
) -> Task:
    """Return a task that learns from all of `learn`; its validation set, which chooses nothing, is a part of that."""
    few = slice(0, 64)
    return Task(name, grid, n_classes, learn, (learn[0][few], learn[1][few]), judge)
