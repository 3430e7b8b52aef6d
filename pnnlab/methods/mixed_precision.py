"""Mixed-precision training: gradients add up digitally, and reach the cells a pulse at a time."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from pnnlab.methods._in_place import InPlace, LayerRule
from pnnlab.methods._pulsed_weights import PulsedWeights
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import Capability, FloatArray

__all__ = ["MixedPrecision"]


class MixedPrecision(InPlace):
    """χ -= η dᵀx digitally; whenever |χ| exceeds a step, so many pulses are sent to that cell, blindly.

    Nandakumar, Le Gallo et al., Front. Neurosci. 14, 406 (2020). The array is read in both directions, but each update
    costs a digital outer product of all weights, and pulses of each cell's own; nothing is read after a pulse.
    """

    name: ClassVar[str] = "mixed_precision"
    summary: ClassVar[str] = "digital sum of gradients, blind single pulses (Nandakumar et al., Front. Neurosci., 2020)"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TRANSPOSED_READ, Capability.SINGLE_PULSES})

    def make_rule(self, layer: PhysicalLayer, weights: PulsedWeights, setting: Setting) -> LayerRule:
        """See `InPlace.make_rule`."""
        return _Accumulation(layer, weights)


class _Accumulation(LayerRule):
    """The array learns what a digital matrix has gathered.

    Attributes:
        gathered: χ in weights, shape `(n_in, n_out)`.
    """

    def __init__(self, layer: PhysicalLayer, weights: PulsedWeights) -> None:
        super().__init__(layer, weights)
        self.gathered = np.zeros((layer.system.n_in, layer.system.n_out))

    def learn(self, x: FloatArray, d: FloatArray, learning_rate: float) -> None:
        """See `LayerRule.learn`."""
        self.gathered -= learning_rate * self.weights.array.gain * (x.T.astype(np.float64) @ d)
        counts = np.trunc(self.gathered / self.weights.step).astype(np.int64)
        if counts.any():
            self.weights.array.step(counts)
            self.gathered -= counts * self.weights.step

    def state(self) -> dict[str, Any]:
        """See `LayerRule.state`."""
        return super().state() | {"gathered": torch.from_numpy(self.gathered.copy())}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `LayerRule.load_state`."""
        super().load_state(state)
        self.gathered = state["gathered"].numpy().copy()
