"""CMA-ES: a Gaussian cloud of controls learns the shape of the loss."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._population import Population, PopulationOptions

__all__ = ["CmaEs", "CmaEsOptions"]

_LARGEST_FULL: Final = 500
"""Up to so many controls the whole covariance matrix is learned: its memory grows as P², its time as P³."""
_OWN: Final = "cma."
"""Objects of the library are looked into for the numbers that they keep."""


class CmaEsOptions(PopulationOptions):
    """Options of the method `cma_es`; see `PopulationOptions` for the others.

    Attributes:
        population: Settings a step; `null` takes 4 + 3 ln n.
        covariance: `full` learns how all controls depend on each other, `separable` a width for each only; `auto` takes
            the first up to 500 controls.
    """

    population: int | None = Field(default=None, ge=4)
    covariance: Literal["auto", "full", "separable"] = "auto"


class CmaEs(Population):
    """Covariance matrix adaptation (Hansen & Ostermeier 2001, Evol. Comput. 9, 159), by the library `cma`.

    The model gets the mean of the cloud. Beyond some hundred controls the covariance matrix is out of reach: then only
    its diagonal is learned (Ros & Hansen 2008), or the controls are moved in `groups`, whose matrix is.
    """

    name: ClassVar[str] = "cma_es"
    summary: ClassVar[str] = "covariance matrix adaptation (Hansen & Ostermeier, Evol. Comput. 9, 2001; library cma)"
    Options: ClassVar[type[MethodOptions]] = CmaEsOptions
    options: CmaEsOptions

    def begin(self, z: Tensor) -> None:
        """See `Population.begin`."""
        self._strategy = self._fresh(z.double().numpy())

    def ask(self) -> Tensor:
        """See `Population.ask`."""
        self._asked = self._strategy.ask()
        return torch.from_numpy(np.array(self._asked)).to(self.controls.dtype)

    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """See `Population.tell`."""
        # the very numbers that it asked for, not rounded to the system's precision: others would count as injected
        self._strategy.tell(self._asked, losses.tolist())
        return torch.from_numpy(np.array(self._strategy.mean)).to(self.controls.dtype)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "strategy": dict(_numbers(self._strategy))}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        # a strategy that has made a step has a place for every number
        strategy = self._fresh(np.zeros(self.controls.n))
        if int(state["k"]):
            settings = strategy.ask()
            strategy.tell(settings, list(range(len(settings))))
        for path, saved in state["strategy"].items():
            owner: Any = strategy
            *above, name = path.split(".")
            for part in above:
                owner = getattr(owner, part)
            setattr(owner, name, _restored(saved))
        self._strategy = strategy
        super().load_state(state)

    def _fresh(self, z: npt.NDArray[np.float64]) -> Any:
        import cma

        full = self.options.covariance == "full" or (self.options.covariance == "auto" and len(z) <= _LARGEST_FULL)
        options = {"randn": self._normal, "verbose": -9, "verb_log": 0, "seed": np.nan, "CMA_diagonal": not full}
        if self.options.population is not None:
            options["popsize"] = self.options.population
        return cma.CMAEvolutionStrategy(z, self.options.spread, options)

    def _normal(self, *shape: int) -> npt.NDArray[np.float64]:
        """Draw standard normal numbers from the method's own source, for the library."""
        return torch.randn(shape, generator=self.draws, dtype=torch.float64).numpy()


def _numbers(thing: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the path of attributes and the value of all numbers that an object of the library keeps.

    The library can pickle itself, but a checkpoint holds numbers only, because a pickle could do anything.
    """
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    for name, value in vars(thing).items():
        if _holds_numbers(value):
            yield path + name, _plain(value)
        elif (
            type(value).__module__.startswith(_OWN)
            and not isinstance(value, dict | list)
            and hasattr(value, "__dict__")
        ):
            yield from _numbers(value, f"{path}{name}.", seen)


def _holds_numbers(value: Any) -> bool:
    if type(value) is list:  # the library's own kinds of lists hold constants
        return all(_holds_numbers(entry) for entry in value)
    if isinstance(value, np.ndarray):
        return bool(value.dtype != object)
    return value is None or isinstance(value, bool | int | float | np.number)


def _plain(value: Any) -> Any:
    """Return numbers as a checkpoint holds them."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    return value.item() if isinstance(value, np.number) else value


def _restored(saved: Any) -> Any:
    """Return numbers as the library holds them."""
    if isinstance(saved, list):
        return [_restored(entry) for entry in saved]
    return saved.numpy().copy() if isinstance(saved, Tensor) else saved
