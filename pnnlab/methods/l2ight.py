"""Subspace learning of meshes: bases found by zeroth order, singular values by a gradient that the chip measures."""

import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError
from pnnlab.methods._basis_search import Bases, BasisSearch
from pnnlab.methods._field_adjoint import LightAdjoint, Pass
from pnnlab.methods._method import (
    LossFunction,
    MethodOptions,
    TrainingMethod,
    gradient_step,
    physical_layers,
    set_rule,
)
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, PhysicalLayer
from pnnlab.physics import Arrangement, SvdMesh
from pnnlab.systems import Capability, CarriesFields, FloatArray, System

__all__ = ["L2ight", "L2ightOptions"]

_LOG = logging.getLogger(__name__)


class L2ightOptions(MethodOptions):
    """The options of `l2ight`.

    Attributes:
        offline: Part of all steps that are made beforehand, with the twin and without the bench; without any, the
            matrices that are mapped are those of the initial controls.
        calibration_sweeps: How often each phase is moved to find meshes that carry light straight through, which tells
            of hidden phases; once a chip.
        mapping_sweeps: How often each phase is moved then, in each layer, to bring its bases near to those wanted.
        arrangement: Of the meshes.
        kept_errors: Part of the outputs whose error is sent back, drawn anew for each batch (feedback sparsity).
        kept_steps: Part of the batches that are used at all (data sparsity).
    """

    offline: float = Field(default=0.5, ge=0, lt=1)
    calibration_sweeps: int = Field(default=4, ge=0)
    mapping_sweeps: int = Field(default=6, ge=0)
    arrangement: Arrangement = "clements"
    kept_errors: float = Field(default=1.0, gt=0, le=1)
    kept_steps: float = Field(default=1.0, gt=0, le=1)


