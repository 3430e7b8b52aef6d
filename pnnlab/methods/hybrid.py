"""Hybrid training: first in silico, then on the bench."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["Hybrid", "HybridOptions"]


class HybridOptions(MethodOptions):
    """When the bench takes over.

    Attributes:
        in_silico_share: Part of the steps that is made in the twin.
    """

    in_silico_share: float = Field(default=0.5, ge=0, le=1)


class Hybrid(TrainingMethod):
    """A network that was trained in its twin is tuned on the bench: a part of the shots for most of the gain.

    Schmitt et al. 2017, IJCNN, 2227 (arXiv 1703.01909): a network is converted, then trained further with the device
    in the loop, where updates need only go roughly along the gradient.
    """

    name: ClassVar[str] = "hybrid"
    summary: ClassVar[str] = "in silico at first, then physics-aware on the bench (Schmitt et al., arXiv 1703.01909)"
    Options: ClassVar[type[MethodOptions]] = HybridOptions
    needs_twin: ClassVar[bool] = True
    options: HybridOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        self._model = model
        self._switch, self._steps = round(self.options.in_silico_share * setting.n_steps), 0
        self._choose()

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        metrics = gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
        self._steps += 1
        self._choose()
        return metrics

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"steps": self._steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._steps = int(state["steps"])
        self._choose()

    def _choose(self) -> None:
        """Let the twin answer, or the bench."""
        set_rule(self._model, ForwardRule.TWIN if self._steps < self._switch else ForwardRule.MEASURED)
