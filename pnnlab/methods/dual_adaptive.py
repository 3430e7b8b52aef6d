"""Dual adaptive training: networks learn along what the twin gets wrong."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._error_network import CorrectedTwin, DenseErrors, UNetErrors, state_like
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer
from pnnlab.twins import stage_by_stage

__all__ = ["DualAdaptive", "DualAdaptiveOptions"]


class DualAdaptiveOptions(MethodOptions):
    """What learns the errors, and how.

    Attributes:
        mode: `unitary` fits all error networks at once, in a twin of the whole network that is told the inputs alone;
            `separable` fits each by itself, from the measured state before it.
        network: `dense` is a perceptron, `unet` the U-Net of the source, for states laid out in squares.
        width: Hidden width of `dense`.
        features: Feature maps of the three levels of `unet`.
        twin_learning_rate: Of the error networks; with the recipe's schedule.
        warm_up: Part of the steps in which error networks learn, but gradients do not go through them yet.
    """

    mode: Literal["unitary", "separable"] = "separable"
    network: Literal["dense", "unet"] = "dense"
    width: int = Field(default=64, gt=0)
    features: tuple[int, int, int] = (4, 8, 16)
    twin_learning_rate: float = Field(default=1e-3, gt=0)
    warm_up: float = Field(default=0.2, ge=0, le=1)


class DualAdaptive(TrainingMethod):
    """Two optimisations a batch: error networks towards the bench, then controls through twin and error networks.

    Zheng, Duan et al. 2023, Nat. Mach. Intell. 5, 1119. Behind each stage of a twin a systematic error prediction
    network φ corrects the state. With what the batch measured, first
    φ ← φ - η ∂/∂φ Σ |reading_m - reading_p|² over outputs and over states inside where the system reads them
    (each in units of its variance), then θ ← θ - η ∂L/∂θ through the corrected twin, its states held at what was read.
    One shot a sample and layer. Error networks are made for each layer, also where layers share a system.

    A batch is taken as a whole: the networks learn between its forward and its backward pass.
    """

    name: ClassVar[str] = "dual_adaptive"
    summary: ClassVar[str] = (
        "physics-aware through a twin whose errors networks learn along (Zheng et al., NMI 5, 2023)"
    )
    Options: ClassVar[type[MethodOptions]] = DualAdaptiveOptions
    needs_twin: ClassVar[bool] = True
    options: DualAdaptiveOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.REPLAYED)
        self._steps, self._warm = 0, round(self.options.warm_up * setting.n_steps)
        self._twins: dict[PhysicalLayer, CorrectedTwin] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.generator(2).initial_seed())
            for layer in physical_layers(model):
                base = layer.needed_twin()
                networks = nn.ModuleList(self._network(like) for like in state_like(base))
                layer.twin = self._twins[layer] = CorrectedTwin(base, networks)
        self._learned = [p for twin in self._twins.values() for p in twin.networks.parameters()]
        self._descent = setting.descent(self._learned, learning_rate=self.options.twin_learning_rate)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        optimiser.zero_grad(set_to_none=True)
        value = loss(model(x), target)
        self._weigh(1.0)
        error = self._separate() if self.options.mode == "separable" else self._unite(model, x)
        self._learn(error)
        self._steps += 1
        self._weigh(float(self._steps > self._warm))
        value.backward()
        optimiser.step()
        return {"loss": float(value.detach()), "twin_error": float(error.detach()) ** 0.5}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {
            "steps": self._steps,
            "networks": [twin.networks.state_dict() for twin in self._twins.values()],
            "descent": self._descent.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._steps = int(state["steps"])
        for twin, kept in zip(self._twins.values(), state["networks"], strict=True):
            twin.networks.load_state_dict(kept)
        self._descent.load_state(state["descent"])

    def _network(self, like: Tensor) -> nn.Module:
        if self.options.network == "dense":
            return DenseErrors(like, self.options.width)
        return UNetErrors(like, self.options.features)

    def _weigh(self, weight: float) -> None:
        for twin in self._twins.values():
            twin.weight = weight

    def _learn(self, error: Tensor) -> None:
        """Step down the similarity loss; controls are left alone."""
        found = torch.autograd.grad(error, self._learned, allow_unused=True)
        for parameter, grad in zip(self._learned, found, strict=True):
            parameter.grad = grad
        self._descent.optimiser.step()
        self._descent.optimiser.zero_grad(set_to_none=True)
        self._descent.advance()

    def _separate(self) -> Tensor:
        """Return the similarity loss of every stage by itself, at the measured state before it."""
        pairs = []
        for layer, twin in self._twins.items():
            shots = layer.last_measurement
            assert shots is not None  # noqa: S101 (the batch was measured)
            drive = [torch.from_numpy(np.ascontiguousarray(d)) for d in shots.drive]
            pairs += list(stage_by_stage(twin, drive, _readings(layer)))
        return _similarity(pairs)

    def _unite(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return the similarity loss of a network of twins that is told the inputs alone."""
        set_rule(model, ForwardRule.TWIN)
        try:
            model(x)
        finally:
            set_rule(model, ForwardRule.REPLAYED)
        pairs = []
        for layer, twin in self._twins.items():
            # of states further inside than the twin knows, and of those that are not read, nothing can be compared
            known = min(len(twin.readings), len(read := _readings(layer)))
            pairs += list(zip(twin.readings[-known:], read[-known:], strict=True))
        return _similarity(pairs)


def _readings(layer: PhysicalLayer) -> list[Tensor]:
    shots = layer.last_measurement
    assert shots is not None  # noqa: S101 (the batch was measured)
    return [torch.from_numpy(np.ascontiguousarray(reading)) for reading in (*shots.states, shots.y)]


def _similarity(pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    errors = [
        (said - read).square().mean() / read.var().clamp(min=torch.finfo(read.dtype).tiny) for said, read in pairs
    ]
    return torch.stack(errors).sum()