class SingularValues(LightAdjoint):
    """The gradient by each singular value is `2 Re(f b)` of forward and backward light between the bases.

    `dL/ds_i = (Uᵀ e)_i (V x)_i`: exact in every reciprocal chip, whatever it loses and however far its bases are from
    those wanted (Gu et al. 2021, NeurIPS, arXiv 2110.14807, eq. 8). Two shots a sample. Bases stay as they are.

    Args:
        system: The chip.
        kept_errors: See `L2ightOptions`.
        generator: Draws which.

    Attributes:
        offset: By how many turns each attenuator is known to be off, shape `(n,)`.
    """

    def __init__(self, system: System, *, kept_errors: float, generator: torch.Generator) -> None:
        super().__init__(system)
        if Capability.FACTORED not in system.capabilities:
            raise CapabilityError(
                f"{system.name}: singular values are to be learned, but its matrix is no product of two meshes with "
                "attenuators and taps for fields between them; systems of the kind mesh with `matrix: factored` are"
            )
        self._kept, self._generator = kept_errors, generator
        self.offset: FloatArray = np.zeros(self.optics.n_ports)

    @property
    def middle(self) -> slice:
        """Return where attenuators are among the controls."""
        n = self.optics.n_ports
        return slice(n**2, n**2 + n)

    def backward(self, memory: Pass, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        if self._kept < 1:
            drawn = torch.rand(grad_y.shape[1], generator=self._generator).numpy() < self._kept
            grad_y = grad_y * drawn.astype(grad_y.dtype) / self._kept
        size, reading, back = self.send_back(memory, grad_y)
        forth, behind = np.asarray(memory.reading.inside), np.asarray(reading.inside)
        by_value = (2 * size * (forth * behind).real).sum(0)
        angles = 2 * math.pi * (memory.theta[self.middle] + self.offset)
        grad_theta = np.zeros_like(memory.theta)
        grad_theta[self.middle] = -2 * math.pi * np.sin(angles) * by_value
        return self.optics.input_gradient(size * back), grad_theta


class L2ight(TrainingMethod):
    """Three stages: the chip is calibrated, matrices are mapped onto it, and their singular values go on learning.

    What the chip measures is the gradient of a part of its controls, once that has been mapped. What is learned
    beforehand is learned in a twin of the chip as designed: what a fitted one knows of this chip would be mapped twice.
    """

    name: ClassVar[str] = "l2ight"
    summary: ClassVar[str] = "bases of meshes by zeroth order, then singular values by measured gradients (Gu 2021)"
    Options: ClassVar[type[MethodOptions]] = L2ightOptions
    needs_twin: ClassVar[bool] = True
    twin_as_designed: ClassVar[bool] = True
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BIDIRECTIONAL, Capability.FACTORED, Capability.FIELD_OUTPUT, Capability.RECIPROCAL}
    )
    options: L2ightOptions

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """See `TrainingMethod.wants_twin`: not where nothing is learned beforehand."""
        return isinstance(options, L2ightOptions) and options.offline > 0

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        self._generator, self._layers = setting.generator(17), physical_layers(model)
        kept = self.options.kept_errors
        adjoints = {
            system.name: SingularValues(system, kept_errors=kept, generator=self._generator)
            for system in {layer.system.name: layer.system for layer in self._layers}.values()
        }
        for layer in self._layers:
            layer.adjoint = adjoints[layer.system.name]
        self._n_offline, self._n_steps, self._loss = round(self.options.offline * setting.n_steps), 0, math.nan
        set_rule(model, ForwardRule.TWIN if self._n_offline else ForwardRule.PHYSICAL)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self._n_steps == self._n_offline:
            self._map()
            # the bases stay from now on: no momentum is left to them
            optimiser.state.clear()
            set_rule(model, ForwardRule.PHYSICAL)
        on_chip = self._n_steps >= self._n_offline
        self._n_steps += 1
        used = not on_chip or float(torch.rand((), generator=self._generator)) < self.options.kept_steps
        if used or math.isnan(self._loss):
            self._loss = gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)["loss"]
        return {"loss": self._loss}

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        offsets = {layer.system.name: torch.from_numpy(self._adjoint(layer).offset) for layer in self._layers}
        return {
            "generator": self._generator.get_state(), "n_steps": self._n_steps, "loss": self._loss, "offsets": offsets,
        }  # fmt: skip

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._generator.set_state(state["generator"])
        self._n_steps, self._loss = int(state["n_steps"]), float(state["loss"])
        for layer in self._layers:
            self._adjoint(layer).offset = state["offsets"][layer.system.name].numpy()
            # the step after the last one of the twin maps, whenever it comes
            in_twin = 0 < self._n_offline >= self._n_steps
            layer.rule = ForwardRule.TWIN if in_twin else ForwardRule.PHYSICAL

    # Calibration and mapping

    def _map(self) -> None:
        """Bring the matrix of each layer onto its chip, with the best singular values for the bases that are found."""
        hidden: dict[str, FloatArray] = {}
        for layer in self._layers:
            system = layer.system
            assert isinstance(system, CarriesFields)  # noqa: S101 (its adjoint has looked)
            search, design = (
                BasisSearch(system, self._generator),
                SvdMesh.design(system.n_ports, self.options.arrangement),
            )
            if system.name not in hidden:
                hidden[system.name] = self._calibrated(search, design, layer)
            wanted = layer.controls.detach().cpu().numpy().astype(np.float64)
            target = Bases.of(design, wanted)
            turns = search.improve(wanted + hidden[system.name], target, sweeps=self.options.mapping_sweeps)
            turns = self._with_values(search, turns, target, self._adjoint(layer))
            with torch.no_grad():
                layer.raw_controls.copy_(torch.from_numpy(turns))

    def _calibrated(self, search: BasisSearch, design: SvdMesh, layer: PhysicalLayer) -> FloatArray:
        """Return by how many turns phases are off, shape `(n_controls,)`, from what carries light straight through."""
        straight = torch.eye(search.n, dtype=torch.complex128)
        middle = torch.zeros(search.n, dtype=torch.float64)
        phases = torch.cat([design.first.program(straight), middle, design.last.program(straight)])
        ideal: FloatArray = (phases / (2 * math.pi)).numpy()
        found = search.improve(ideal, Bases.of(design, ideal), sweeps=self.options.calibration_sweeps)
        _LOG.info("%s: calibrated, %d shots so far", layer.system.name, layer.system.n_shots)
        return found - ideal

    def _with_values(
        self, search: BasisSearch, turns: FloatArray, target: Bases, adjoint: SingularValues
    ) -> FloatArray:  # fmt: skip
        """Return phases whose attenuators make the chip's matrix as near to the target as its bases allow."""
        passed, height = search.attenuators(turns)
        # a cosine that has passed its crest by so much at 0 is off by that much
        adjoint.offset = passed
        best = search.values(turns, target.matrix) / np.maximum(height, 1e-3)
        turns = turns.copy()
        turns[adjoint.middle] = np.arccos(np.clip(best, -1, 1)) / (2 * math.pi) - passed
        return turns

    def _adjoint(self, layer: PhysicalLayer) -> SingularValues:
        assert isinstance(layer.adjoint, SingularValues)  # noqa: S101 (prepare has given it)
        return layer.adjoint
