"""Tiki-Taka: a fast array takes the gradient, a slow one keeps the weights."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from pnnlab.errors import RunError
from pnnlab.methods._in_place import InPlace, LayerRule
from pnnlab.methods._method import physical_layers
from pnnlab.methods._pulsed_weights import PulsedWeights, PulseOptions
from pnnlab.methods._setting import Setting
from pnnlab.methods._transfer import AveragedTransfer, BufferedTransfer, ChoppedTransfer, DirectTransfer
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import FloatArray, System

__all__ = ["TikiTaka", "TikiTakaOptions"]

_MEMORY = 0.99
"""What a sample leaves of the running mean before it."""


class TikiTakaOptions(PulseOptions):
    """Which version, and how the arrays work together.

    The fast array adds up gradients, the slow one adds up the fast array, and only the decay of the fast one, which
    every pulse brings about, damps what would otherwise swing. Where the loss comes and goes, make `learning_rate`
    larger or `transfer_rate` smaller.

    Attributes:
        learning_rate: Of the fast array. If `scaled`, change of a fast weight where input and error are largest, which
            the recipe's schedule leaves alone; what needs more than `slots` steps saturates.
        scaled: Take gradients in units of their strength, the running mean of gain max|x| max|d|, and multiply what is
            transferred by it and by the recipe's schedule. Otherwise pulses, and the damping with them, cease as the
            loss falls, and the arrays swing (Rasch et al. 2024 scale the fast array likewise).
        version: 1 (Gokmen & Haensch 2020), 2 (Gokmen 2021), 3 (chopped, Rasch et al. 2024) or 4 (AGAD, the same).
        fast: The system whose array takes the gradient of each layer's system, by name; `NAME-fast` where left out.
        transfer_rate: Change of a slow weight per fast weight that is read, and per unit of the strength if `scaled`.
        transfer_every: Samples from one read row of a fast array to the next.
        settle: Pulses up and down in turn that bring the fast array to its symmetry points before training, and as
            many again while these are read; with version 4 they only bring it near.
        chop: Version 3: chance of a sign to change.
        half_period: Version 4: readings of a row under one sign.
        gate: Version 4: standard errors that a difference of means must exceed to count.
    """

    learning_rate: float = Field(default=0.06, gt=0)
    scaled: bool = True
    version: Literal[1, 2, 3, 4] = 2
    fast: Mapping[str, str] = Field(default_factory=dict)
    transfer_rate: float = Field(default=10.0, gt=0)
    transfer_every: int = Field(default=1, gt=0)
    settle: int = Field(default=300, ge=0)
    chop: float = Field(default=0.05, ge=0, le=1)
    half_period: int = Field(default=5, ge=2)
    gate: float = Field(default=1.0, ge=0)


class TikiTaka(InPlace):
    """Gradients go to array A by pulses, rows of A are read in turn, and what is read moves array C, which is used.

    Asymmetric steps pull A to its symmetry points; read relative to these, which were found by alternating pulses and
    measured, that is a decay, and no error as in `analog_sgd`.

    Version 1: C += α (row of A) by pulses (Gokmen & Haensch, Front. Neurosci. 14, 103, 2020). 2: through a digital
    buffer, H += α (row of A), whole pulses of H to C (Gokmen, Front. Artif. Intell. 4, 699148, 2021). 3 and 4 need no
    exact symmetry point: random signs (c-TTv2), and differences of means under both signs (AGAD; both Rasch, Carta,
    Fagbohungbe & Gokmen, Nat. Commun. 15, 7133, 2024). Gradients are taken at C, that is γ = 0.
    """

    name: ClassVar[str] = "tiki_taka"
    summary: ClassVar[str] = "a fast array for gradients, a slow one for weights (Gokmen & Haensch 2020, v1 to v4)"
    Options: ClassVar[type[PulseOptions]] = TikiTakaOptions
    options: TikiTakaOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        slow = [layer.system.name for layer in physical_layers(model)]
        self._fast = {name: self._partner(name, setting) for name in slow}
        used = [system.name for system in self._fast.values()]
        if len({*used, *slow}) < len(used) + len(set(slow)):
            raise RunError(
                f"method {self.name!r}: fast arrays are {', '.join(used)} for {', '.join(slow)}; each must be a "
                "crossbar of its own; correct the option `fast`"
            )
        super().prepare(model, setting)
        self.systems = tuple(self._fast.values())

    def make_rule(self, layer: PhysicalLayer, weights: PulsedWeights, setting: Setting) -> LayerRule:
        """See `InPlace.make_rule`."""
        fast = PulsedWeights(self._fast[layer.system.name], self.options, self._generator)
        return _TwoArrays(layer, weights, fast, self.options, self._transfer(weights))

    def _transfer(self, slow: PulsedWeights) -> DirectTransfer:
        options, rate, generator = self.options, self.options.transfer_rate, self._generator
        match options.version:
            case 1:
                return DirectTransfer(slow, rate, generator)
            case 2:
                return BufferedTransfer(slow, rate, generator)
            case 3:
                return ChoppedTransfer(slow, rate, generator, options.chop)
            case 4:
                return AveragedTransfer(slow, rate, generator, options.half_period, options.gate)

    def _partner(self, name: str, setting: Setting) -> System:
        wanted = self.options.fast.get(name, f"{name}-fast")
        if wanted not in setting.systems:
            raise RunError(
                f"method {self.name!r}: no system is named {wanted!r}, which is to be the fast array of {name!r}; "
                f"describe it in the bench file, or name another by the option `fast`; systems are "
                f"{', '.join(setting.systems) or 'none'}"
            )
        fast, slow = setting.systems[wanted], setting.systems[name]
        if (fast.n_in, fast.n_out) != (slow.n_in, slow.n_out):
            raise RunError(
                f"method {self.name!r}: {wanted!r} has {fast.n_in} x {fast.n_out} weights, {name!r} has {slow.n_in} x "
                f"{slow.n_out}; the fast array must be as large as the slow one"
            )
        return fast


class _TwoArrays(LayerRule):
    """A fast array learns, a slow one is told row after row."""

    def __init__(
        self, layer: PhysicalLayer, slow: PulsedWeights, fast: PulsedWeights, options: TikiTakaOptions,
        transfer: DirectTransfer,
    ) -> None:  # fmt: skip
        super().__init__(layer, slow)
        self._fast, self._options, self._transfer = fast, options, transfer
        self._middle = np.full(fast.system.n_controls, 0.5, fast.system.dtype)
        self._symmetry = np.zeros((fast.system.n_in, fast.system.n_out))
        self._samples, self._strength = 0, 0.0

    def begin(self) -> None:
        """See `LayerRule.begin`; the fast array is brought to its symmetry points, and read there."""
        super().begin()
        fast = self._fast
        fast.array.write(self._middle)
        if not fast.step:
            fast.find_step()
        if self._options.settle:
            self._symmetry[...] = fast.settle(self._options.settle)

    def learn(self, x: FloatArray, d: FloatArray, learning_rate: float) -> None:
        """See `LayerRule.learn`."""
        transfer, every = self._transfer, self._options.transfer_every
        if self._options.scaled:
            self._follow(x, d)
            # a fast array that learns slower is damped less, so a schedule falls on what is transferred
            transfer.strength = self._strength * learning_rate / self._options.learning_rate
            learning_rate = self._options.learning_rate / (self._strength or 1.0)
        self._fast.descend(x * transfer.row_signs, d * transfer.column_signs, learning_rate)
        first = self._samples // every
        self._samples += len(x)
        # a whole round tells all that the array holds now; more would be read twice
        rows = np.arange(first, self._samples // every)[-self._fast.system.n_in :] % self._fast.system.n_in
        if len(rows):
            read = self._fast.read_rows(rows, self._middle).astype(np.float64)
            known = self._options.version < 4
            transfer.pass_on(rows, read - self._symmetry[rows] if known else read)

    def _follow(self, x: FloatArray, d: FloatArray) -> None:
        """Take the samples into the running mean of the gradient's strength."""
        strengths = np.abs(x).max(1) * np.abs(d).max(1) * self.weights.array.gain
        now, kept = float(strengths.mean()), _MEMORY ** len(x) if self._strength else 0.0
        self._strength = kept * self._strength + (1 - kept) * now

    def state(self) -> dict[str, Any]:
        """See `LayerRule.state`."""
        return super().state() | {
            "fast_step": self._fast.step, "symmetry": torch.from_numpy(self._symmetry.copy()),
            "samples": self._samples, "strength": self._strength, "transfer": self._transfer.state(),
        }  # fmt: skip

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `LayerRule.load_state`."""
        super().load_state(state)
        self._fast.step, self._samples = float(state["fast_step"]), int(state["samples"])
        self._strength = float(state["strength"])
        self._symmetry = state["symmetry"].numpy().copy()
        self._transfer.load_state(state["transfer"])
