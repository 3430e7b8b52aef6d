"""A forward pass that is cut open at every physical layer, so that each layer can be taught by itself."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from pnnlab.nn._layer import PhysicalLayer

__all__ = ["Passage", "Segment", "cut_at_layers", "passage_in_force", "passing"]

Passage = Callable[["PhysicalLayer", Tensor], Tensor]
"""Takes the place of a layer's own forward pass: outputs for the layer and its inputs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A physical layer between two cuts.

    Attributes:
        layer: The layer.
        x: Its inputs, shape `(batch, n_in)`, with the graph of the modules that lead to them from the layers before.
        inner: The same numbers cut off, or others with which it was driven: a leaf with which the layer's graph begins.
        y: Its outputs, shape `(batch, n_out)`, with the graph of the layer alone.
        outer: The same numbers cut off, or others that were held: a leaf with which the graph of what follows begins.
    """

    layer: "PhysicalLayer"
    x: Tensor
    inner: Tensor
    y: Tensor
    outer: Tensor


class _Cut:
    """Takes the place of the layers' own forward passes."""

    def __init__(
        self, known: Mapping[int, Segment], driven: Mapping[int, Tensor], held: Mapping[int, Tensor], *, graphs: bool
    ) -> None:
        self._known, self._driven, self._held, self._graphs = known, driven, held, graphs
        self.segments: list[Segment] = []

    def __call__(self, layer: "PhysicalLayer", x: Tensor) -> Tensor:
        number = len(self.segments)
        if number in self._known:
            self.segments.append(self._known[number])
            return self._known[number].outer
        inner = self._driven.get(number, x).detach().requires_grad_(x.requires_grad and self._graphs)
        with torch.set_grad_enabled(self._graphs):
            y = layer.respond(inner)
        outer = self._held.get(number, y).detach().requires_grad_()
        self.segments.append(Segment(layer, x, inner, y, outer))
        return outer


# micro-batches in flight are greenlets, each with a context of its own
_IN_FORCE: ContextVar[Passage | None] = ContextVar("passage", default=None)


def passage_in_force() -> Passage | None:
    """Return what takes the place of layers' own forward passes; `None` where nothing does."""
    return _IN_FORCE.get()


@contextmanager
def passing(passage: Passage) -> Iterator[None]:
    """Let something take the place of the layers' own forward passes, within a forward pass of the model."""
    token = _IN_FORCE.set(passage)
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


@contextmanager
def cut_at_layers(
    *, known: Mapping[int, Segment] | None = None, driven: Mapping[int, Tensor] | None = None,
    held: Mapping[int, Tensor] | None = None, graphs: bool = True,
) -> Iterator[list[Segment]]:  # fmt: skip
    """Cut every physical layer off from what is before and behind it, within a forward pass of the model.

    Args:
        known: Segments that stand in for the calls of these numbers (in the order of calls, from 0): these layers are
            not measured, and what follows begins with the segment's `outer`.
        driven: Inputs with which layers are measured instead of those that reach them, by the number of the call.
        held: Outputs with which what follows begins instead of those measured, by the number of the call.
        graphs: Whether the layers' own graphs are recorded, for which they need twins.

    Yields:
        The segments, in the order in which the layers are called; it fills while the model is called.
    """
    cut = _Cut(known or {}, driven or {}, held or {}, graphs=graphs)
    with passing(cut):
        yield cut.segments
