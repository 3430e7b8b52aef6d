"""Digital linear maps in front of fixed physical blocks: what is trained where the physics itself is not."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._blocks import FixedBlock, usual_width
from pnnlab.methods._digital import DigitalParts, linear_map
from pnnlab.methods._method import LossFunction, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import run_in_flight
from pnnlab.quantities import FrozenModel

__all__ = ["NONLINEARITIES", "MaskOptions", "MaskedChain", "Nonlinearity", "Passage"]

Nonlinearity = Literal["cosine", "gaussian", "triangle", "linear", "noise"]

NONLINEARITIES: Final[Mapping[Nonlinearity, Callable[[Tensor, torch.Generator], Tensor]]] = {
    "cosine": lambda z, _: (1 + z.cos()) / 2,
    "gaussian": lambda z, _: (-z.square() / 2).exp(),
    "triangle": lambda z, _: (1 - z.abs() / math.pi).clamp(min=0),
    "linear": lambda z, _: torch.ones_like(z),
    "noise": lambda z, generator: torch.randn(z.shape, generator=generator, dtype=z.dtype),
}
"""g(z) in the place of the derivative; `noise` has mean zero and knows nothing of z: the negative control."""


class MaskOptions(FrozenModel):
    """Options of digital linear maps ("masks") in front of physical blocks.

    Attributes:
        width: Outputs of each mask, which are spread over the inputs of the block behind it; 64, or as many as all
            blocks can take, if `null`.
        learning_rate: Of Adam, for masks and read-out.
        input_scale: Root mean square of a block's inputs; in units of the half range where inputs are bounded.
    """

    width: int | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    input_scale: float = Field(default=0.5, gt=0)


@dataclass(frozen=True, slots=True)
class Passage:
    """What was measured of a batch on its way through the chain.

    Attributes:
        inputs: Inputs of each mask, shape `(batch, n)`.
        sums: Outputs of each mask, shape `(batch, width)`, scaled as the block meets them.
        features: Readings of the last block, shape `(batch, n_out)`.
    """

    inputs: tuple[Tensor, ...]
    sums: tuple[Tensor, ...]
    features: Tensor


class MaskedChain:
    """A mask and a physical block with fixed controls for each layer, and a linear read-out.

    Args:
        model: With the physical layers; what is between them is not used.
        options: See `MaskOptions`.
        setting: Of the training.
        generator: Source of the initial weights, and of all that the method draws later.

    Attributes:
        width: Outputs of each mask.
        parts: Masks, read-out and the scales of the readings.

    Raises:
        RunError: A system has fewer inputs than the masks have outputs.
    """

    def __init__(self, model: nn.Module, options: MaskOptions, setting: Setting, generator: torch.Generator) -> None:
        layers = physical_layers(model)
        scale, dtype = options.input_scale, setting.dtype
        self.width = options.width or usual_width(layers)
        self._blocks = [FixedBlock(layer, self.width, scale=scale, dtype=dtype) for layer in layers]
        sizes = [setting.n_in, *(block.n_out for block in self._blocks)]
        self.masks = [linear_map(n, self.width, generator, setting.dtype) for n in sizes[:-1]]
        self.readout = linear_map(sizes[-1], setting.n_classes, generator, setting.dtype)
        modules = {
            "masks": nn.ModuleList(self.masks),
            "readout": self.readout,
            "standards": nn.ModuleList(block.standard for block in self._blocks),
        }
        self.parts = DigitalParts(modules, setting, learning_rate=options.learning_rate, generator=generator)

    def __call__(self, x: Tensor) -> Tensor:
        """Return logits, shape `(batch, n_classes)`, of task inputs, shape `(batch, n_in)`."""
        logits: Tensor = self.readout(self._pass(x).features)
        return logits

    def measure(self, x: Tensor, micro_batch: int | None) -> Passage:
        """Measure a batch on its way through the chain; the first one of all twice, to scale the readings by."""
        if not self._blocks[0].standard.ready:
            self._pass(x, calibrating=True)
        parts = x.split(min(micro_batch or len(x), len(x)))
        works = [partial(self._pass, part) for part in parts]
        found = run_in_flight(works, n_measurements=len(self._blocks)) if len(works) > 1 else [works[0]()]
        return Passage(
            tuple(torch.cat(part) for part in zip(*(one.inputs for one in found), strict=True)),
            tuple(torch.cat(part) for part in zip(*(one.sums for one in found), strict=True)),
            torch.cat([one.features for one in found]),
        )

    def read_out(self, features: Tensor, target: Tensor, loss: LossFunction) -> tuple[Tensor, float]:
        """Clear all gradients, and give the read-out its own.

        Returns:
            The error, the gradient of the loss at the logits, shape `(batch, n_classes)`, and the loss.
        """
        self.parts.descent.optimiser.zero_grad(set_to_none=True)
        logits = self.readout(features)
        logits.retain_grad()
        value = loss(logits, target)
        value.backward()
        return logits.grad, float(value.detach())

    def descend(self, inputs: Sequence[Tensor], deltas: Sequence[Tensor]) -> None:
        """Step along the read-out's gradient and `δ h^T` of each mask.

        Args:
            inputs: h, the inputs of each mask, shape `(batch, n)`.
            deltas: δ at the outputs of each mask, shape `(batch, width)`, summed over the batch.
        """
        for mask, h, delta in zip(self.masks, inputs, deltas, strict=True):
            mask.weight.grad = delta.T @ h
            mask.bias.grad = delta.sum(0)
        self.parts.descent.optimiser.step()
        self.parts.descent.advance()

    def state(self) -> dict[str, Any]:
        """Return what later steps depend on."""
        return self.parts.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.parts.load_state(state)

    @torch.no_grad()
    def _pass(self, x: Tensor, *, calibrating: bool = False) -> Passage:
        inputs, sums, h = [], [], x
        for mask, block in zip(self.masks, self._blocks, strict=True):
            a = mask(h)
            inputs.append(h)
            sums.append(block.scaled(a))
            h = block.calibrate(a) if calibrating else block(a)
        return Passage(tuple(inputs), tuple(sums), h)
