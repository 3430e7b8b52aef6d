"""PEPITA: a second forward pass, its input modulated by the error, takes the place of the backward pass."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._either import ControlsOrMasks, ControlsOrMasksOptions
from pnnlab.methods._layer_errors import Part, teach_each
from pnnlab.methods._masks import MaskedChain
from pnnlab.methods._method import LossFunction, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer, cut_at_layers

__all__ = ["Pepita", "PepitaOptions"]


class PepitaOptions(ControlsOrMasksOptions):
    """Options of PEPITA; see `ControlsOrMasksOptions` for the others.

    Attributes:
        strength: Root mean square of the modulation for an error of length 1, relative to that of the inputs.
    """

    strength: float = Field(default=0.3, gt=0)


class Pepita(ControlsOrMasks):
    """Δ_l ∝ (h_l - h_l^err) h_{l-1}^errᵀ: what the error, projected onto the inputs, changes further down.

    The first pass gives h_l and the error e, softmax less target; the second, with x + F e (F random and fixed), gives
    h_l^err. The last layer, or read-out, descends along its own error at the second pass's activities (Dellaferrera,
    Kreiman 2022, ICML, arXiv 2201.11665, algorithm 1). Every sample is measured twice. Modulated inputs that would
    leave the input range are scaled back into it as a whole.
    """

    name: ClassVar[str] = "pepita"
    summary: ClassVar[str] = "a second pass with an input modulated by the error (Dellaferrera & Kreiman, 2022)"
    Options = PepitaOptions
    options: PepitaOptions

    stream: ClassVar[int] = 17

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        n = physical_layers(model)[0].system.n_in if self.chain is None else setting.n_in
        self._projector = torch.randn(setting.n_classes, n, generator=setting.generator(18), dtype=setting.dtype)

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """See `LayerErrors.n_measurements`."""
        return 2 * len(layers)

    def teach_masks(self, chain: MaskedChain, x: Tensor, target: Tensor, loss: LossFunction) -> float:
        """See `ControlsOrMasks.teach_masks`."""
        first = chain.measure(x, self.micro_batch)
        error, value = chain.read_out(first.features, target, loss)
        second = chain.measure(self._modulated(x, error * len(x)), self.micro_batch)
        chain.readout.weight.grad, chain.readout.bias.grad = error.T @ second.features, error.sum(0)
        deltas = [(a - b) / len(x) for a, b in zip(first.sums, second.sums, strict=True)]
        chain.descend(second.inputs, deltas)
        return value

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        first = part.segments[0]
        inputs = _within(
            self._modulated(first.inner.detach(), part.error * part.batch), *first.layer.system.input_range
        )
        with cut_at_layers(driven={0: inputs}) as second:
            part.model(part.x)
        deltas = [
            (one.y.detach() - two.y.detach()) / part.batch for one, two in zip(part.segments, second, strict=True)
        ]
        teach_each(second, [*deltas[:-1], part.last])

    def _modulated(self, x: Tensor, error: Tensor) -> Tensor:
        """Return x + F e, F being as strong as the options say; errors are those of each sample."""
        size = x.square().mean(-1, keepdim=True).sqrt()
        return x + self.options.strength * size * (error @ self._projector)


def _within(x: Tensor, low: float, high: float) -> Tensor:
    """Scale inputs that leave the range back into it, each sample as a whole about the middle of the range."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return x
    middle, half = (low + high) / 2, (high - low) / 2
    most = (x - middle).abs().amax(-1, keepdim=True)
    # one part in a million less than the range, for what rounding may add
    return middle + (x - middle) * torch.where(most > half, (1 - 1e-6) * half / most, 1.0)
