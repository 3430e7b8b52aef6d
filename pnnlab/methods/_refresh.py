"""Twins that go on learning from the shots that training takes anyway."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.methods._method import MethodOptions, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import RecentShots
from pnnlab.twins import DigitalTwin, EnsembleTwin, ShotSet, stage_by_stage

__all__ = ["Comparison", "Refresh", "RefreshOptions", "of_outputs", "of_stages"]

Comparison = Callable[[DigitalTwin, ShotSet], Iterator[tuple[Tensor, Tensor]]]
"""What the twin says beside what was measured, of a batch of shots as it was measured."""


class RefreshOptions(MethodOptions):
    """How twins learn while the network does.

    Attributes:
        memory: Shots of each system that are kept to learn from; the oldest are forgotten.
        every: Steps of training between two refreshes.
        updates: Steps of the twin's optimiser at each refresh.
        batch: Shots of such a step at least; they are drawn batch by batch as they were measured.
        twin_learning_rate: Of the twin's own Adam, which stays as it is. Too large a rate lets the noise of a few shots
            spoil a large twin (at 1e-3 one of a million numbers lost half of its gradient's cosine); with too small a
            one it lags behind a bench that drifts fast.
    """

    memory: int = Field(default=2048, gt=0)
    every: int = Field(default=1, gt=0)
    updates: int = Field(default=1, gt=0)
    batch: int = Field(default=64, gt=0)
    twin_learning_rate: float = Field(default=3e-4, gt=0)


def of_outputs(twin: DigitalTwin, shots: ShotSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Compare outputs; each member of an ensemble by itself."""
    drive = _drive(twin, shots)
    yield (twin.each(*drive) if isinstance(twin, EnsembleTwin) else twin(*drive)), shots.y


def of_stages(twin: DigitalTwin, shots: ShotSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Compare all that was read inside, and outputs, each stage going on from what was read before it."""
    return stage_by_stage(twin, _drive(twin, shots), (*shots.states, shots.y))


class Refresh:
    """Learns the twins of a model's systems along, by the last shots that were measured.

    Mutable: `after_step` changes the twins.

    Args:
        model: With physical layers.
        setting: Of the training.
        options: How.
        compare: By what a twin is judged.

    Raises:
        TwinError: A twin has nothing to learn.
    """

    def __init__(
        self, model: nn.Module, setting: Setting, options: RefreshOptions, compare: Comparison = of_outputs
    ) -> None:
        self._options, self._compare = options, compare
        self._generator = setting.generator(1)
        self._recent = RecentShots(model, options.memory)
        self._twins = {layer.needed_twin(): layer.system.name for layer in physical_layers(model)}
        for twin, name in self._twins.items():
            twin.freeze()
            if not twin.learned:
                raise TwinError(
                    f"{name}: nothing of its twin ({type(twin).__name__}) can be learned along; choose a twin with "
                    "parameters, or the method physics_aware"
                )
        self._optimisers = [
            torch.optim.Adam(twin.learned.values(), lr=options.twin_learning_rate) for twin in self._twins
        ]
        self._steps = 0

    def after_step(self) -> dict[str, float]:
        """Refresh if it is time; return the twins' error before, in units of the readings' spread, by system."""
        self._steps += 1
        if self._steps % self._options.every:
            return {}
        metrics: dict[str, float] = {}
        for (twin, name), optimiser in zip(self._twins.items(), self._optimisers, strict=True):
            errors = [self._update(twin, name, optimiser) for _ in range(self._options.updates)]
            metrics[f"twin_error_{name}"] = errors[0]
        return metrics

    def _update(self, twin: DigitalTwin, name: str, optimiser: torch.optim.Optimizer) -> float:
        drawn = self._recent.draw(name, self._options.batch, self._generator)
        total, n_shots = torch.zeros(()), sum(map(len, drawn))
        with twin.learning():
            for shots in drawn:
                for said, read in self._compare(twin, shots):
                    # every reading counts by its own spread, as in fitting
                    error = (said - read).square().mean() / read.var().clamp(min=torch.finfo(read.dtype).tiny)
                    total = total + error * (len(shots) / n_shots)
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return math.sqrt(float(total.detach()))

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on: the twins, what they learn from and by."""
        return {
            "steps": self._steps,
            "generator": self._generator.get_state(),
            "recent": self._recent.state(),
            "twins": [twin.state_dict() for twin in self._twins],
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self._steps = int(state["steps"])
        self._generator.set_state(state["generator"])
        self._recent.load_state(state["recent"])
        for twin, kept in zip(self._twins, state["twins"], strict=True):
            twin.load_state_dict(kept)
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)


def _drive(twin: DigitalTwin, shots: ShotSet) -> tuple[Tensor, ...]:
    """Return the drive of a batch as it was applied: without repetition of what all its shots shared."""
    return tuple(d[0] if k in twin.interface.shared else d for k, d in enumerate(shots.drive))
