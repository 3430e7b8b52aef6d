"""The shots that training took last, kept for twins to learn from at no extra shot."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pnnlab.nn._layer import PhysicalLayer
from pnnlab.twins import ShotSet

__all__ = ["RecentShots"]


class _Ring:
    """Batches of shots, the oldest forgotten once there are more shots than are to be kept."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.total = capacity, 0
        self.batches: deque[ShotSet] = deque()

    def append(self, batch: ShotSet) -> None:
        """Keep a batch."""
        self.batches.append(batch)
        self.total += len(batch)
        while self.total - len(self.batches[0]) >= self.capacity:
            self.total -= len(self.batches.popleft())


class RecentShots:
    """Keeps every shot that a model's physical layers measure, by the system's name, up to a number of the last ones.

    Shots are kept in whole batches, so a few more than asked for may be there. Mutable: it grows as training measures.

    Args:
        model: With physical layers; layers of the same system are kept together.
        capacity: Shots to keep of each system.
    """

    def __init__(self, model: nn.Module, capacity: int) -> None:
        self._layers = [module for module in model.modules() if isinstance(module, PhysicalLayer)]
        self._rings = {layer.system.name: _Ring(capacity) for layer in self._layers}
        for layer in self._layers:
            layer.recorders.append(self._rings[layer.system.name])

    def shots(self) -> dict[str, ShotSet]:
        """Return what was kept, oldest first; systems without shots are left out."""
        return {name: ShotSet.join(list(ring.batches)) for name, ring in self._rings.items() if ring.batches}

    def draw(self, system: str, n_shots: int, generator: torch.Generator) -> list[ShotSet]:
        """Return batches as they were measured, drawn without repetition until they have so many shots; or all."""
        batches, drawn, total = self._rings[system].batches, [], 0
        for index in torch.randperm(len(batches), generator=generator).tolist():
            if total >= n_shots:
                break
            drawn.append(batches[index])
            total += len(drawn[-1])
        return drawn

    def clear(self) -> None:
        """Forget all that was kept, as after the bench has moved."""
        for ring in self._rings.values():
            ring.batches.clear()
            ring.total = 0

    def close(self) -> None:
        """Keep no more."""
        for layer in self._layers:
            layer.recorders.remove(self._rings[layer.system.name])

    def state(self) -> dict[str, Any]:
        """Return what was kept as plain tensors."""
        return {
            name: [(list(batch.drive), batch.y, list(batch.states)) for batch in ring.batches]
            for name, ring in self._rings.items()
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.clear()
        for name, batches in state.items():
            for drive, y, states in batches:
                self._rings[name].append(ShotSet(tuple(drive), y, tuple(states)))
