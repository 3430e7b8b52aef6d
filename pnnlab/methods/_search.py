"""What methods share that try a change and keep it or not."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._controls import ControlVector
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["LocalSearch", "SearchOptions"]


class SearchOptions(MethodOptions):
    """Options that all methods share which try changes.

    Attributes:
        rounds: Changes that are tried on one batch, one after the other; each costs the shots of a batch, and one more
            is the loss of the controls as they are.
        candidates: Changes that are measured in a round, as one run of the bench; the best of them is the one tried.
        temperature: A change for the worse by dL is kept with the probability exp(-dL / T); 0 keeps none.
        last_temperature: T at the end of training, as a part of the first one; it falls geometrically.
        repeats: How often each loss is measured; the mean counts.
    """

    rounds: int = Field(default=4, gt=0)
    candidates: int = Field(default=1, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    last_temperature: float = Field(default=1e-3, gt=0, le=1)
    repeats: int = Field(default=1, gt=0)


class LocalSearch(TrainingMethod):
    """Changes are tried on one batch and kept where the loss falls; the next batch begins where the last one ended.

    Without noise and without temperature the loss of a batch never rises in the course of a step.
    """

    needs_twin: ClassVar[bool] = False
    Options: ClassVar[type[MethodOptions]] = SearchOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self.draws = setting.generator()
        self.controls = self.searched(model)
        self._n_steps, self._k = setting.n_steps, 0
        self.begin()

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        options = self._shared
        measure = partial(
            self.controls.losses, x=x, target=target, loss=loss, micro_batch=self.micro_batch, repeats=options.repeats
        )
        z = self.controls.read()
        value, kept = float(measure(z[None])), 0
        for _ in range(options.rounds):
            changed = self.changes(z, options.candidates)
            losses = measure(changed)
            best = int(losses.argmin())
            if self._keeps(float(losses[best]) - value):
                z, value, kept = changed[best], float(losses[best]), kept + 1
        self.controls.write(z)
        self._k += 1
        return {"loss": value, "kept": kept / options.rounds}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"draws": self.draws.get_state(), "controls": self.controls.state(), "k": self._k}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self.draws.set_state(state["draws"])
        self.controls.load_state(state["controls"])
        self._k = int(state["k"])

    # For the methods

    @abstractmethod
    def searched(self, model: nn.Module) -> ControlVector:
        """Return the numbers that are searched."""

    def begin(self) -> None:
        """Make ready, once `controls` is known."""

    @abstractmethod
    def changes(self, z: Tensor, count: int) -> Tensor:
        """Return changed controls, shape `(count, n)`, for those that there are, shape `(n,)`."""

    @property
    def progress(self) -> float:
        """Return what part of all steps was made, from 0 to 1."""
        return min(self._k / self._n_steps, 1.0)

    @property
    def _shared(self) -> SearchOptions:
        assert isinstance(self.options, SearchOptions)  # noqa: S101 (every such method's options are)
        return self.options

    def _keeps(self, risen: float) -> bool:
        """Say whether a change is kept, by the rule of Metropolis."""
        if risen < 0:
            return True
        temperature = self._shared.temperature * self._shared.last_temperature**self.progress
        if temperature == 0:
            return False
        return float(torch.rand((), generator=self.draws)) < math.exp(-risen / temperature)
