"""PEPITA: a second forward pass, its input modulated by the error, takes the place of the backward pass."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.methods._masks import MaskedChain, MaskOptions
from pnnlab.methods._method import LossFunction, MethodOptions, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer, cut_at_layers

__all__ = ["Pepita", "PepitaOptions"]


class PepitaOptions(LayerErrorsOptions):
    """Options of PEPITA.

    Attributes:
        strength: Root mean square of the modulation for an error of length 1, relative to that of the inputs.
        trained: `controls`: those of the layers, through the Jacobian of each layer's own twin; `masks`: digital linear
            maps in front of the physical layers and a read-out behind them, without any twin.
        masks: Of the masks.
    """

    strength: float = Field(default=0.3, gt=0)
    trained: Literal["controls", "masks"] = "controls"
    masks: MaskOptions = MaskOptions()


class Pepita(LayerErrors):
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

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """See `TrainingMethod.wants_twin`."""
        return getattr(options, "trained", "controls") == "controls"

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._masks: MaskedChain | None = None
        if self.options.trained == "masks":
            self._masks = MaskedChain(model, self.options.masks, setting, setting.generator(17))
        n = setting.n_in if self._masks else physical_layers(model)[0].system.n_in
        self._projector = torch.randn(setting.n_classes, n, generator=setting.generator(18), dtype=setting.dtype)

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """See `LayerErrors.n_measurements`."""
        return 2 * len(layers)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self._masks is None:
            return super().step(model, x, target, loss, optimiser)
        first = self._masks.measure(x, self.micro_batch)
        error, value = self._masks.read_out(first.features, target, loss)
        second = self._masks.measure(self._modulated(x, error * len(x)), self.micro_batch)
        readout = self._masks.readout
        readout.weight.grad, readout.bias.grad = error.T @ second.features, error.sum(0)
        deltas = [(a - b) / len(x) for a, b in zip(first.sums, second.sums, strict=True)]
        self._masks.descend(second.inputs, deltas)
        return {"loss": value}

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

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        return super().predict(model, x) if self._masks is None else self._masks(x)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return super().state() if self._masks is None else self._masks.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        if self._masks is None:
            super().load_state(state)
        else:
            self._masks.load_state(state)

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
