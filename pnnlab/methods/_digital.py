"""Digital modules that a method trains beside the physics."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.methods._setting import Setting

__all__ = ["DigitalParts", "linear_map"]


class DigitalParts:
    """Modules with an optimiser and a source of random numbers of their own, and the state of all three.

    Args:
        modules: By name.
        setting: Of the training.
        learning_rate: Of Adam, in the modules' own units.
        generator: Where the method draws its random numbers from; its state is kept.

    Attributes:
        modules: See above.
        descent: Adam on the modules' parameters.
        generator: See above.
    """

    def __init__(
        self, modules: Mapping[str, nn.Module], setting: Setting, *, learning_rate: float, generator: torch.Generator
    ) -> None:
        self.modules = nn.ModuleDict(dict(modules))
        self.descent = setting.descent(self.modules.parameters(), learning_rate=learning_rate)
        self.generator = generator

    def descend(self, loss: Tensor) -> None:
        """Step down a loss; the learning rate stays (`descent.advance` goes on to the next)."""
        self.descent.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.descent.optimiser.step()

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on."""
        return {
            "modules": self.modules.state_dict(),
            "descent": self.descent.state(),
            "generator": self.generator.get_state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.modules.load_state_dict(state["modules"])
        self.descent.load_state(state["descent"])
        self.generator.set_state(state["generator"])


def linear_map(n_in: int, n_out: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Linear:
    """Return a linear layer whose weights and biases are drawn evenly within ±1/√n_in, as torch does by default."""
    made = nn.Linear(n_in, n_out, dtype=dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
    return made
