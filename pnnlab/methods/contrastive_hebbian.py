"""Contrastive Hebbian learning: a free state against one whose outputs are held at their targets."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import RunError
from pnnlab.methods._method import LossFunction, MethodOptions, gradient_step, physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import RelaxationAdjoint
from pnnlab.methods._setting import Setting
from pnnlab.methods.coupled_learning import ClampedAdjoint
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System

__all__ = ["ContrastiveHebbian", "ContrastiveHebbianOptions"]


class ContrastiveHebbianOptions(MethodOptions):
    """Options of `contrastive_hebbian`.

    Attributes:
        targets: Where targets come from. `loss`: each output's lies down the slope of its sample's loss. `classes`: the
            outputs of the right class shall be `high`, all others `low`, whatever the loss.
        reach: With `loss`, how far a sample's target lies from its outputs: the largest distance, in their units, or,
            not normalised, the distance per derivative of the sample's loss; 1 is then t itself with the squared error
            `|y - t|²/2`.
        normalise: See there. Normalised targets stay within what the clamps can reach.
        high: See `targets`.
        low: See there.
        repeats: With `classes`, how often each held state is measured; the mean counts.
    """

    targets: Literal["loss", "classes"] = "loss"
    reach: float = Field(default=1.0, gt=0)
    normalise: bool = True
    high: float = 0.8
    low: float = -0.8
    repeats: int = Field(default=1, gt=0)


class ContrastiveHebbian(PhysicalGradient):
    """Outputs are held at their targets; each control goes down the difference of `∂E/∂θ` to the free state.

    Coupled learning with η = 1, and equilibrium propagation with an infinite nudge. The difference is the gradient of a
    contrastive function of its own, `E(clamped) - E(free)`, not of the loss: it is 0 only where the targets are met,
    but it does not go to zero along the loss's steepest path. On a machine that is sampled at a temperature T it is
    Boltzmann learning: correlations of spins with the classes held, less those of the machine left to itself, which is
    the slope of -T log p(class) exactly (Ackley, Hinton & Sejnowski, Cogn. Sci. 9, 147, 1985).

    With `targets: classes`, outputs are cut into one run of neighbours a class, as `pnnlab.nn.ClassBins` reads them,
    and the system must be the only physical layer.
    """

    name: ClassVar[str] = "contrastive_hebbian"
    summary: ClassVar[str] = (
        "free against fully clamped equilibria, or Boltzmann learning (Xie & Seung, Neural Comput. 15, 441, 2003)"
    )
    Options: ClassVar[type[MethodOptions]] = ContrastiveHebbianOptions
    by_design: ClassVar[str] = "it goes down a contrast of its own, between outputs at their targets and left free"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.RELAXES, Capability.CLAMP, Capability.LOCAL_STATE})
    options: ContrastiveHebbianOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`.

        Raises:
            RunError: Classes are to be held on more than one physical layer, or on fewer outputs than there are.
        """
        super().prepare(model, setting)
        if self.options.targets == "loss":
            return
        layers = physical_layers(model)
        if len(layers) != 1:
            raise RunError(
                f"method {self.name!r} holds the outputs of the one physical layer at their targets, the network has "
                f"{len(layers)} layers, and nobody knows the targets of those before the last; take one layer, or "
                "`targets: loss`"
            )
        (layer,) = layers
        run = layer.system.n_out // setting.n_classes
        if not run:
            raise RunError(
                f"method {self.name!r}: system {layer.system.name!r} has {layer.system.n_out} outputs for "
                f"{setting.n_classes} classes; give it one a class, or more"
            )
        self._class_of_output = torch.arange(layer.system.n_out) // run

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        if self.options.targets == "loss":
            return ClampedAdjoint(system, self.options.reach, normalise=self.options.normalise)
        self._held = _HeldAdjoint(system, self.options.repeats)
        return self._held

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self.options.targets == "loss":
            return super().step(model, x, target, loss, optimiser)
        right = target.cpu()[:, None] == self._class_of_output
        self._held.held = torch.where(right, self.options.high, self.options.low).numpy()
        # held values belong to the whole batch
        return gradient_step(model, x, target, loss, optimiser)


class _HeldAdjoint(RelaxationAdjoint):
    """A state with held outputs after a free one.

    Args:
        system: It must be a `Relaxes`.
        repeats: How often the held state is measured.

    Attributes:
        held: Values at which outputs are held, shape `(batch, n_out)`; to be set before each batch.
    """

    def __init__(self, system: System, repeats: int) -> None:
        super().__init__(system)
        self._repeats = repeats
        self.held: FloatArray = np.empty((0, 0))

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`: the derivative of the difference of the two energies, a mean over the batch."""
        x, theta, free = memory
        n = self._repeats
        clamped = self.relaxing.relax(np.tile(x, (n, 1)), theta, clamp=np.tile(self.held, (n, 1)))
        return self.slopes(free, clamped, np.full(n, 1 / n), np.full((len(x), 1), 1 / len(x)))
