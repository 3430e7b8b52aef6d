"""Coupled learning: a free state against one whose outputs are held a little nearer to what they should be."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, backward, physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import RelaxationAdjoint, pushes
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, ControlRange, FloatArray, System

__all__ = ["ClampedAdjoint", "CoupledLearning", "CoupledLearningOptions"]


class CoupledLearningOptions(MethodOptions):
    """Options of `coupled_learning`.

    Attributes:
        eta: The largest move of each sample's outputs, in their units, or, not normalised, the move per derivative of
            the sample's loss: with the squared error `|y - t|²/2` the part of the distance to t.
        normalise: See there. Normalised moves stay above noise as errors get small, and within what the clamps can
            reach as they are large.
        update: `continuous` hands the difference to the recipe's optimiser; `discrete` moves every control by `step`,
            up or down as the sign of the difference says, as one comparator an element does.
        step: See there, in control units.
    """

    eta: float = Field(default=0.1, gt=0)
    normalise: bool = True
    update: Literal["continuous", "discrete"] = "continuous"
    step: float = Field(default=0.01, gt=0)


class CoupledLearning(PhysicalGradient):
    """Outputs are held at `y + η (t - y)`; each control then goes down the difference of `∂E/∂θ` to the free state.

    The rule is local, and so is what makes the clamped state. With one output it is gradient descent; with several it
    is not, since holding outputs pushes each with the force that its target takes, not with that of its error: the
    stiffness of the outputs against each other turns the direction, for some networks by more than 90 degrees.
    """

    name: ClassVar[str] = "coupled_learning"
    summary: ClassVar[str] = "free against slightly clamped equilibria (Stern et al., PRX 11, 021045, 2021)"
    Options: ClassVar[type[MethodOptions]] = CoupledLearningOptions
    by_design: ClassVar[str] = (
        "holding several outputs pushes each with the force that its target takes, not with that of its error"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.RELAXES, Capability.CLAMP, Capability.LOCAL_STATE})
    options: CoupledLearningOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return ClampedAdjoint(system, self.options.eta, normalise=self.options.normalise)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self.options.update == "continuous":
            return super().step(model, x, target, loss, optimiser)
        optimiser.zero_grad(set_to_none=True)
        value = backward(model, x, target, loss, micro_batch=self.micro_batch)
        for layer in physical_layers(model):
            self._move(layer.raw_controls, layer.system)
        # what is digital has its gradient still
        optimiser.step()
        return {"loss": value}

    @torch.no_grad()
    def _move(self, raw: nn.Parameter, system: System) -> None:
        if raw.grad is None:
            return
        step = -self.options.step * raw.grad.sign()
        if system.control_range is ControlRange.BOUNDED:
            raw.copy_((raw.sigmoid() + step).clamp(1e-3, 1 - 1e-3).logit())
        else:
            raw.add_(step)
        raw.grad = None


class ClampedAdjoint(RelaxationAdjoint):
    """A clamped state after a free one.

    Args:
        system: It must be a `Relaxes`.
        eta: See `CoupledLearningOptions`.
        normalise: See there.
    """

    def __init__(self, system: System, eta: float, *, normalise: bool = False) -> None:
        super().__init__(system)
        self._eta, self._normalise = eta, normalise

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, free = memory
        move, scale = pushes(grad_y, self._eta, normalise=self._normalise)
        clamped = self.relaxing.relax(x, theta, clamp=free.y + move)
        return self.slopes(free, clamped, np.ones(1), scale)
