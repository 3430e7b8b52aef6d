"""Contrastive local learning: two copies on one board learn by themselves, sample after sample."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._relaxation import pushes
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, cut_at_layers
from pnnlab.systems import Capability, FloatArray

__all__ = ["ContrastiveLocalLearning", "ContrastiveLocalLearningOptions"]


@runtime_checkable
class _Learns(Protocol):
    def learn(
        self, x: FloatArray, target: FloatArray, theta: FloatArray, *, eta: float, learn_s: float
    ) -> tuple[FloatArray, FloatArray]: ...


class ContrastiveLocalLearningOptions(MethodOptions):
    """Options of `contrastive_local_learning`.

    Attributes:
        eta: By which part of the distance to the target the clamped copy's outputs are held nearer to it.
        reach: How far a sample's target lies from its outputs: the distance per derivative of the sample's loss; 1 is t
            itself with the squared error `|y - t|²/2`. The board moves its controls by what a sample says, whole, so
            targets must come nearer as errors get small: pulled as hard as wrong samples, right ones undo what was
            learned of these.
        most: The farthest that a target lies from an output, in units of outputs, however large the error.
        learn_s: How long each sample is learned, in s; it falls to nothing over the training.
    """

    eta: float = Field(default=0.5, gt=0, le=1)
    reach: float = Field(default=1.0, gt=0)
    most: float = Field(default=1.0, gt=0)
    learn_s: float = Field(default=1e-4, gt=0)


class ContrastiveLocalLearning(TrainingMethod):
    """The board changes its controls itself; the computer shows samples and targets, and no gradient is ever read.

    Digital parts of the model are trained by the recipe's optimiser.
    """

    name: ClassVar[str] = "contrastive_local_learning"
    summary: ClassVar[str] = "two copies that learn without a computer (Dillavou et al., PNAS 121, e2319718121, 2024)"
    Options: ClassVar[type[MethodOptions]] = ContrastiveLocalLearningOptions
    needs_twin: ClassVar[bool] = False
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.LEARNS, Capability.CLAMP})
    options: ContrastiveLocalLearningOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`.

        Raises:
            CapabilityError: There are several physical layers: the board can push its own outputs only.
        """
        layers = physical_layers(model)
        if len(layers) != 1 or not isinstance(layers[0].system, _Learns):
            raise CapabilityError(
                f"contrastive_local_learning: a network of one board that learns is needed, found {len(layers)} layers "
                f"({', '.join(layer.system.config.kind for layer in layers)}); leave one in `network.layers`"
            )
        set_rule(model, ForwardRule.MEASURED)
        self._layer = layers[0]
        self._board: _Learns = layers[0].system
        # no gradient of them is ever known
        self._layer.raw_controls.requires_grad_(False)
        self._n_steps, self._k = setting.n_steps, 0

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        optimiser.zero_grad(set_to_none=True)
        with cut_at_layers(graphs=False) as segments:
            value = loss(model(x), target)
        (segment,) = segments
        value.backward()
        outer = segment.outer
        slope = torch.zeros_like(outer) if outer.grad is None else outer.grad
        move, _ = pushes(slope.numpy(), self.options.reach, normalise=False)
        largest = np.abs(move).max(1, keepdims=True)
        move = move * np.minimum(1, self.options.most / np.maximum(largest, np.finfo(move.dtype).tiny))
        self._learn(segment.inner.detach().numpy(), outer.detach().numpy() + move)
        optimiser.step()
        self._k += 1
        return {"loss": float(value.detach())}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"k": self._k}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._k = int(state["k"])

    def _learn(self, x: FloatArray, wanted: FloatArray) -> None:
        """Show samples one after the other, and read what the controls are after the last."""
        learn_s = self.options.learn_s * (1 + math.cos(math.pi * self._k / self._n_steps)) / 2
        theta = self._layer.controls.detach().numpy()
        _, theta = self._board.learn(x, wanted, theta, eta=self.options.eta, learn_s=learn_s)
        with torch.no_grad():
            raw = self._layer.raw_controls
            raw.copy_(torch.from_numpy(theta).to(raw).clamp(1e-3, 1 - 1e-3).logit())
