"""Sign-symmetric feedback: only the signs of a layer's own transpose carry the error back."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.methods._carried_feedback import CarriedFeedback, CarriedFeedbackOptions
from pnnlab.methods._method import physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer, Segment

__all__ = ["SignSymmetric", "SignSymmetricOptions"]


class SignSymmetricOptions(CarriedFeedbackOptions):
    """Options of sign-symmetric feedback.

    Attributes:
        magnitudes: `uniform` (all are 1/√n_out), `fixed` (random, drawn once) or `each_step` (random, drawn anew).
        refresh: Every so many steps the signs are taken anew from the twin.
    """

    magnitudes: Literal["uniform", "fixed", "each_step"] = "uniform"
    refresh: int = Field(default=10, gt=0)


class SignSymmetric(CarriedFeedback):
    """Feedback alignment with B_l = |M_l| ∘ sign(J_l): the signs are the layer's own, the magnitudes are not.

    J_l is the twin's Jacobian of outputs by inputs at the mean input of the batch; of a layer like weights,
    `y = f(x · W)` with a growing f, the signs are those of W. Liao, Leibo, Poggio 2016 (arXiv 1510.05067, section 3):
    uniform, fixed random and batch-wise random magnitudes.
    """

    name: ClassVar[str] = "sign_symmetric"
    summary: ClassVar[str] = (
        "errors go back by the signs of each layer's transpose (Liao et al., arXiv 1510.05067, 2016)"
    )
    Options = SignSymmetricOptions
    options: SignSymmetricOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._generator, self._dtype = setting.generator(13), setting.dtype
        self._layers = physical_layers(model)
        self._magnitudes = [self._drawn(layer) for layer in self._layers]
        self._signs: dict[int, Tensor] = {}

    def carrier(self, number: int, segment: Segment) -> Tensor:
        """See `CarriedFeedback.carrier`."""
        if number not in self._signs:
            self._signs[number] = _signs(segment)
        return self._magnitudes[number] * self._signs[number]

    def after_step(self) -> None:
        """See `LayerErrors.after_step`."""
        if (self._n_steps + 1) % self.options.refresh == 0:
            self._signs.clear()
        if self.options.magnitudes == "each_step":
            self._magnitudes = [self._drawn(layer) for layer in self._layers]

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {
            **super().state(),
            "generator": self._generator.get_state(),
            "signs": dict(self._signs),
            "magnitudes": list(self._magnitudes),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._generator.set_state(state["generator"])
        self._signs, self._magnitudes = dict(state["signs"]), list(state["magnitudes"])

    def _drawn(self, layer: PhysicalLayer) -> Tensor:
        shape = (layer.system.n_out, layer.system.n_in)
        if self.options.magnitudes == "uniform":
            return torch.tensor(shape[0] ** -0.5, dtype=self._dtype)
        drawn = torch.randn(shape, generator=self._generator, dtype=self._dtype).abs()
        scaled: Tensor = drawn / shape[0] ** 0.5
        return scaled


def _signs(segment: Segment) -> Tensor:
    """Return the signs of the twin's Jacobian of outputs by inputs at the mean input, shape `(n_out, n_in)`."""
    layer = segment.layer
    if layer.twin is None:
        raise TwinError(
            f"{layer.system.name}: the signs of its Jacobian are asked for, but it has no twin; give it one"
        )
    x = segment.inner.detach().mean(0).expand(layer.system.n_out, -1).clone().requires_grad_()
    y = layer.twin(*layer.system.encode(x, layer.controls.detach()))
    # one row each asks for the gradient of one output
    (jacobian,) = torch.autograd.grad(y, x, torch.eye(layer.system.n_out, dtype=y.dtype))
    signs: Tensor = jacobian.sign()
    return signs
