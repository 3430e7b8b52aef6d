"""A digital twin with state separation: cut at every state that is read inside."""

from typing import ClassVar

from torch import nn

from pnnlab.methods._method import set_rule
from pnnlab.methods._refresh import Refresh, of_stages
from pnnlab.methods._setting import Setting
from pnnlab.methods.online_physics_aware import OnlinePhysicsAware
from pnnlab.nn import ForwardRule
from pnnlab.systems import Capability

__all__ = ["StateSeparation"]


class StateSeparation(OnlinePhysicsAware):
    """Each stage of a twin is fitted and linearised between the states that were measured before and behind it.

    A twin of a deep device adds up the errors of its stages. Where states inside can be read, each stage learns alone,
    from the measured state before it to the one behind it (the separable mode of Zheng et al. 2023, Nat. Mach. Intell.
    5, 1119), from the shots of training; the backward pass goes from state to state with each stage's Jacobian at the
    measured state. The stages' own parameters are learned; `DualAdaptive` leaves them and learns error networks.
    """

    name: ClassVar[str] = "state_separation"
    summary: ClassVar[str] = "the twin is cut, fitted and linearised at states that are read inside the device"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.INTERNAL_STATE})

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.REPLAYED)
        self._refresh = Refresh(model, setting, self.options, of_stages)
