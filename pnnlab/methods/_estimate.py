"""What methods share that estimate a gradient from losses alone."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._controls import ControlVector
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["EstimateOptions", "EstimatedGradient", "Measure", "slopes"]

Measure = Callable[[Tensor], Tensor]
"""From settings of the controls, shape `(k, n)`, to their losses on the present batch, shape `(k,)`."""

_STABILITY: Final = 0.1
"""A of Spall's gains, as a part of all steps: his rule is a tenth or less."""


class EstimateOptions(MethodOptions):
    """Options that all methods share which estimate a gradient from losses.

    Attributes:
        perturbation: Size c of a perturbation, the root mean square over the controls, in control units: turns of
            phase, parts of the range of bounded controls, digital parameters as they are.
        groups: Move the controls in so many groups, drawn at random with random signs, and search that subspace only;
            `null` moves each by itself. Steps get cheaper, the best that can be reached gets worse.
        repeats: How often each loss is measured; the mean counts.
        update: `adam` hands the estimate to the recipe's optimiser, whose learning rate falls as the recipe says;
            `gains` steps down the estimate itself, with Spall's gain sequences a/(k + 1 + A)^alpha and c/(k + 1)^gamma
            where A is a tenth of all steps (Spall 1998, IEEE Trans. Aerosp. Electron. Syst. 34, 817).
        first_step: With `gains`: a is such that the first step moves a control by this much in the mean, in control
            units.
        alpha: With `gains`: how fast steps shrink.
        gamma: With `gains`: how fast perturbations shrink.
    """

    perturbation: float = Field(default=0.02, gt=0)
    groups: int | None = Field(default=None, gt=0)
    repeats: int = Field(default=1, gt=0)
    update: Literal["adam", "gains"] = "adam"
    first_step: float = Field(default=0.01, gt=0)
    alpha: float = Field(default=0.602, ge=0, le=1)
    gamma: float = Field(default=0.101, ge=0, le=1)


class EstimatedGradient(TrainingMethod):
    """Losses of perturbed controls on one batch give an estimate of the gradient; no twin, no read-out inside.

    A batch stays the same for all losses of a step, so that its choice cancels in their differences. All trained
    numbers of the model are perturbed alike, digital ones too.
    """

    needs_twin: ClassVar[bool] = False
    Options: ClassVar[type[MethodOptions]] = EstimateOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self.draws = setting.generator()
        self.controls = ControlVector(model, groups=self._shared.groups, generator=self.draws)
        self._n_steps, self._k, self._gain = setting.n_steps, 0, 0.0

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        value, gradient = self.estimate(self.measure_on(model, x, target, loss))
        self.descend(gradient, optimiser)
        return {"loss": value}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {
            "draws": self.draws.get_state(), "controls": self.controls.state(), "k": self._k, "gain": self._gain,
        }  # fmt: skip

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self.draws.set_state(state["draws"])
        self.controls.load_state(state["controls"])
        self._k, self._gain = int(state["k"]), float(state["gain"])

    # For the methods

    def measure_on(self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction) -> Measure:
        """Return what measures settings on a batch: each on all of it, unless a method has other ideas."""
        return partial(
            self.controls.losses, x=x, target=target, loss=loss, micro_batch=self.micro_batch,
            repeats=self._shared.repeats,
        )  # fmt: skip

    @abstractmethod
    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """Estimate the gradient at the present controls.

        Args:
            measure: Measures losses; each setting costs the shots of a batch.

        Returns:
            The loss, and its gradient in control units, shape `(n,)`; `None` where more is to be measured first.
        """

    @property
    def perturbation(self) -> float:
        """Return c of the present step."""
        c = self._shared.perturbation
        return c if self._shared.update == "adam" else c / (self._k + 1) ** self._shared.gamma

    def descend(self, gradient: Tensor | None, optimiser: optim.Optimizer) -> None:
        """End a step: go down a gradient in control units, shape `(n,)`, if there is one yet."""
        if gradient is not None:
            self._descend(gradient, optimiser)
        self._k += 1

    def signs(self, count: int) -> Tensor:
        """Draw directions of independent entries ±1, shape `(count, n)`."""
        return torch.randint(2, (count, self.controls.n), generator=self.draws).float() * 2 - 1

    @property
    def _shared(self) -> EstimateOptions:
        assert isinstance(self.options, EstimateOptions)  # noqa: S101 (every such method's options are)
        return self.options

    def _descend(self, gradient: Tensor, optimiser: optim.Optimizer) -> None:
        if self._shared.update == "adam":
            self.controls.write_gradient(gradient)
            optimiser.step()
            if self._shared.groups is not None:
                # controls of several units in one group are not moved alike by an optimiser
                self.controls.write(self.controls.read())
            return
        offset = _STABILITY * self._n_steps
        if self._gain == 0.0:
            size = float(gradient.abs().mean())
            self._gain = self._shared.first_step * (1 + offset) ** self._shared.alpha / size if size > 0 else 0.0
        self.controls.write(self.controls.read() - self._gain / (self._k + 1 + offset) ** self._shared.alpha * gradient)


def slopes(measure: Measure, z: Tensor, directions: Tensor, c: float) -> tuple[float, Tensor]:
    """Measure derivatives along directions by central differences.

    Args:
        measure: Measures losses.
        z: The present controls, shape `(n,)`.
        directions: Shape `(k, n)`.
        c: How far to go along each, both ways.

    Returns:
        The mean of all losses, and the derivatives, shape `(k,)`.
    """
    losses = measure(torch.cat([z + c * directions, z - c * directions]))
    above, below = losses.chunk(2)
    return float(losses.mean()), (above - below) / (2 * c)
