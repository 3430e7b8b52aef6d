"""How well a method's step points down the exact gradient, on simulated benches, which can tell it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.methods import LossFunction, physical_layers
from pnnlab.nn import ForwardRule, PhysicalLayer, interface_of
from pnnlab.twins import DigitalTwin, PlantTwin, PlantTwinConfig

__all__ = ["Alignment"]


@dataclass(frozen=True)
class _Before:
    """Exact gradient and raw controls before a step, all layers in one row."""

    gradient: Tensor
    raw: Tensor


class Alignment:
    """Compares what a step does to the controls of all layers with the plants' own exact gradient; takes no shot.

    A method that leaves gradients is judged by them; another one by how it moved the controls. Methods that leave the
    controls alone have no alignment.

    Args:
        model: That is trained.
        loss: As in training.
    """

    def __init__(self, model: nn.Module, loss: LossFunction) -> None:
        self._model, self._loss = model, loss
        self._layers = physical_layers(model)
        self._exact: dict[str, DigitalTwin] | None = None

    def begin(self, x: Tensor, y: Tensor) -> _Before | None:
        """Work out the exact gradient on a batch; `None` where a system is real and cannot tell it."""
        if not self._layers or not all(layer.system.is_simulated for layer in self._layers):
            return None
        raws = [layer.raw_controls for layer in self._layers]
        with self._exactly():
            loss = self._loss(self._model(x), y)
            found = torch.autograd.grad(loss, raws, allow_unused=True)
        for raw in raws:
            raw.grad = None
        gradient = torch.cat([torch.zeros_like(r) if g is None else g for r, g in zip(raws, found, strict=True)])
        return _Before(gradient, torch.cat([raw.detach() for raw in raws]))

    def end(self, before: _Before) -> dict[str, float]:
        """Return the cosine between the method's step and the exact gradient's."""
        raws = [layer.raw_controls for layer in self._layers]
        if all(raw.grad is not None for raw in raws):
            step = -torch.cat([raw.grad for raw in raws if raw.grad is not None])
        else:
            step = torch.cat([raw.detach() for raw in raws]) - before.raw
        if not float(step.norm()) or not float(before.gradient.norm()):
            return {}
        return {"alignment": float(nn.functional.cosine_similarity(step, -before.gradient, dim=0))}

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        """Let the layers answer with their plants' noise-free truth."""
        if self._exact is None:
            self._exact = {
                layer.system.name: PlantTwin(
                    PlantTwinConfig(), interface_of(layer.system), dtype=layer.raw_controls.dtype
                )
                for layer in self._layers
            }
        kept: list[tuple[PhysicalLayer, ForwardRule, DigitalTwin | None, bool]] = [
            (layer, layer.rule, layer.twin, layer.raw_controls.requires_grad) for layer in self._layers
        ]
        try:
            for layer in self._layers:
                layer.rule, layer.twin = ForwardRule.TWIN, self._exact[layer.system.name]
                # some methods move controls of which they never know a gradient
                layer.raw_controls.requires_grad_(True)
            yield
        finally:
            for layer, rule, twin, learns in kept:
                layer.rule, layer.twin = rule, twin
                layer.raw_controls.requires_grad_(learns)
