"""Fully forward mode: where optics is its own mirror image, errors run forwards, masks in the opposite order."""

import logging
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError
from pnnlab.methods._field_adjoint import RAD_PER_TURN, LightAdjoint, Pass
from pnnlab.methods._method import LossFunction, MethodOptions, physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FieldReading, FloatArray, MaskReading, OpticalPorts, System

__all__ = ["FullyForward", "FullyForwardOptions", "mirror_asymmetry"]

ComplexArray = npt.NDArray[np.complexfloating]

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.inexact])

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Mirrored(OpticalPorts, Protocol):
    """Phase masks, read on both sides, in a set-up that can be turned into its mirror image."""

    def look(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, MaskReading]:
        """See `OpticalPorts.look`."""
        ...

    def mirrored(self, values: AnyArray) -> AnyArray:
        """Return controls, or what was read next to each, of the mirror image; twice gives those back."""
        ...


class FullyForwardOptions(MethodOptions):
    """Options of the method `fully_forward`.

    Attributes:
        probes: Fields that are sent to measure the asymmetry before training starts, four shots each, twice; 0 does
            without.
        warn_above: Asymmetry above which the log warns.
        refuse_above: Asymmetry above which training does not start.
    """

    probes: int = Field(default=16, ge=0)
    warn_above: float = Field(default=0.05, gt=0)
    refuse_above: float = Field(default=0.7, gt=0)


class FullyForward(PhysicalGradient):
    """The gradient of phase masks by light that runs forwards only (Xue et al. 2024, Nature 632, 280).

    The error δ at the camera is sent in where data enter, through the masks in opposite order. If the set-up is its own
    mirror image, that is what would run back from the camera: the gradient by each phase is `2 Re(i v a)` of the field
    v that data had behind the mask's pixel and the field a that the error has before it. Five shots a sample forwards,
    four for its error.

    It is as exact as the symmetry, which is measured before training starts, at the first layer's present controls, and
    told as the metric `asymmetry`: what `M(θ)ᵀ - M(θ mirrored)` is to `M(θ)` for the matrix M from the source to the
    camera. Planes that are shifted by 3 % of a pixel leave the gradient of coarse random masks at a cosine of 0.98.
    """

    name: ClassVar[str] = "fully_forward"
    summary: ClassVar[str] = "errors run forwards through a mirror-symmetric set-up (Xue et al., Nature 632, 280, 2024)"
    Options: ClassVar[type[MethodOptions]] = FullyForwardOptions
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.FIELD_OUTPUT, Capability.LOCAL_STATE, Capability.MIRROR_SYMMETRIC}
    )
    options: FullyForwardOptions

    def __init__(self, options: MethodOptions | None = None) -> None:
        super().__init__(options)
        self._asymmetry: dict[str, float] = {}

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return _ForwardError(system)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`; the first one measures the asymmetry.

        Raises:
            CapabilityError: A system is less symmetric than `refuse_above` allows.
        """
        if not self._asymmetry and self.options.probes:
            for layer in physical_layers(model):
                if layer.system.name not in self._asymmetry:
                    self._asymmetry[layer.system.name] = self._checked(layer.system, layer.controls)
        metrics = super().step(model, x, target, loss, optimiser)
        return metrics | ({"asymmetry": max(self._asymmetry.values())} if self._asymmetry else {})

    def _checked(self, system: System, controls: Tensor) -> float:
        """Return a system's asymmetry, told to the log."""
        theta = controls.detach().cpu().numpy()
        found, options = mirror_asymmetry(system, theta, self.options.probes), self.options
        _LOG.info("%s: the set-up differs from its mirror image by %.2g", system.name, found)
        if found > options.refuse_above:
            raise CapabilityError(
                f"method 'fully_forward' cannot run here: system {system.name!r} differs from its mirror image by "
                f"{found:.2g} (measured; up to {options.refuse_above:g} is allowed), its gradients would point "
                "elsewhere; align the planes, or raise `refuse_above`; 'in_situ_diffractive' needs no symmetry"
            )
        if found > options.warn_above:
            _LOG.warning(
                "%s: the set-up differs from its mirror image by %.2g, gradients of fully_forward are off by about as "
                "much; align its planes", system.name, found,
            )  # fmt: skip
        return found

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"asymmetry": dict(self._asymmetry)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._asymmetry = dict(state["asymmetry"])


class _ForwardError(LightAdjoint):
    """Errors that run forwards through the mirror image.

    Args:
        system: Phase masks that are read on both sides.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._masks = _mirrored(system)

    def send_error(self, error: ComplexArray, theta: FloatArray) -> FieldReading:
        """See `LightAdjoint.send_error`."""
        return self.optics.send(error, self._masks.mirrored(theta))

    def backward(self, memory: Pass, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        size, reading, back = self.send_back(memory, grad_y)
        behind = memory.reading.behind if isinstance(memory.reading, MaskReading) else None
        overlap = -2 * (_read(behind) * self._masks.mirrored(_read(reading.inside))).imag
        return self.optics.input_gradient(size * back), RAD_PER_TURN * (size * overlap).sum(0)


def mirror_asymmetry(system: System, theta: FloatArray, n_probes: int = 16) -> float:
    """Measure by how much a set-up differs from its mirror image.

    With M the matrix from the source to the camera it is the norm of `M(θ)ᵀ - M(θ mirrored)` over that of M, both
    estimated between random fields. Four shots a field, of which `2 n_probes` are sent.

    Args:
        system: Phase masks that can be mirrored.
        theta: Controls, shape `(n_controls,)`.
        n_probes: Number of fields on each side.

    Raises:
        CapabilityError: The system is of another kind.
    """
    optics, draw = _mirrored(system), np.random.default_rng(0)
    sent, received = (np.exp(2j * math.pi * draw.random((n_probes, optics.n_ports))) for _ in range(2))
    there, back = optics.send(sent, theta), optics.send(received, optics.mirrored(theta))
    ahead, mirrored = _read(there.out) @ received.T, (_read(back.out) @ sent.T).T
    return float(np.linalg.norm(ahead - mirrored) / np.linalg.norm(ahead))


def _mirrored(system: System) -> Mirrored:
    if not isinstance(system, Mirrored):
        raise CapabilityError(
            f"{system.name}: its kind {system.config.kind!r} has no masks whose order can be turned round; errors "
            "can be sent forwards through systems of the kinds diffractive and free-space"
        )
    return system


def _read(field: npt.NDArray[np.number] | None) -> ComplexArray:
    if field is None or not np.iscomplexobj(field):
        raise CapabilityError("fully_forward: fields on both sides of each mask are needed, the system reads none")
    return cast(ComplexArray, field)
