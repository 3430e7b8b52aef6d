"""Agnostic equilibrium propagation: controls that are physical themselves move down their own gradient."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import CapabilityError
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import pushes
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System, YieldsControls

__all__ = ["AgnosticAdjoint", "AgnosticEquilibriumPropagation", "AgnosticEquilibriumPropagationOptions"]


class AgnosticEquilibriumPropagationOptions(MethodOptions):
    """Options of `agnostic_equilibrium_propagation`.

    Attributes:
        nudge: `one_sided` reads how far controls move under a nudge of β, from where they are without; `centred` half
            of what they move between β and -β.
        beta: Size β of the nudge, as in `equilibrium_propagation`.
        normalise: As in `equilibrium_propagation`.
        homeostasis: How often knobs are corrected in the free phase, until the controls rest where they shall; each
            time is a shot.
    """

    nudge: Literal["one_sided", "centred"] = "centred"
    beta: float = Field(default=0.1, gt=0)
    normalise: bool = True
    homeostasis: int = Field(default=3, ge=0)


class AgnosticEquilibriumPropagation(PhysicalGradient):
    """Nobody needs to know the energy: the controls feel its slope themselves, and give way.

    Each control θ is physical, and drawn to a knob u by a spring: the energy is E(x, s, θ) + (u - θ)² / (2ε). In the
    free phase knobs are adjusted until the controls rest at the wanted θ (homeostasis). Then the knobs are held and the
    outputs nudged against their errors; system and controls find a new rest, and the controls have moved by
    -εβ ∂L/∂θ, up to higher orders in β and ε: (1 + ε ∂²E/∂θ²)⁻¹ stands before it. As the loss is not that of one step
    but of a batch, the mean of these movements over εβ is handed to the optimiser as a gradient, and the
    controls are brought back; with batches of one and plain descent at a rate of εβ they may stay where they are.
    """

    name: ClassVar[str] = "agnostic_equilibrium_propagation"
    summary: ClassVar[str] = (
        "physical controls that give way down their gradient, homeostatic knobs (Scellier et al., arXiv 2205.15021)"
    )
    Options: ClassVar[type[MethodOptions]] = AgnosticEquilibriumPropagationOptions
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.RELAXES, Capability.NUDGE, Capability.SOFT_CONTROLS}
    )  # fmt: skip
    options: AgnosticEquilibriumPropagationOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return AgnosticAdjoint(system, self.options)

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`: with the controls where they shall be, not where the inputs push them."""
        with torch.enable_grad():
            outputs: Tensor = model(x)
        return outputs.detach()

    def deploy(self, model: nn.Module) -> None:
        """See `TrainingMethod.deploy`: homeostasis goes on."""


class AgnosticAdjoint(Adjoint):
    """Knobs that are adjusted forwards, and held while outputs are nudged backwards.

    Args:
        system: It must be a `YieldsControls`.
        options: See there.

    Raises:
        CapabilityError: It is none.
    """

    def __init__(self, system: System, options: AgnosticEquilibriumPropagationOptions) -> None:
        super().__init__(system)
        if not isinstance(system, YieldsControls):
            raise CapabilityError(
                f"{system.name}: its controls are to give way and to be read, but a system of the kind "
                f"{system.config.kind!r} offers no `rest`; choose another method or system"
            )
        self._soft: YieldsControls = system
        self._options = options

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`: knobs are adjusted for each sample until its controls rest at θ."""
        knobs = np.tile(theta, (len(x), 1))
        y, rest = self._soft.rest(x, knobs)
        for _ in range(self._options.homeostasis):
            knobs = knobs + (theta - rest)
            y, rest = self._soft.rest(x, knobs)
        return y, (x, knobs, rest)

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`: by how much controls move, over the softness and the nudge."""
        x, knobs, free = memory
        push, scale = pushes(grad_y, self._options.beta, normalise=self._options.normalise)
        if self._options.nudge == "centred":
            both = np.concatenate([push, -push])
            _, rest = self._soft.rest(np.tile(x, (2, 1)), np.tile(knobs, (2, 1)), nudge=both)
            down, up = np.split(rest, 2)
            moved = (down - up) / 2
        else:
            _, down = self._soft.rest(x, knobs, nudge=push)
            moved = down - free
        return None, -(moved * scale).sum(0) / self._soft.softness
