"""Online physics-aware training: the twin is refreshed from the shots that training takes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._refresh import Refresh, RefreshOptions
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["OnlinePhysicsAware"]


class OnlinePhysicsAware(TrainingMethod):
    """Physics-aware training whose twins learn along, by every shot of training and validation, at no extra shot.

    Each step is one of `PhysicsAware`; then the twin makes steps of its own towards min E |f_m(drive) - y|² over the
    last shots, which lie where training now is. Such twins are reported to follow drift: a multimode-fibre system with
    a surrogate that is learned along (Nanophotonics, 2025); dual adaptive training (`DualAdaptive`) does the same with
    error networks.
    """

    name: ClassVar[str] = "online_physics_aware"
    summary: ClassVar[str] = "physics-aware, the twin refreshed from the shots of training, at no extra shot"
    Options: ClassVar[type[MethodOptions]] = RefreshOptions
    needs_twin: ClassVar[bool] = True
    options: RefreshOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self._refresh = Refresh(model, setting, self.options)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        metrics = gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
        return metrics | self._refresh.after_step()

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return self._refresh.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._refresh.load_state(state)
