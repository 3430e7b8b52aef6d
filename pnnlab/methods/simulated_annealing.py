"""Simulated annealing: random changes, kept where they help, and at first where they do not."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._controls import ControlVector
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._search import LocalSearch, SearchOptions

__all__ = ["SimulatedAnnealing", "SimulatedAnnealingOptions"]


class SimulatedAnnealingOptions(SearchOptions):
    """Options of the method `simulated_annealing`; see `SearchOptions` for the others.

    Attributes:
        temperature: See `SearchOptions`, in units of the loss; 0 is hill climbing.
        change: Standard deviation of a control's change, in control units (turns of phase, parts of a bounded range).
        last_change: Its size at the end of training, as a part of the first one; it falls geometrically.
        changed: Part of the controls that a change concerns.
        groups: Move the controls in so many groups, drawn at random with random signs; `null` moves each by itself.
    """

    temperature: float = Field(default=0.01, ge=0)
    change: float = Field(default=0.02, gt=0)
    last_change: float = Field(default=0.2, gt=0, le=1)
    changed: float = Field(default=1.0, gt=0, le=1)
    groups: int | None = Field(default=None, gt=0)


class SimulatedAnnealing(LocalSearch):
    """Gaussian changes under the rule of Metropolis, while temperature and changes fall (Kirkpatrick et al. 1983).

    Science 220, 671. At temperature 0 it is the hill climbing of wavefront shaping and of photonic chips.
    """

    name: ClassVar[str] = "simulated_annealing"
    summary: ClassVar[str] = "random changes, those for the worse less and less (Kirkpatrick et al., Science 220, 1983)"
    Options: ClassVar[type[MethodOptions]] = SimulatedAnnealingOptions
    options: SimulatedAnnealingOptions

    def searched(self, model: nn.Module) -> ControlVector:
        """See `LocalSearch.searched`."""
        return ControlVector(model, groups=self.options.groups, generator=self.draws)

    def changes(self, z: Tensor, count: int) -> Tensor:
        """See `LocalSearch.changes`."""
        size = self.options.change * self.options.last_change**self.progress
        moves = size * torch.randn(count, len(z), generator=self.draws, dtype=z.dtype)
        if self.options.changed < 1:
            moves *= torch.rand(count, len(z), generator=self.draws) < self.options.changed
        changed: Tensor = z + moves
        return changed
