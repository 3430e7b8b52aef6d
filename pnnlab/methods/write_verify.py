"""Weights trained in silico, then written to a crossbar by pulses with a reading after each round."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, TrainingMethod, gradient_step, physical_layers, set_rule
from pnnlab.methods._pulsed_weights import PulsedWeights, PulseOptions
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer
from pnnlab.systems import Capability

__all__ = ["WriteVerify", "WriteVerifyOptions"]

_LOG = logging.getLogger(__name__)
_MARGIN = 0.02
"""Part of its range that a cell keeps from either bound, where steps vanish."""
_EDGE = 1e-3
"""Distance of controls from the ends of their range, which no finite raw control reaches."""


class WriteVerifyOptions(PulseOptions):
    """How weights are transferred.

    Attributes:
        rounds: Rounds of reading all weights and pulsing those that are off, at most.
        tolerance: Error of a weight that is let be.
        most: Pulses that a weight gets in one round at most.
        share: Part of an error that a round sets out to remove: less than all of it where steps are uncertain.
        patience: Rounds without a better state after which a cell is only brought back to the best that it had.
        survey: Program every cell as low and as high as it goes before the first step, read how far that is, and train
            within it; or train as if all cells could hold any weight.
    """

    rounds: int = Field(default=20, ge=0)
    tolerance: float = Field(default=0.01, gt=0)
    most: int = Field(default=50, gt=0)
    share: float = Field(default=0.7, gt=0, le=1)
    patience: int = Field(default=4, gt=0)
    survey: bool = True


class WriteVerify(TrainingMethod):
    """Training happens in the twin; then cells are programmed, read, and pulsed where they are off, until they fit.

    The usual way onto memristive arrays (Alibart, Gao, Hoskins & Strukov, Nanotechnology 23, 075201, 2012; Yao et al.,
    Nature 577, 641, 2020). Whenever the controls have changed and the bench is asked, they are programmed as they are;
    the closed loop comes at the end (`deploy`).

    No number of pulses brings a cell to a weight beyond its bounds. So these are surveyed first, and the optimiser's
    steps end there; the other weights make up for it. A cell that does not get nearer all the same, for its step
    vanishes there or its noise is larger than the tolerance, is not pulsed away from the best that it had.

    Attributes:
        residual: Root mean square error of the weights after the transfer, by system, as the array was read; the same
            before the first round with `_before` at the name's end.
    """

    name: ClassVar[str] = "write_verify"
    summary: ClassVar[str] = "trained in silico, transferred by pulses and readings (Alibart et al., 2012)"
    Options: ClassVar[type[WriteVerifyOptions]] = WriteVerifyOptions
    needs_twin: ClassVar[bool] = True
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SINGLE_PULSES})
    options: WriteVerifyOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        self._generator = setting.generator()
        self.residual: dict[str, float] = {}
        self._reach: dict[str, tuple[Tensor, Tensor]] = {}
        set_rule(model, ForwardRule.TWIN)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        layers = physical_layers(model) if self.options.survey else []
        for layer in layers:
            if layer.system.name not in self._reach:
                self._reach[layer.system.name] = self._survey(layer)
        found = gradient_step(model, x, target, loss, optimiser)
        with torch.no_grad():
            for layer in layers:
                layer.raw_controls.copy_(_within(layer.raw_controls, *self._reach[layer.system.name]))
        return found

    @torch.no_grad()
    def deploy(self, model: nn.Module) -> None:
        """See `TrainingMethod.deploy`: the weights are transferred, and what is left of their errors is logged."""
        super().deploy(model)
        for layer in physical_layers(model):
            self._transfer(layer)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"residual": dict(self.residual), "reach": dict(self._reach)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self.residual = dict(state["residual"])
        self._reach = {name: (low.clone(), high.clone()) for name, (low, high) in state["reach"].items()}

    def _survey(self, layer: PhysicalLayer) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest raw control that each cell of a layer can follow."""
        system, n = layer.system, layer.system.n_controls
        array = PulsedWeights(system, self.options, self._generator).array
        ends = []
        for end in (0.0, 1.0):
            array.write(np.full(n, end, system.dtype))
            ends.append(array.read_weights().flatten())
        low, high = np.minimum(*ends), np.maximum(*ends)
        margin = _MARGIN * (high - low)
        full = float((high - low).max())
        _LOG.info(
            "%s: cells hold weights from %.2f to %.2f on average; %d of %d have less than half the widest range",
            system.name, low.mean(), high.mean(), int((high - low < full / 2).sum()), n,
        )  # fmt: skip
        controls = (torch.from_numpy(np.stack([low + margin, high - margin])) + 1) / 2
        least, most = controls.clamp(_EDGE, 1 - _EDGE).logit().to(layer.raw_controls)
        return least, most

    def _transfer(self, layer: PhysicalLayer) -> None:
        options, system = self.options, layer.system
        weights = PulsedWeights(system, options, self._generator)
        theta = layer.controls.cpu().numpy()
        weights.array.write(theta)
        if not weights.step and options.rounds:
            weights.find_step()
            weights.array.write(theta)
        wanted = np.asarray(system.weights(theta))
        errors = wanted - weights.array.read_weights()
        before, done = _rms(errors), 0
        best, stale = np.abs(errors), np.zeros(errors.shape, np.int64)
        given_up = np.zeros(errors.shape, bool)
        while done < options.rounds:
            given_up |= stale >= options.patience
            # what a cell could not better is no longer part of its error
            gaps = np.abs(errors) - np.where(given_up, best, 0)
            pulses = np.ceil(gaps * options.share / weights.step - 0.5).clip(1, options.most)
            off = (np.abs(errors) > options.tolerance) & (gaps > np.where(given_up, weights.step / 2, 0))
            counts = np.where(off, np.sign(errors) * pulses, 0)
            if not counts.any():
                break
            weights.array.step(counts.astype(np.int64))
            errors = wanted - weights.array.read_weights()
            done += 1
            stale = np.where(np.abs(errors) < best, 0, stale + 1)
            best = np.minimum(best, np.abs(errors))
        if _rms(errors) > before:
            weights.array.write(theta)  # the rounds did harm on the whole, and programming undoes them
            errors = wanted - weights.array.read_weights()
        weights.array.hold(theta)
        self.residual |= {f"{system.name}_before": before, system.name: _rms(errors)}
        missed = int((np.abs(errors) > options.tolerance).sum())
        _LOG.info(
            "%s: weights are off by %.4f rms after %d rounds of pulses, %.4f before; %d of %d by more than %g",
            system.name, _rms(errors), done, before, missed, errors.size, options.tolerance,
        )  # fmt: skip


def _within(raw: Tensor, least: Tensor, most: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(raw, least), most)


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))
