"""Memristor activity-difference energy minimisation: a computer lets units settle, crossbars do all multiplying."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._relaxation import pushes
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer
from pnnlab.systems import Capability, FloatArray, TransposedArray

__all__ = ["Madem", "MademOptions", "Units"]


class MademOptions(MethodOptions):
    """Options of `madem`.

    Attributes:
        nudge: `one_sided` compares the free state with one that is nudged by β; `centred` nudges by β and -β.
        beta: Largest force on the output units of each sample.
        free_steps: Steps in which units settle; each multiplies by every crossbar from both sides.
        nudged_steps: Steps after a nudge, from the free state on.
        rate: By which part of the way to where their inputs draw them units move in a step.
        strength: What the computer multiplies all that it measures by. Where the products of a crossbar's weights are
            so large that its units on both sides hold each other up, they rest in one of several minima whatever the
            inputs are: with a largest singular value above 1 of the weights times their gain and this number.
    """

    nudge: Literal["one_sided", "centred"] = "centred"
    beta: float = Field(default=0.2, gt=0)
    free_steps: int = Field(default=20, gt=0)
    nudged_steps: int = Field(default=10, gt=0)
    rate: float = Field(default=0.5, gt=0, le=1)
    strength: float = Field(default=1.0, gt=0)


class Madem(TrainingMethod):
    """Units s between the crossbars go down `E = Σ s²/2 - k Σ r(a) W r(b)`, r being tanh, by `s ← s + dt (k F - s)`.

    The force `F = r'(s) (r(below) W + r(above) Wᵀ)` is measured in every step, forwards and transposed, so whatever the
    crossbars do otherwise than designed is part of the energy that is minimised. Each weight then goes by the
    difference of the products of its two units in two such states. What lies between the layers of the model is left
    out: the units are it. The read-out gets r of the last units, and is trained by the loss as usual.
    """

    name: ClassVar[str] = "madem"
    summary: ClassVar[str] = "units settle with crossbars in the loop (Yi et al., Nat. Electron. 6, 45, 2023)"
    Options: ClassVar[type[MethodOptions]] = MademOptions
    needs_twin: ClassVar[bool] = False
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TRANSPOSED_READ})
    options: MademOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`.

        Raises:
            RunError: The model is no chain of crossbars that fit each other.
        """
        if not isinstance(model, nn.Sequential):
            raise RunError(f"method {self.name!r} needs a chain of layers (nn.Sequential), not {type(model).__name__}")
        set_rule(model, ForwardRule.MEASURED)
        layers, modules = physical_layers(model), list(model)
        places = [k for k, module in enumerate(modules) if isinstance(module, PhysicalLayer)]
        self._before, self._behind = modules[: places[0]], modules[places[-1] + 1 :]
        self._units = Units(layers, self.options.rate, self.options.strength)
        for layer in layers:
            # their gradient is made of measured states
            layer.raw_controls.requires_grad_()

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        optimiser.zero_grad(set_to_none=True)
        entering = self._enter(x)
        free = self._units.settle(entering, self.options.free_steps)
        outputs = torch.from_numpy(free.seen[-1]).to(x.dtype).requires_grad_()
        value = loss(self._leave(outputs), target)
        value.backward()
        slope = torch.zeros_like(outputs) if outputs.grad is None else outputs.grad
        push, scale = pushes(slope.numpy(), self.options.beta, normalise=True)
        signs = (1.0,) if self.options.nudge == "one_sided" else (1.0, -1.0)
        nudged = [self._units.settle(entering, self.options.nudged_steps, start=free, nudge=s * push) for s in signs]
        for k, layer in enumerate(self._units.layers):
            # dE/dW is minus the products
            parts = [-s * one.products(k, scale) for s, one in zip(signs, nudged, strict=True)]
            difference = sum(parts) / 2 if len(parts) == 2 else parts[0] + free.products(k, scale)
            self._units.give_gradient(layer, np.asarray(difference))
        optimiser.step()
        return {"loss": float(value.detach())}

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`: of the free state."""
        free = self._units.settle(self._enter(x), self.options.free_steps)
        return self._leave(torch.from_numpy(free.seen[-1]).to(x.dtype))

    def _enter(self, x: Tensor) -> FloatArray:
        with torch.no_grad():
            for module in self._before:
                x = module(x)
        return cast(FloatArray, x.numpy())

    def _leave(self, outputs: Tensor) -> Tensor:
        for module in self._behind:
            outputs = module(outputs)
        return outputs


@dataclass(frozen=True)
class Rest:
    """Units that have settled.

    Attributes:
        states: Of the units behind each crossbar, shape `(batch, n_out)`.
        seen: What crossbars are driven with: the inputs, then r of each state.
    """

    states: Sequence[FloatArray]
    seen: Sequence[FloatArray]

    def products(self, k: int, scale: FloatArray) -> FloatArray:
        """Return the products of the units on both sides of crossbar k, times a factor of each sample, summed."""
        total: FloatArray = self.seen[k].T @ (scale * self.seen[k + 1])
        return total


class Units:
    """Units behind each of a chain of crossbars.

    Args:
        layers: The crossbars, with their controls.
        rate: See `MademOptions`.
        strength: See there.

    Raises:
        CapabilityError: One cannot be read from both sides, or its controls are no weights.
        RunError: One has other inputs than the one before has outputs.
    """

    def __init__(self, layers: Sequence[PhysicalLayer], rate: float, strength: float = 1.0) -> None:
        self.layers, self._rate, self._strength = layers, rate, strength
        arrays: list[TransposedArray] = []
        for layer in layers:
            system = layer.system
            if not isinstance(system, TransposedArray) or system.weights(layer.controls) is None:
                raise CapabilityError(
                    f"{system.name}: units are to settle with it from both sides, but a system of the kind "
                    f"{system.config.kind!r} is no matrix of weights that can be; use crossbars"
                )
            arrays.append(system)
        self._arrays = arrays
        for one, other in pairwise(layers):
            if one.system.n_out != other.system.n_in:
                raise RunError(
                    f"madem: {one.system.name} has {one.system.n_out} outputs, {other.system.name} has "
                    f"{other.system.n_in} inputs; the units between them must be as many on both sides"
                )

    def settle(self, x: FloatArray, steps: int, *, start: Rest | None = None, nudge: FloatArray | None = None) -> Rest:
        """Let units go down their energy.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            steps: How often.
            start: Where from; all units at 0 if `None`.
            nudge: Force on r of the last units, shape `(batch, n_out)`; none if `None`.
        """
        controls = [layer.controls.detach().numpy() for layer in self.layers]
        entering = self.layers[0].system.measure(x, controls[0]).y
        states: list[FloatArray] = [np.zeros((len(x), layer.system.n_out)) for layer in self.layers]
        if start is not None:
            states = [state.copy() for state in start.states]
        for _ in range(steps):
            seen = [np.tanh(state) for state in states]
            forces = [np.asarray(entering, np.float64)]
            for k in range(1, len(self.layers)):
                forces.append(self.layers[k].system.measure(seen[k - 1], controls[k]).y.astype(np.float64))
                forces[k - 1] = forces[k - 1] + self._arrays[k].read_transposed(seen[k], controls[k])
            forces = [self._strength * force for force in forces]
            if nudge is not None:
                forces[-1] = forces[-1] + nudge
            states = [
                state + self._rate * ((1 - r**2) * force - state)
                for state, r, force in zip(states, seen, forces, strict=True)
            ]
        return Rest(states, [x, *(np.tanh(state) for state in states)])

    def give_gradient(self, layer: PhysicalLayer, by_weight: FloatArray) -> None:
        """Let controls have the gradient that their weights have at gain and strength 1, shape `(n_in, n_out)`."""
        gain = self._strength * self._arrays[list(self.layers).index(layer)].gain
        weights = cast(Tensor, layer.system.weights(layer.controls))
        weights.backward(torch.from_numpy(gain * by_weight).to(weights))
