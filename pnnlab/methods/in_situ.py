"""In situ backpropagation: light itself carries the error back through the mesh."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor, nn, no_grad, optim

from pnnlab.methods._field_adjoint import FieldOverlap, Interference
from pnnlab.methods._method import LossFunction, MethodOptions, backward, gradient_step, physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.physics import Arrangement, InterferometerMesh
from pnnlab.systems import Capability, FloatArray, System

__all__ = ["InSitu", "InSituOptions"]


class InSituOptions(MethodOptions):
    """The options of `in_situ`.

    Attributes:
        read_out: What is read at the phase shifters: `intensity` needs photodiodes, and light that is not lost (or all
            alike, see `loss_db`); `field` needs interferometric taps, and is exact with any loss.
        protocol: How intensities become gradients: by `subtraction` of those of the inputs and of the error alone from
            those of both (two more shots a sample), or by a `lock_in` on the phase between both.
        phases: With `lock_in`: over how many phases it is swept, each a shot a sample; 2 toggles a sign, as an analog
            difference amplifier can follow.
        loss_db: With `intensity`: power that is lost in each column of the mesh, as far as it is known, by which
            gradients are corrected.
        arrangement: Of the mesh, for `loss_db`.
        update: `optimiser` hands the gradients to the recipe's optimiser, which remembers those before; `proportional`
            moves each phase by the learning rate times its gradient, `sign` by the learning rate in turns against the
            sign of its gradient: both need no more than an analog signal at each heater.
    """

    read_out: Literal["intensity", "field"] = "intensity"
    protocol: Literal["subtraction", "lock_in"] = "subtraction"
    phases: int = Field(default=2, ge=2)
    loss_db: float = Field(default=0.0, ge=0)
    arrangement: Arrangement = "clements"
    update: Literal["optimiser", "proportional", "sign"] = "optimiser"

    @model_validator(mode="after")
    def _check_sweep(self) -> Self:
        if self.read_out == "field" and (self.protocol == "lock_in" or self.loss_db):
            raise ValueError(
                "`lock_in` and `loss_db` are of intensities; leave them out, or set `read_out` to intensity"
            )
        return self


class InSitu(PhysicalGradient):
    """Adjoint gradients of a linear photonic network, measured in it."""

    name: ClassVar[str] = "in_situ"
    summary: ClassVar[str] = "errors run back as light, interference at each phase shifter is its gradient (Pai 2023)"
    Options: ClassVar[type[MethodOptions]] = InSituOptions
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.BIDIRECTIONAL,
            Capability.FIELD_OUTPUT,
            Capability.INTERNAL_INTENSITY,
            Capability.RECIPROCAL,
        }
    )
    options: InSituOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        chosen = self.options
        if chosen.read_out == "field":
            return FieldOverlap(system)
        kept = kept_power(system, chosen.arrangement, chosen.loss_db) if chosen.loss_db else None
        return Interference(system, phases=chosen.phases if chosen.protocol == "lock_in" else 0, kept=kept)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self.options.update == "optimiser":
            return gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
        optimiser.zero_grad(set_to_none=True)
        total = backward(model, x, target, loss, micro_batch=self.micro_batch)
        rate = float(optimiser.param_groups[0]["lr"])
        with no_grad():
            for layer in physical_layers(model):
                gradient = layer.raw_controls.grad
                if gradient is None:
                    continue
                layer.raw_controls.sub_(rate * (gradient.sign() if self.options.update == "sign" else gradient))
                layer.raw_controls.grad = None  # nothing is left for the optimiser but digital parts
        optimiser.step()
        return {"loss": total}


def kept_power(system: System, arrangement: Arrangement, loss_db: float) -> FloatArray:
    """Return the part of the power that reaches each place of a mesh of uniform loss, shape `(n_places,)`.

    Args:
        system: A mesh.
        arrangement: Of it.
        loss_db: What each column loses, half of it before its inner phase shifters.
    """
    mesh = InterferometerMesh(round(system.n_controls**0.5), arrangement)
    outer = np.array([column for column, _ in mesh.places], np.float64)
    passed = np.concatenate([outer + 0.5, outer, np.full(mesh.n_ports, len(mesh.columns), np.float64)])
    kept: FloatArray = (10 ** (-loss_db * passed / 10)).astype(system.dtype)
    return kept
