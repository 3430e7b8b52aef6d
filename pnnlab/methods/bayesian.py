"""Bayesian optimisation: a Gaussian process over few coordinates says which settings are worth measuring."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._population import Population, PopulationOptions

__all__ = ["Bayesian", "BayesianOptions"]

_PROPOSALS: Final = 1000
"""Settings that compete for each measurement: half drawn over the whole box, half near the best one."""


class BayesianOptions(PopulationOptions):
    """Options of the method `bayesian`; see `PopulationOptions` for the others.

    Attributes:
        spread: Half the side of the box that is searched, in control units, around where the model began.
        groups: Coordinates of the search, at most some 20; see `PopulationOptions`. `null` is for few controls.
        first: Settings drawn at random before the surrogate is asked.
        population: Settings that a step measures as one run, each drawn from the surrogate's own uncertainty.
        memory: Newest measurements that the surrogate is fitted to; its time grows as their third power.
    """

    spread: float = Field(default=0.25, gt=0)
    groups: int | None = Field(default=12, gt=0)
    first: int = Field(default=16, ge=4)
    population: int = Field(default=4, ge=1)
    memory: int = Field(default=300, ge=20)


class Bayesian(Population):
    """Gaussian-process surrogate with Thompson sampling (Kandasamy et al. 2018, AISTATS 84, 133).

    Some coordinates of the controls, random signed groups of them (a random subspace, as in Wang et al. 2013, IJCAI),
    are searched in a box. The surrogate (Matérn 5/2, a length and a noise that it learns; scikit-learn) is fitted to
    the losses so far; each setting of a step is where one function drawn from it is least. The model gets the setting
    of least predicted loss among those measured. That batches differ, the surrogate takes for noise: let them be large.
    For the programming parameters of a fixed scrambler; with thousands of controls it reaches what its few coordinates
    hold, and no more.
    """

    name: ClassVar[str] = "bayesian"
    summary: ClassVar[str] = "Gaussian-process surrogate of few coordinates, Thompson sampling (Kandasamy et al., 2018)"
    Options: ClassVar[type[MethodOptions]] = BayesianOptions
    options: BayesianOptions

    def begin(self, z: Tensor) -> None:
        """See `Population.begin`."""
        self._middle = z
        self._settings = torch.empty(0, len(z), dtype=torch.float64)  # in units of the spread, from the middle
        self._losses = torch.empty(0, dtype=torch.float64)
        self._log_scales: Tensor | None = None

    def ask(self) -> Tensor:
        """See `Population.ask`."""
        n = len(self._middle)
        if len(self._losses) < self.options.first:
            count = min(self.options.population, self.options.first - len(self._losses))
            chosen = self._box(count, n)
            if not len(self._losses):
                chosen[0] = 0.0
        else:
            chosen = self._sampled()
        return self._middle + self.options.spread * chosen.to(self._middle.dtype)

    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """See `Population.tell`."""
        told = (settings - self._middle).double() / self.options.spread
        self._settings = torch.cat([self._settings, told])[-self.options.memory :]
        self._losses = torch.cat([self._losses, losses])[-self.options.memory :]
        best = int(self._losses.argmin())
        if len(self._losses) >= self.options.first:
            best = int(self._surrogate().predict(self._settings.numpy()).argmin())
        return self._middle + self.options.spread * self._settings[best].to(self._middle.dtype)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        own = {
            "settings": self._settings,
            "losses": self._losses,
            "log_scales": self._log_scales,
            "middle": self._middle,
        }
        return {**super().state(), **own}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._settings, self._losses = state["settings"], state["losses"]
        self._log_scales, self._middle = state["log_scales"], state["middle"]

    def _box(self, count: int, n: int) -> Tensor:
        return 2 * torch.rand(count, n, generator=self.draws, dtype=torch.float64) - 1

    def _sampled(self) -> Tensor:
        """Return settings, each where a function drawn from the surrogate is least."""
        surrogate, n = self._surrogate(), self._settings.shape[1]
        best = self._settings[int(surrogate.predict(self._settings.numpy()).argmin())]
        near = best + 0.1 * torch.randn(_PROPOSALS // 2, n, generator=self.draws, dtype=torch.float64)
        proposals = torch.cat([self._box(_PROPOSALS - len(near), n), near.clamp(-1, 1)])
        seed = int(torch.randint(2**31 - 1, (), generator=self.draws))
        drawn = surrogate.sample_y(proposals.numpy(), self.options.population, random_state=seed)
        return proposals[torch.from_numpy(drawn).argmin(0)]

    def _surrogate(self) -> Any:
        """Return a Gaussian process of the losses so far."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import Matern, WhiteKernel

        kernel = Matern(1.0, (0.1, 30.0), nu=2.5) + WhiteKernel(0.1, (1e-5, 3.0))
        if self._log_scales is not None:
            kernel = kernel.clone_with_theta(self._log_scales.numpy())
        surrogate = GaussianProcessRegressor(kernel, alpha=1e-9, normalize_y=True)
        with warnings.catch_warnings():
            # a length at the end of its range is an answer, too
            warnings.simplefilter("ignore", ConvergenceWarning)
            surrogate.fit(self._settings.numpy(), self._losses.numpy())
        self._log_scales = torch.from_numpy(surrogate.kernel_.theta.copy())
        return surrogate
