"""Greedy Boolean learning: one mirror is flipped, and flipped back if the error does not fall."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._controls import ControlVector
from pnnlab.methods._levels import Levels
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._search import LocalSearch, SearchOptions

__all__ = ["GreedyBoolean", "GreedyBooleanOptions"]


class GreedyBooleanOptions(SearchOptions):
    """Options of the method `greedy_boolean`; see `SearchOptions` for the others.

    Attributes:
        levels: Values of a control: 2 is Boolean, 3 ternary.
        flips: Controls that are changed at once.
    """

    levels: Literal[2, 3] = 2
    flips: int = Field(default=1, gt=0)


class GreedyBoolean(LocalSearch):
    """Reward-based learning of Boolean controls (Bueno et al. 2018, Optica 5, 756).

    Controls begin at the nearest of two levels: 0 or half a turn of phase, or an end of a bounded range (the mirror
    looks at the detector, or away). One after the other, in an order that is drawn anew for each round through all, a
    control is changed; the change stays if the error falls, else it is taken back. So the error of a batch only falls,
    to a minimum that no single change can improve; where all nodes have a large mean in common, which only swaps keep,
    that can be far from the best. With `temperature` it is the annealed variant.
    """

    name: ClassVar[str] = "greedy_boolean"
    summary: ClassVar[str] = (
        "Boolean controls flipped one by one, kept where the error falls (Bueno et al., Optica 2018)"
    )
    Options: ClassVar[type[MethodOptions]] = GreedyBooleanOptions
    options: GreedyBooleanOptions

    def searched(self, model: nn.Module) -> ControlVector:
        """See `LocalSearch.searched`."""
        return ControlVector(model, generator=self.draws)

    def begin(self) -> None:
        """See `LocalSearch.begin`."""
        self._levels = Levels(self.controls, self.options.levels)
        self.controls.write(self._levels.nearest(self.controls.read()))
        self._waiting = torch.empty(0, dtype=torch.int64)

    def changes(self, z: Tensor, count: int) -> Tensor:
        """See `LocalSearch.changes`."""
        numbers = self._levels.numbers(z).repeat(count, 1)
        for row in numbers:
            chosen = self._next(min(self.options.flips, len(z)))
            step = torch.randint(1, self.options.levels, (len(chosen),), generator=self.draws)
            row[chosen] = (row[chosen] + step) % self.options.levels
        return self._levels.at(numbers)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "waiting": self._waiting}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._waiting = state["waiting"]

    def _next(self, count: int) -> Tensor:
        """Return the controls whose turn it is."""
        if len(self._waiting) < count:
            self._waiting = torch.randperm(self.controls.n, generator=self.draws)
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        return chosen
