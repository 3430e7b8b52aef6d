"""Natural evolution strategy: ranks of a Gaussian cloud move its middle and its widths along the natural gradient."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._population import Population, PopulationOptions

__all__ = ["Nes", "NesOptions", "rank_weights"]


class NesOptions(PopulationOptions):
    """Options of the method `nes`; see `PopulationOptions` for the others.

    Attributes:
        population: Settings a step; `null` takes 4 + 3 ln n, even.
        mean_rate: How fast the middle moves; 1 is the paper's.
        width_rate: How fast widths adapt; `null` takes the paper's (3 + ln n) / (5 √n).
    """

    population: int | None = Field(default=None, ge=4)
    mean_rate: float = Field(default=1.0, gt=0)
    width_rate: float | None = Field(default=None, ge=0)


class Nes(Population):
    """Separable natural evolution strategy, SNES (Schaul, Glasmachers & Schmidhuber 2011, GECCO; Wierstra et al. 2014).

    Settings μ + s ∘ ε with ε standard normal, in pairs ±ε; utilities u of their ranks; then
    `μ ← μ + η_μ s ∘ Σ u ε` and `s ← s · exp(η_s / 2 · Σ u (ε² - 1))`. The variant of `pepg` that counts ranks instead
    of losses and needs no optimiser: no scale of the loss matters. Its cost a step grows with the logarithm of the
    number of controls n; the number of steps grows with n.
    """

    name: ClassVar[str] = "nes"
    summary: ClassVar[str] = (
        "a Gaussian cloud of controls moves by ranks (SNES; Schaul et al. 2011, Wierstra et al. 2014)"
    )
    Options: ClassVar[type[MethodOptions]] = NesOptions
    options: NesOptions

    def begin(self, z: Tensor) -> None:
        """See `Population.begin`."""
        n = len(z)
        wanted = self.options.population or 4 + int(3 * math.log(n))
        self._pairs = -(-wanted // 2)
        rate = self.options.width_rate
        self._width_rate = (3 + math.log(n)) / (5 * math.sqrt(n)) if rate is None else rate
        self._mean, self._width = z, torch.full_like(z, self.options.spread)

    def ask(self) -> Tensor:
        """See `Population.ask`."""
        half = self.normal(self._pairs, len(self._mean))
        self._drawn = torch.cat([half, -half])
        return self._mean + self._width * self._drawn

    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """See `Population.tell`."""
        utilities = rank_weights(losses).to(self._mean.dtype)
        self._mean = self._mean + self.options.mean_rate * self._width * (utilities @ self._drawn)
        self._width = self._width * torch.exp(self._width_rate / 2 * (utilities @ (self._drawn.square() - 1)))
        return self._mean

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "mean": self._mean, "width": self._width}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._mean, self._width = state["mean"], state["width"]


def rank_weights(losses: Tensor) -> Tensor:
    """Return utilities of losses, shape `(k,)`: of the better half more, of the others less; they sum to 0.

    `max(0, ln(k/2 + 1) - ln(rank))`, divided by their sum, less 1/k (Wierstra et al. 2014, eq. of section 3.1).
    """
    k = len(losses)
    raw = (math.log(k / 2 + 1) - torch.arange(1, k + 1).double().log()).clamp_min(0)
    weights = torch.empty(k, dtype=torch.float64)
    weights[losses.argsort(stable=True)] = raw / raw.sum() - 1 / k
    return weights
