"""Twins that are not quite themselves: what devices may do is drawn while they are trained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, gradient_step, physical_layers, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule
from pnnlab.twins import DigitalTwin, StagedTwin

__all__ = ["Perturbation", "PerturbedTraining", "PerturbedTwin"]


class Perturbation:
    """What happens on the way through a twin; nothing here, subclasses say what.

    Args:
        options: Of the method.
        generator: Source of everything random.
    """

    def __init__(self, options: MethodOptions, generator: torch.Generator) -> None:
        self.options, self.generator = options, generator
        self._drawn: dict[object, Tensor] = {}

    def renew(self) -> None:
        """Forget the device that was drawn, so that another one is."""
        self._drawn.clear()

    def device(self, what: object, like: Tensor) -> Tensor:
        """Return standard normal numbers of one sample's shape, which belong to the device: the same until `renew`."""
        if what not in self._drawn:
            self._drawn[what] = self.shot(like[0] if like.ndim > 1 else like)
        return self._drawn[what]

    def shot(self, like: Tensor) -> Tensor:
        """Return standard normal numbers of a tensor's shape, new each time."""
        kind = like.real.dtype if like.is_complex() else like.dtype
        return torch.randn(like.shape, generator=self.generator, dtype=kind).to(like.device)

    def drive(self, twin: DigitalTwin, drive: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return what the twin is driven by; the controls are in the last drive."""
        return drive

    def state(self, twin: DigitalTwin, stage: int, state: Tensor) -> Tensor:
        """Return the state behind a stage, see `DigitalTwin.advance`."""
        return state

    def output(self, y: Tensor) -> Tensor:
        """Return outputs, shape `(batch, n_out)`."""
        return y


class PerturbedTwin(StagedTwin):
    """A twin that is perturbed while `active`.

    Args:
        base: The twin.
        perturbation: What happens to it.

    Attributes:
        active: See above; training switches it.
    """

    def __init__(self, base: DigitalTwin, perturbation: Perturbation) -> None:
        super().__init__(base.interface)
        self.base, self.perturbation, self.active = base, perturbation, False

    @property
    def n_stages(self) -> int:
        """See `DigitalTwin.n_stages`."""
        return self.base.n_stages

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        if not self.active:
            plain: Tensor = self.base(*drive)
            return plain
        self.check(*drive)
        return self.perturbation.output(super().forward(*self.perturbation.drive(self.base, drive)))

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`."""
        found = self.base.advance(stage, state, *drive)
        return self.perturbation.state(self.base, stage, found) if self.active else found

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        return self.base.reading(stage, state)

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`."""
        return self.base.anchored(stage, state, reading)


class PerturbedTraining(TrainingMethod):
    """In-silico training with twins that are perturbed in each step, and are themselves where classes are predicted.

    Layers of one system share its twin, and so the device that is drawn. The bench is met at deployment, so there is
    nothing that micro-batches could wait for: a batch is taken as a whole.
    """

    needs_twin = True
    perturbation: Callable[[MethodOptions, torch.Generator], Perturbation]
    """Makes what happens to the twins, of options and a generator."""

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.TWIN)
        self._generator = setting.generator()
        self._twins: dict[DigitalTwin, PerturbedTwin] = {}
        for layer in physical_layers(model):
            base = layer.needed_twin()
            if base not in self._twins:
                self._twins[base] = PerturbedTwin(base, type(self).perturbation(self.options, self._generator))
            layer.twin = self._twins[base]

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        for twin in self._twins.values():
            twin.perturbation.renew()
            twin.active = True
        try:
            return gradient_step(model, x, target, loss, optimiser)
        finally:
            for twin in self._twins.values():
                twin.active = False

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"generator": self._generator.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._generator.set_state(state["generator"])
