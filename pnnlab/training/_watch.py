"""What is looked at every so often while a training goes on, at the price of some shots."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods import LossFunction
from pnnlab.nn import FidelityConfig, gradient_fidelity

__all__ = ["FidelityWatch", "FidelityWatchConfig", "Tell", "Watch"]

Tell = Callable[[str], None]
"""Told in words what a person should know."""


class Watch(Protocol):
    """Looks at bench and twins between steps of a training.

    Attributes:
        every: Steps between two looks.
    """

    every: int

    def begin(self) -> None:
        """Take what later looks are compared with; called before the first step."""

    def look(self, step: int) -> dict[str, float]:
        """Return metrics; called after the step.

        Raises:
            RunError: Training should not go on.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return what later looks depend on: plain containers and tensors."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""


class FidelityWatchConfig(FidelityConfig):
    """The key `fidelity` of a recipe: how often and how well gradients of twin and bench are compared.

    Attributes:
        every: Steps between two comparisons.
    """

    directions: int = Field(default=16, ge=4)
    inputs: bool = False
    every: int = Field(default=50, gt=0)


class FidelityWatch:
    """Logs the cosine and norm ratio of the twin's gradient and the bench's, each layer's by its number.

    Args:
        model: That is trained.
        data: Inputs and targets; the same first samples are taken every time.
        loss: As in training.
        config: How.
        seed: Of the random directions.
    """

    def __init__(
        self, model: nn.Module, data: tuple[Tensor, Tensor], loss: LossFunction, config: FidelityWatchConfig, seed: int
    ) -> None:
        self.every = config.every
        self._model, self._loss, self._config, self._seed = model, loss, config, seed
        self._x, self._y = data[0][: config.samples], data[1][: config.samples]

    def begin(self) -> None:
        """See `Watch.begin`: nothing is compared with the beginning."""

    def look(self, step: int) -> dict[str, float]:
        """See `Watch.look`."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_037 + step)
        found = gradient_fidelity(self._model, self._x, self._y, self._loss, self._config, generator=generator)
        metrics: dict[str, float] = {}
        for one in found:
            name = f"{one.of}_{one.layer}"
            metrics |= {
                f"fidelity_cosine_{name}": one.cosine, f"fidelity_cosine_error_{name}": one.cosine_error,
                f"fidelity_ratio_{name}": one.ratio,
            }  # fmt: skip
        return metrics

    def state(self) -> dict[str, Any]:
        """See `Watch.state`: every look draws its directions from its own step."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Watch.load_state`."""
