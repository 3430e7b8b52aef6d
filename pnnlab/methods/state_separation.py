"""A digital twin with state separation: cut at every state that is read inside."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._refresh import Refresh, RefreshOptions, of_stages
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule
from pnnlab.systems import Capability

__all__ = ["StateSeparation"]


class StateSeparation(TrainingMethod):
    """Each stage of a twin is fitted and linearised between the states that were measured before and behind it.

    A twin of a deep device adds up the errors of its stages. Where states inside can be read, each stage learns alone,
    from the measured state before it to the one behind it (the separable mode of Zheng et al. 2023, Nat. Mach. Intell.
    5, 1119), from the shots of training; the backward pass goes from state to state with each stage's Jacobian at the
    measured state. The stages' own parameters are learned; `DualAdaptive` leaves them and learns error networks.
    """

    name: ClassVar[str] = "state_separation"
    summary: ClassVar[str] = "the twin is cut, fitted and linearised at states that are read inside the device"
    Options: ClassVar[type[MethodOptions]] = RefreshOptions
    needs_twin: ClassVar[bool] = True
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.INTERNAL_STATE})
    options: RefreshOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.REPLAYED)
        self._refresh = Refresh(model, setting, self.options, of_stages)

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
