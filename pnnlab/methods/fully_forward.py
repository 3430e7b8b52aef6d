"""Fully forward mode: where optics is its own mirror image, errors run forwards, masks in the opposite order."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.errors import CapabilityError
from pnnlab.methods._method import LossFunction, MethodOptions, physical_layers
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, MaskReading, Side, System

__all__ = ["FullyForward", "FullyForwardOptions", "mirror_asymmetry"]

ComplexArray = npt.NDArray[np.complexfloating]

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.inexact])

_LOG = logging.getLogger(__name__)
_RAD_PER_TURN: Final = 2 * math.pi


@runtime_checkable
class Mirrored(Protocol):
    """Phase masks in turns, read on both sides, in a set-up that can be turned into its mirror image."""

    @property
    def n_ports(self) -> int:
        """Return the number of pixels of a plane."""
        ...

    def look(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, MaskReading]:
        """Measure a forward pass and its fields."""
        ...

    def send(self, field: ComplexArray, theta: FloatArray, *, side: Side = Side.IN) -> MaskReading:
        """See `pnnlab.systems.CarriesFields.send`."""
        ...

    def mirrored(self, values: AnyArray) -> AnyArray:
        """Return controls, or what was read next to each, of the mirror image; twice gives those back."""
        ...

    def error_field(self, out: ComplexArray, grad_y: FloatArray) -> ComplexArray:
        """Return δ of `dL = 2 Re(δ · du)` where light leaves."""
        ...

    def input_gradient(self, back: ComplexArray) -> FloatArray:
        """Return the derivative of the loss by the inputs of δ as it comes back to them."""
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


@dataclass(frozen=True, slots=True)
class _Memory:
    theta: FloatArray
    reading: MaskReading


class _ForwardError(Adjoint):
    """Errors that run forwards through the mirror image.

    Args:
        system: Phase masks that are read on both sides.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self.optics = _mirrored(system)

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, _Memory]:
        """See `Adjoint.forward`."""
        y, reading = self.optics.look(x, theta)
        return y, _Memory(theta, reading)

    def backward(self, memory: _Memory, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        error = self.optics.error_field(_read(memory.reading.out), grad_y)
        size = _largest_quadrature(error)
        mirror = self.optics.send(error / np.where(size > 0, size, 1), self.optics.mirrored(memory.theta))
        arriving = self.optics.mirrored(_read(mirror.inside))
        overlap = -2 * (_read(memory.reading.behind) * arriving).imag
        return self.optics.input_gradient(size * _read(mirror.out)), _RAD_PER_TURN * (size * overlap).sum(0)


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
            "can be sent forwards through a system of the kind diffractive"
        )
    return system


def _read(field: npt.NDArray[np.number] | None) -> ComplexArray:
    if field is None or not np.iscomplexobj(field):
        raise CapabilityError("fully_forward: fields on both sides of each mask are needed, the system reads none")
    return cast(ComplexArray, field)


def _largest_quadrature(field: ComplexArray) -> FloatArray:
    """Return the largest real or imaginary part of each sample, shape `(batch, 1)`."""
    largest: FloatArray = np.maximum(np.abs(field.real), np.abs(field.imag)).max(-1, keepdims=True)
    return largest
