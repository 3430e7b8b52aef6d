"""A layer's gradient on the bench beside autograd through the plant."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pnnlab.nn import ForwardRule, PhysicalLayer


def measured_and_exact(layer: PhysicalLayer, x: Tensor, weight: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield outputs, input gradients and control gradients of the loss `sum(weight · y)`, measured and exact."""
    found = []
    for rule in (ForwardRule.MEASURED, ForwardRule.TWIN):
        layer.rule = rule
        layer.raw_controls.grad = None
        inputs = x.clone().requires_grad_()
        y = layer(inputs)
        torch.sum(y * weight).backward()
        assert inputs.grad is not None and layer.raw_controls.grad is not None
        found.append((y.detach(), inputs.grad, layer.raw_controls.grad))
    yield from zip(("y", "x", "controls"), *found, strict=True)
