"""Augmented direct feedback alignment: another nonlinearity in the place of the physics' derivative."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn, optim

from pnnlab.errors import RunError
from pnnlab.methods._masks import NONLINEARITIES, MaskedChain, MaskOptions, Nonlinearity
from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._projection import ProjectorOptions, projecting_system, projections
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer, Segment, cut_at_layers, run_in_flight

__all__ = ["AugmentedDFA", "AugmentedDFAOptions"]


class AugmentedDFAOptions(MethodOptions):
    """Options of augmented direct feedback alignment.

    Attributes:
        trained: `masks`: digital linear maps in front of the physical layers and a linear read-out behind them, while
            all controls stay as they are; `weights`: the controls themselves, where they are the weights of
            `y = f(x · W)` (crossbars).
        nonlinearity: g(z), z being what the physics is told to meet: the mask's output as it is scaled for the block,
            or x · W as commanded. `noise` is the negative control: it trains no more than the read-out.
        projector: A system of the bench that makes the projections; a digital matrix if left out.
        masks: Of the masks.
    """

    trained: Literal["masks", "weights"] = "masks"
    nonlinearity: Nonlinearity = "cosine"
    projector: ProjectorOptions | None = None
    masks: MaskOptions = MaskOptions()


class AugmentedDFA(TrainingMethod):
    """δ_l = (B_l e) ∘ g(z_l), with g any nonlinearity of mean other than zero, and no model of the physics at all.

    Nakajima et al. 2022 (Nat. Commun. 13, 7847, eq. 3; "physical deep learning"): the error is projected at random as
    in direct feedback alignment, and the derivative f' of the physics, which nobody needs to know, is replaced by g.
    The gradient of the linear map before f is δ_l h_{l-1}ᵀ.
    """

    name: ClassVar[str] = "augmented_dfa"
    summary: ClassVar[str] = (
        "random projections of the error, any nonlinearity for the derivative (Nakajima et al., 2022)"
    )
    needs_twin: ClassVar[bool] = False
    Options = AugmentedDFAOptions
    options: AugmentedDFAOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`.

        Raises:
            RunError: Weights are to be trained, and the controls of a layer are none; or the projector does not fit.
        """
        set_rule(model, ForwardRule.MEASURED)
        layers = physical_layers(model)
        self._generator = setting.generator(21)
        self._masks: MaskedChain | None = None
        if self.options.trained == "masks":
            self._masks = MaskedChain(model, self.options.masks, setting, self._generator)
            sizes = [self._masks.width] * len(layers)
        else:
            _check_weights(layers)
            sizes = [layer.system.n_out for layer in layers[:-1]]
        self._projections = projections(sizes, setting, setting.generator(22), self.options.projector)
        self.systems = projecting_system(setting, self.options.projector)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self._masks is not None:
            passage = self._masks.measure(x, self.micro_batch)
            error, value = self._masks.read_out(passage.features, target, loss)
            self._masks.descend(passage.inputs, self._deltas(error, passage.sums))
            return {"loss": value}
        optimiser.zero_grad(set_to_none=True)
        size = min(self.micro_batch or len(x), len(x))
        works = [
            partial(self._teach_weights, model, *pair, loss, len(pair[0]) / len(x))
            for pair in zip(x.split(size), target.split(size), strict=True)
        ]
        count = len(physical_layers(model)) + sum(one.n_measurements for one in self._projections)
        total = math.fsum(run_in_flight(works, n_measurements=count) if len(works) > 1 else [works[0]()])
        optimiser.step()
        return {"loss": total}

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        return super().predict(model, x) if self._masks is None else self._masks(x)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"generator": self._generator.get_state()} if self._masks is None else self._masks.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        if self._masks is None:
            self._generator.set_state(state["generator"])
        else:
            self._masks.load_state(state)

    def _deltas(self, error: Tensor, sums: Sequence[Tensor]) -> list[Tensor]:
        g = NONLINEARITIES[self.options.nonlinearity]
        return [
            projection(error) * g(z.detach(), self._generator)
            for projection, z in zip(self._projections, sums, strict=True)
        ]

    def _teach_weights(self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, weight: float) -> float:
        with cut_at_layers(graphs=False) as segments:
            logits = model(x)
        logits.retain_grad()
        value = loss(logits, target) * weight
        value.backward()
        sums = [_commanded(segment) for segment in segments]
        # the last layer is linear and has the true gradient
        last = segments[-1].outer.grad
        assert last is not None  # noqa: S101 (the loss gave it)
        for z, delta in zip(sums, [*self._deltas(logits.grad, sums[:-1]), last], strict=True):
            z.backward(delta)
        return float(value.detach())


def _commanded(segment: Segment) -> Tensor:
    """Return x · W as it is asked of a layer, shape `(batch, n_out)`, with the graph of its controls."""
    matrix = segment.layer.system.weights(segment.layer.controls)
    assert matrix is not None  # noqa: S101 (checked when prepared)
    return segment.x.detach() @ matrix


def _check_weights(layers: Sequence[PhysicalLayer]) -> None:
    with torch.no_grad():
        other = [layer.system for layer in layers if layer.system.weights(layer.controls) is None]
    if other:
        names = ", ".join(f"{system.name!r} ({system.config.kind})" for system in dict.fromkeys(other))
        raise RunError(
            f"method 'augmented_dfa': `trained: weights` is asked for, but the controls of {names} are no weights of a "
            "matrix; use `trained: masks`"
        )
