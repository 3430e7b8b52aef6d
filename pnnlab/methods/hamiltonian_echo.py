"""Hamiltonian echo backpropagation: time runs back, slightly nudged, and the medium keeps the gradient as momentum."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError
from pnnlab.methods._echo_adjoint import EchoAdjoint, Estimate, echo_residual
from pnnlab.methods._method import LossFunction, MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System

__all__ = ["HamiltonianEcho", "HamiltonianEchoOptions"]

_FEW: Final = 8
"""Samples whose echoes are measured before training starts."""
_WARN_ABOVE: Final = 0.1
"""Residual above which gradients of two echoes are short by more than a tenth."""
_LOG = logging.getLogger(__name__)


class HamiltonianEchoOptions(MethodOptions):
    """Options of the method `hamiltonian_echo`.

    Attributes:
        epsilon: Largest nudge of each sample, in the system's unit (rad of a mode's phase at the mirror).
        estimate: `one_sided` takes one echo a sample; `corrected` subtracts an echo without a nudge, which is the
            forward pass at the same time; `centred` takes two echoes with opposite nudges.
        refuse_above: Residual of the echo, over the wave, above which a one-sided training does not start: its gradient
            would be that of the residual.
    """

    epsilon: float = Field(default=0.05, gt=0)
    estimate: Estimate = "centred"
    refuse_above: float = Field(default=0.01, gt=0)


class HamiltonianEcho(PhysicalGradient):
    """Gradients of a time-reversible wave (Lopez-Pastor and Marquardt 2023, Phys. Rev. X 13, 031020).

    The wave runs to the mirror, is moved there by `-epsilon dL/dy`, and runs back with time reversed. Every detuning of
    the medium has then got the momentum `epsilon dL/dθ`: the way there and the way back cancel but for the nudge. The
    momenta are read and handed to the recipe's optimiser; with plain gradient descent and momentum `exp(-λ)` that is
    the paper's step, in which the medium moves by its own momentum under a friction λ and nothing need be read.

    Without loss the echo is exact, and so is the gradient up to `epsilon` (one-sided) or `epsilon²` (centred). With
    loss the wave does not come back as it was; the difference of two echoes still points nearly along the gradient
    while the energy falls by less than a factor of 3 on the way, one echo does not. The residual of the echo is
    measured before training starts, and told as the metric `residual`.
    """

    name: ClassVar[str] = "hamiltonian_echo"
    summary: ClassVar[str] = (
        "nudged echoes leave the gradient as momentum (Lopez-Pastor & Marquardt, PRX 13, 031020, 2023)"
    )
    Options: ClassVar[type[MethodOptions]] = HamiltonianEchoOptions
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.LOCAL_STATE, Capability.LOSSLESS, Capability.TIME_REVERSAL}
    )
    options: HamiltonianEchoOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._residual: dict[str, float] = {}

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        options = self.options
        return EchoAdjoint(system, epsilon=options.epsilon, estimate=options.estimate, watch=self._check)

    def _check(self, system: System, x: FloatArray, theta: FloatArray) -> None:
        """Measure a system's echo before its first gradient."""
        if system.name in self._residual:
            return
        found = echo_residual(system, x[:_FEW], theta)
        self._residual[system.name] = found
        _LOG.info("%s: echoes miss the wave that was prepared by %.2g of it", system.name, found)
        if self.options.estimate == "one_sided" and found > self.options.refuse_above:
            raise CapabilityError(
                f"method {self.name!r} cannot run with one echo a sample: those of system {system.name!r} miss the "
                f"wave that was prepared by {found:.2g} of it (measured; up to {self.options.refuse_above:g} is "
                "allowed); set its option `estimate` to centred"
            )
        if found > _WARN_ABOVE:
            _LOG.warning(
                "%s: echoes miss the wave that was prepared by %.2g of it; gradients are off by about as much, and "
                "short where the wave is lost", system.name, found,
            )  # fmt: skip

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`; the first one measures the residual."""
        metrics = super().step(model, x, target, loss, optimiser)
        return metrics | {"residual": max(self._residual.values())}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"residual": dict(self._residual)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._residual.update(state["residual"])
