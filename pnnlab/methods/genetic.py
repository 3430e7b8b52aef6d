"""Genetic algorithm: the better part of a population is crossed and mutated."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._levels import Levels
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._population import Population, PopulationOptions

__all__ = ["Genetic", "GeneticOptions"]


class GeneticOptions(PopulationOptions):
    """Options of the method `genetic`; see `PopulationOptions` for the others: `spread` is the first mutations' size.

    Attributes:
        population: Settings a step, the elite included.
        elite: Part of the population that lives on unchanged and has children.
        mutated: Part of a child's controls that mutate.
        last_mutation: Size of mutations at the end, as a part of the first ones'; it falls geometrically.
        levels: Controls have so many levels only, evenly over their range (2: Boolean), and mutations draw one of them;
            `null` for any value. Without `groups` only, and for physical controls only.
    """

    population: int = Field(default=40, ge=4)
    elite: float = Field(default=0.25, gt=0, lt=1)
    mutated: float = Field(default=0.1, gt=0, le=1)
    last_mutation: float = Field(default=0.1, gt=0, le=1)
    levels: int | None = Field(default=None, ge=2)


class Genetic(Population):
    """Elite, uniform crossover, mutation.

    Each step measures the whole population on its batch, keeps the best part as it is, and fills up with children: two
    parents of the elite, the better ones more often, each control from either, and some of them mutated. As in
    wavefront shaping (Conkey et al. 2012, Opt. Express 20, 4840), whose parents are drawn by rank, too. It takes
    quantised and Boolean controls, as of a micromirror device, as well as continuous ones.
    """

    name: ClassVar[str] = "genetic"
    summary: ClassVar[str] = "elite, crossover and mutation of settings (Conkey et al., Opt. Express 20, 4840, 2012)"
    Options: ClassVar[type[MethodOptions]] = GeneticOptions
    options: GeneticOptions

    def begin(self, z: Tensor) -> None:
        """See `Population.begin`."""
        options = self.options
        self._n_elite = max(2, round(options.elite * options.population))
        self._levels = None if options.levels is None else Levels(self.controls, options.levels)
        self._best = z if self._levels is None else self._levels.nearest(z)
        self._population = self._mutants(self._best.expand(options.population, -1), part=1.0)
        self._population[0] = self._best

    def ask(self) -> Tensor:
        """See `Population.ask`."""
        return self._population

    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """See `Population.tell`."""
        order = losses.argsort(stable=True)
        elite = settings[order[: self._n_elite]]
        n_children = len(settings) - len(elite)
        # linear ranking: the best parent is drawn as often as all are worse
        chances = torch.arange(len(elite), 0, -1, dtype=torch.float64)
        first, second = (
            elite[torch.multinomial(chances, n_children, replacement=True, generator=self.draws)] for _ in range(2)
        )
        children = torch.where(self.even(*first.shape) < 0.5, first, second)
        self._population = torch.cat([elite, self._mutants(children, part=self.options.mutated)])
        self._best = elite[0]
        return self._best

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "population": self._population, "best": self._best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._population, self._best = state["population"], state["best"]

    def _mutants(self, settings: Tensor, *, part: float) -> Tensor:
        """Return settings of which a part of the controls is changed at random."""
        chosen = self.even(*settings.shape) < part
        if self._levels is None:
            size = self.options.spread * self.options.last_mutation**self.progress
            return torch.where(chosen, settings + size * self.normal(*settings.shape), settings)
        return torch.where(chosen, self._levels.drawn(len(settings), self.draws), settings)
