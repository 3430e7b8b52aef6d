"""Particle swarm: settings fly, each drawn to the best that it has met and to the best that any has met."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._population import Population, PopulationOptions

__all__ = ["ParticleSwarm", "ParticleSwarmOptions"]


class ParticleSwarmOptions(PopulationOptions):
    """Options of the method `particle_swarm`; see `PopulationOptions` for the others.

    Attributes:
        particles: Settings in flight.
        inertia: w, the part of a velocity that is kept.
        own: c1, the pull to a particle's own best.
        common: c2, the pull to the best of all.
        measure_bests: Measure every particle's own best again on each batch, at twice the cost; else what they had on
            the batches of the past counts, which is right where every step has the same batch.
    """

    particles: int = Field(default=20, ge=2)
    inertia: float = Field(default=0.7, ge=0, lt=1)
    own: float = Field(default=1.5, ge=0)
    common: float = Field(default=1.5, ge=0)
    measure_bests: bool = True


class ParticleSwarm(Population):
    """`v ← w v + c1 r1 (p - x) + c2 r2 (g - x)`, `x ← x + v` with r1, r2 drawn evenly from 0 to 1 for each control.

    Kennedy & Eberhart 1995, Proc. ICNN 4, 1942, with the inertia of Shi & Eberhart 1998. The swarm spans a subspace of
    as many dimensions as it has particles, so it suits tens of controls; give it `groups` where there are thousands.
    """

    name: ClassVar[str] = "particle_swarm"
    summary: ClassVar[str] = "settings fly between their own and the common best (Kennedy & Eberhart, ICNN 1995)"
    Options: ClassVar[type[MethodOptions]] = ParticleSwarmOptions
    options: ParticleSwarmOptions

    def begin(self, z: Tensor) -> None:
        """See `Population.begin`."""
        shape = (self.options.particles, len(z))
        self._x = z + self.options.spread * self.normal(*shape)
        self._x[0] = z
        self._v = self.options.spread * self.normal(*shape)
        self._best = self._x.clone()
        self._best_loss = torch.full((len(self._x),), torch.inf, dtype=torch.float64)

    def ask(self) -> Tensor:
        """See `Population.ask`."""
        again = self.options.measure_bests and self._k > 0
        return torch.cat([self._x, self._best]) if again else self._x

    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """See `Population.tell`."""
        count = len(self._x)
        if len(settings) > count:
            self._best_loss = losses[count:]
        better = losses[:count] < self._best_loss
        self._best = torch.where(better[:, None], self._x, self._best)
        self._best_loss = torch.where(better, losses[:count], self._best_loss)
        leader = self._best[self._best_loss.argmin()]
        own, common = (self.even(*self._x.shape) for _ in range(2))
        self._v = (
            self.options.inertia * self._v
            + self.options.own * own * (self._best - self._x)
            + self.options.common * common * (leader - self._x)
        )
        self._x = self._x + self._v
        return leader

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        own = {"x": self._x, "v": self._v, "best": self._best, "best_loss": self._best_loss}
        return {**super().state(), **own}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._x, self._v = state["x"], state["v"]
        self._best, self._best_loss = state["best"], state["best_loss"]
