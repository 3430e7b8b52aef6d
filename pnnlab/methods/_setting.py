"""What a training method is told of the training that it serves."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.systems import System

__all__ = ["Descent", "Setting"]


class Descent:
    """Adam, with a learning rate that stays or falls to zero along a cosine.

    Args:
        parameters: What is trained; it may be nothing.
        learning_rate: To begin with, in the parameters' units.
        n_steps: Steps there will be.
        falls: Whether the learning rate falls.

    Attributes:
        optimiser: The torch optimiser, for gradients to be cleared and parameters to be seen.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, n_steps: int, *, falls: bool) -> None:
        # a group may be empty, a bare list may not: a network of one layer leaves some methods nothing of their own
        self.optimiser = torch.optim.Adam([{"params": list(parameters)}], lr=learning_rate)
        self._learning_rate, self._n_steps, self._falls = learning_rate, n_steps, falls
        self._step = 0

    def descend(self, loss: Tensor) -> None:
        """Step down the gradient of a loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.advance()

    def advance(self) -> None:
        """Go on to the learning rate of the next step; for whoever steps the optimiser itself, or not at all."""
        self._step += 1
        if self._falls:
            part = min(self._step / self._n_steps, 1.0)
            for group in self.optimiser.param_groups:
                group["lr"] = self._learning_rate * (1 + math.cos(math.pi * part)) / 2

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on."""
        return {"optimiser": self.optimiser.state_dict(), "step": self._step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.optimiser.load_state_dict(state["optimiser"])
        self._step = int(state["step"])


@dataclass(frozen=True, slots=True)
class Setting:
    """What a training method is told of the training that it serves.

    Attributes:
        n_in: Inputs of the task.
        n_classes: Classes of the task.
        n_steps: Steps there will be at most.
        learning_rate: Of the recipe.
        falls: Whether the recipe's learning rate falls to zero along a cosine.
        seed: Of everything random; a method draws from generators of its own.
        dtype: Floating type of inputs.
        systems: All systems of the bench by name, for methods that use one beside the model's layers
            (`TrainingMethod.systems`).
    """

    n_in: int
    n_classes: int
    n_steps: int
    learning_rate: float
    falls: bool = True
    seed: int = 0
    dtype: torch.dtype = torch.float32
    systems: Mapping[str, System] = field(default_factory=dict)

    def descent(self, parameters: Iterable[nn.Parameter], *, learning_rate: float | None = None) -> Descent:
        """Return an optimiser for a method's own parameters, with the recipe's schedule."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        return Descent(parameters, rate, self.n_steps, falls=self.falls)

    def generator(self, stream: int = 0) -> torch.Generator:
        """Return a source of random numbers that depends on the seed and the stream alone."""
        return torch.Generator().manual_seed(self.seed * 1_000_033 + stream)
