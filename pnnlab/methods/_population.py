"""What methods share that keep a population of settings of the controls."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._controls import ControlVector
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["Population", "PopulationOptions"]


class PopulationOptions(MethodOptions):
    """Options that all methods share which measure a population of settings in each step.

    Attributes:
        spread: How far the first population is from where the model began, the standard deviation of each control in
            control units: turns of phase, parts of the range of bounded controls, digital parameters as they are.
        groups: Move the controls in so many groups, drawn at random with random signs, and search that subspace only;
            `null` moves each by itself. It is what makes these methods usable with thousands of controls; the best that
            can be reached gets worse.
        repeats: How often each loss is measured; the mean counts.
    """

    spread: float = Field(default=0.1, gt=0)
    groups: int | None = Field(default=None, gt=0)
    repeats: int = Field(default=1, gt=0)


class Population(TrainingMethod):
    """A step measures all settings of a population on one batch, and makes the next population of what came out.

    The recipe's optimiser is not used; what shrinks in the course of training does so by the number of steps. Losses
    are compared within a step only, where the batch is the same for all, so settings that are kept are measured again.
    """

    needs_twin: ClassVar[bool] = False
    Options: ClassVar[type[MethodOptions]] = PopulationOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self.draws = setting.generator()
        self.controls = ControlVector(model, groups=self._shared.groups, generator=self.draws)
        self._n_steps, self._k = setting.n_steps, 0
        self.begin(self.controls.read())

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        settings = self.ask()
        losses = self.controls.losses(
            settings, x, target, loss, micro_batch=self.micro_batch, repeats=self._shared.repeats
        )
        self.controls.write(self.tell(settings, losses))
        self._k += 1
        return {"loss": float(losses.mean()), "best_loss": float(losses.min())}

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
    def begin(self, z: Tensor) -> None:
        """Make the first population around the model's controls z, shape `(n,)`."""

    @abstractmethod
    def ask(self) -> Tensor:
        """Return settings to be measured, shape `(k, n)`."""

    @abstractmethod
    def tell(self, settings: Tensor, losses: Tensor) -> Tensor:
        """Take the losses of settings, shape `(k,)`; return the controls that the model is to have, shape `(n,)`."""

    @property
    def progress(self) -> float:
        """Return what part of all steps was made, from 0 to 1."""
        return min(self._k / self._n_steps, 1.0)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers."""
        return torch.randn(shape, generator=self.draws, dtype=self.controls.dtype)

    def even(self, *shape: int) -> Tensor:
        """Draw numbers evenly from 0 to 1."""
        return torch.rand(shape, generator=self.draws, dtype=self.controls.dtype)

    @property
    def _shared(self) -> PopulationOptions:
        assert isinstance(self.options, PopulationOptions)  # noqa: S101 (every such method's options are)
        return self.options
