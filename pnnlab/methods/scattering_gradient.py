"""Scattering gradient: derivatives of a scattering matrix are products of its own elements."""

from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._mode_networks import mode_network
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, ModeNetwork, System

__all__ = ["ScatteringGradient", "ScatteringGradientOptions"]

ComplexArray = npt.NDArray[np.complexfloating]
Memory = tuple[FloatArray, FloatArray, ComplexArray]


class ScatteringGradientOptions(MethodOptions):
    """Options of the method `scattering_gradient`.

    Attributes:
        reciprocity: Whether S is taken as symmetric, so that one injection of the error at the outputs tells all
            derivatives. If not, a probe is injected at every mode, one after the other, and the outputs are read: right
            for networks that are not reciprocal, at as many shots a sample as there are modes.
        amplitude: Largest field of an injection, in units of the system's `unit`; the larger the less noise counts.
        repeats: How often each injection of the way back is measured and averaged.
    """

    reciprocity: bool = True
    amplitude: float = Field(default=1.0, gt=0)
    repeats: int = Field(default=1, gt=0)


class ScatteringGradient(PhysicalGradient):
    """Two injections tell the gradient of every detuning and coupling (Wanjura & Marquardt 2024, Nat. Phys. 20, 1434).

    `∂S_rp/∂Δ_j = (i/κ_j) (S_rj - δ_rj) (S_jp - δ_jp)`, and alike for couplings. The forward pass injects the probe and
    reads what each mode leaks. The way back injects the error of all outputs at once at the outputs, in its conjugate
    phase; by reciprocity what each mode leaks then is what it does to the outputs. Exact without a twin, whatever the
    losses, detunings and couplings are; each factor κ_j and each hertz a volt that the bench file has wrong scales the
    derivative of its control. Where couplings differ in their two directions it is not the gradient, unless
    `reciprocity: false`.
    """

    name: ClassVar[str] = "scattering_gradient"
    summary: ClassVar[str] = (
        "two injections give the gradient of linear resonators (Wanjura & Marquardt, Nat. Phys. 20, 1434, 2024)"
    )
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.SCATTERING, Capability.RECIPROCAL, Capability.FIELD_OUTPUT, Capability.LOCAL_STATE}
    )
    Options: ClassVar[type[MethodOptions]] = ScatteringGradientOptions
    options: ScatteringGradientOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return _Injected(mode_network(system, self.name), self.options)


class _Injected(Adjoint):
    """Errors injected at the outputs, or probes at every mode."""

    system: ModeNetwork

    def __init__(self, system: ModeNetwork, options: ScatteringGradientOptions) -> None:
        super().__init__(system)
        self._options = options

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`; remembers what the modes leaked."""
        y, out = self.system.scattered(x, theta)
        return y, (x, theta, out - self.system.injected(x, theta))

    def backward(self, memory: object, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, ahead = cast(Memory, memory)
        error = self.system.error_field(grad_y)
        carried = self._by_reciprocity if self._options.reciprocity else self._by_every_mode
        back: ComplexArray = np.mean([carried(x, theta, error) for _ in range(self._options.repeats)], axis=0)
        return self.system.input_gradient(ahead, back, error), self.system.control_gradient(ahead, back)

    def _by_reciprocity(self, x: FloatArray, theta: FloatArray, error: ComplexArray) -> ComplexArray:
        """Return what the modes leak of the error, as if it were injected as it is, shape `(batch, n)`."""
        largest = np.abs(error).max(1, keepdims=True)
        scale = self._options.amplitude / np.where(largest > 0, largest, 1.0)
        field = error * scale
        return np.asarray((self.system.scatter(x, theta, field) - field) / scale, np.complex128)

    def _by_every_mode(self, x: FloatArray, theta: FloatArray, error: ComplexArray) -> ComplexArray:
        """Return the same from what a probe at each mode gives at the outputs."""
        found, probe = np.zeros_like(error), self._options.amplitude
        for mode in range(self.system.n_ports):
            field = np.zeros_like(error)
            field[:, mode] = probe
            leaked = self.system.scatter(x, theta, field) - field
            found[:, mode] = (error * leaked).sum(1) / probe
        return found
