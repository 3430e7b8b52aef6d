"""Backpropagation through crossbars by their transposed read, with digital updates."""

from typing import ClassVar

from torch import nn

from pnnlab.methods._method import physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._setting import Setting
from pnnlab.methods._transposed_read import TransposedRead
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, System

__all__ = ["InMemoryBackpropagation"]


class InMemoryBackpropagation(PhysicalGradient):
    """Forward and backward pass are reads of the same cells, from either side; the cells are programmed each step.

    The gradient of the controls is a digital outer product of measured inputs and errors, which any optimiser takes
    (Gokmen & Vlasov, Front. Neurosci. 10, 333, 2016, without their pulsed update). Exact as far as the read backwards
    is the transpose of that forwards, which holds for any network of resistors, and not for its converters. Every step
    programs every cell: for arrays that bear it, and as the yardstick of methods that update in place.
    """

    name: ClassVar[str] = "in_memory_backpropagation"
    summary: ClassVar[str] = "errors run back by the transposed read (Gokmen & Vlasov, Front. Neurosci. 10, 333, 2016)"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TRANSPOSED_READ})

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        first = next(p for p in model.parameters() if p.requires_grad)
        self._first = [layer.system.name for layer in physical_layers(model) if layer.raw_controls is first]
        super().prepare(model, setting)

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return TransposedRead(system, carries=system.name not in self._first)
