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


class WriteVerifyOptions(PulseOptions):
    """How weights are transferred.

    Attributes:
        rounds: Rounds of reading all weights and pulsing those that are off, at most.
        tolerance: Error of a weight that is let be.
        most: Pulses that a weight gets in one round at most.
        share: Part of an error that a round sets out to remove: less than all of it where steps are uncertain.
    """

    rounds: int = Field(default=20, ge=0)
    tolerance: float = Field(default=0.01, gt=0)
    most: int = Field(default=50, gt=0)
    share: float = Field(default=0.7, gt=0, le=1)


class WriteVerify(TrainingMethod):
    """Training happens in the twin; then cells are programmed, read, and pulsed where they are off, until they fit.

    The usual way onto memristive arrays (Alibart, Gao, Hoskins & Strukov, Nanotechnology 23, 075201, 2012; Yao et al.,
    Nature 577, 641, 2020). Whenever the controls have changed and the bench is asked, they are programmed as they are;
    the closed loop comes at the end (`deploy`).

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
        set_rule(model, ForwardRule.TWIN)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        return gradient_step(model, x, target, loss, optimiser)

    @torch.no_grad()
    def deploy(self, model: nn.Module) -> None:
        """See `TrainingMethod.deploy`: the weights are transferred, and what is left of their errors is logged."""
        super().deploy(model)
        for layer in physical_layers(model):
            self._transfer(layer)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"residual": dict(self.residual)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self.residual = dict(state["residual"])

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
        while done < options.rounds and (np.abs(errors) > options.tolerance).any():
            off = np.where(np.abs(errors) > options.tolerance, errors, 0)
            counts = np.sign(off) * np.ceil(np.abs(off) * options.share / weights.step - 0.5).clip(0, options.most)
            if not counts.any():
                break
            weights.array.step(counts.astype(np.int64))
            errors = wanted - weights.array.read_weights()
            done += 1
        weights.array.hold(theta)
        self.residual |= {f"{system.name}_before": before, system.name: _rms(errors)}
        missed = int((np.abs(errors) > options.tolerance).sum())
        _LOG.info(
            "%s: weights are off by %.4f rms after %d rounds of pulses, %.4f before; %d of %d by more than %g",
            system.name, _rms(errors), done, before, missed, errors.size, options.tolerance,
        )  # fmt: skip


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))
