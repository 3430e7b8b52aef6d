"""Methods that train a crossbar where it is: its own cells are the weights."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, optim

from pnnlab.errors import RunError
from pnnlab.methods._method import LossFunction, TrainingMethod, backward, physical_layers
from pnnlab.methods._pulsed_weights import PulsedWeights, PulseOptions
from pnnlab.methods._setting import Setting
from pnnlab.methods._transposed_read import TransposedRead
from pnnlab.nn import ForwardRule, PhysicalLayer
from pnnlab.systems import Capability, FloatArray

__all__ = ["InPlace", "LayerRule"]


class LayerRule:
    """What one layer does with the inputs and errors of a step; each method has its own.

    Args:
        layer: The layer.
        weights: Its array.
    """

    def __init__(self, layer: PhysicalLayer, weights: PulsedWeights) -> None:
        self.layer, self.weights = layer, weights

    @property
    def theta(self) -> FloatArray:
        """Return the controls that the layer's system holds."""
        found: FloatArray = self.layer.controls.detach().cpu().numpy()
        return found

    def begin(self) -> None:
        """Program the controls, and measure what must be known before the first step."""
        self.weights.array.write(self.theta)
        if not self.weights.step:
            self.weights.find_step()
            self.weights.array.write(self.theta)

    def learn(self, x: FloatArray, d: FloatArray, learning_rate: float) -> None:
        """Move the weights; see `PulsedWeights.descend`."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on: plain containers and tensors."""
        return {"step": self.weights.step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.weights.step = float(state["step"])


class InPlace(TrainingMethod):
    """Forward and backward pass are reads of an array, its update is pulses; the optimiser trains what is digital only.

    The controls stay what they were when the cells were programmed, and the cells move away from them. When training is
    over the cells are read, and the controls are set to what they hold (`deploy`), without programming them again.
    """

    Options: ClassVar[type[PulseOptions]] = PulseOptions
    needs_twin: ClassVar[bool] = False
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TRANSPOSED_READ, Capability.OUTER_PRODUCT_UPDATE})
    options: PulseOptions

    @abstractmethod
    def make_rule(self, layer: PhysicalLayer, weights: PulsedWeights, setting: Setting) -> LayerRule:
        """Return what a layer does in a step."""

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        self._setting, self._generator = setting, setting.generator()
        self._begun = False
        layers = physical_layers(model)
        names = [layer.system.name for layer in layers]
        if shared := sorted({name for name in names if names.count(name) > 1}):
            raise RunError(
                f"method {self.name!r}: {', '.join(shared)} is the system of several layers, but cells that are "
                "trained in place hold the weights of one; give each layer a crossbar of its own"
            )
        first = next(p for p in model.parameters() if p.requires_grad)
        self._rules: list[tuple[LayerRule, TransposedRead]] = []
        for layer in layers:
            adjoint = TransposedRead(layer.system, carries=layer.raw_controls is not first)
            layer.rule, layer.adjoint = ForwardRule.PHYSICAL, adjoint
            weights = PulsedWeights(layer.system, self.options, self._generator)
            self._rules.append((self.make_rule(layer, weights, setting), adjoint))

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if not self._begun:
            for rule, _ in self._rules:
                rule.begin()
            self._begun = True
        optimiser.zero_grad(set_to_none=True)
        total = backward(model, x, target, loss, micro_batch=self.micro_batch)
        # the optimiser must not move the controls: they say what was programmed; the gradient is shown all the same
        raws = [(rule.layer.raw_controls, rule.layer.raw_controls.grad) for rule, _ in self._rules]
        for raw, _ in raws:
            raw.grad = None
        optimiser.step()
        for raw, gradient in raws:
            raw.grad = gradient
        rate = self.options.learning_rate * optimiser.param_groups[0]["lr"] / (self._setting.learning_rate or 1.0)
        for rule, adjoint in self._rules:
            seen, adjoint.seen = adjoint.seen, []
            for inputs, errors in seen:
                rule.learn(inputs, errors, rate)
        return {"loss": total}

    @torch.no_grad()
    def deploy(self, model: nn.Module) -> None:
        """See `TrainingMethod.deploy`: the cells are read, and the controls become what they hold."""
        super().deploy(model)
        for rule, _ in self._rules:
            layer, array = rule.layer, rule.weights.array
            controls = (torch.from_numpy(array.read_weights()).flatten() + 1) / 2
            layer.raw_controls.copy_(controls.clamp(1e-3, 1 - 1e-3).logit())
            array.hold(rule.theta)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        rules = [rule.state() for rule, _ in self._rules]
        return {"generator": self._generator.get_state(), "begun": self._begun, "rules": rules}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._generator.set_state(state["generator"])
        self._begun = bool(state["begun"])
        for (rule, _), kept in zip(self._rules, state["rules"], strict=True):
            rule.load_state(kept)
