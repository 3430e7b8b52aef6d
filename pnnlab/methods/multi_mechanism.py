"""Multi-mechanism learning: a second quantity carries the error through the same elements."""

from typing import Any, ClassVar

from pydantic import Field

from pnnlab.errors import CapabilityError
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import pushes
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, CarriesSignal, FloatArray, Relaxes, System

__all__ = ["MultiMechanism", "MultiMechanismOptions", "SignalAdjoint"]


class MultiMechanismOptions(MethodOptions):
    """Options of `multi_mechanism`.

    Attributes:
        amplitude: The most that an output releases on each sample. The gradient does not depend on it, but how far the
            signal stands above noise.
    """

    amplitude: float = Field(default=1.0, gt=0)


class MultiMechanism(PhysicalGradient):
    """Outputs release a second quantity in proportion to their error; each control multiplies both as it finds them.

    In a network of linear conductances that product of a voltage drop and the signal's drop is the gradient, in one
    measurement, with no small nudge. Where the first quantity meets nonlinear elements the second does not meet their
    tangent, and the product is an approximation.
    """

    name: ClassVar[str] = "multi_mechanism"
    summary: ClassVar[str] = "error carried by a second quantity (Anisetti et al., Phys. Rev. Research 5, 023024, 2023)"
    Options: ClassVar[type[MethodOptions]] = MultiMechanismOptions
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.RELAXES, Capability.SECOND_CARRIER, Capability.LOCAL_STATE}
    )
    options: MultiMechanismOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return SignalAdjoint(system, self.options.amplitude)


class SignalAdjoint(Adjoint):
    """A free state forwards; the same with a second carrier backwards.

    Args:
        system: It must be a `Relaxes` and a `CarriesSignal`.
        amplitude: See `MultiMechanismOptions`.

    Raises:
        CapabilityError: It is not.
    """

    def __init__(self, system: System, amplitude: float) -> None:
        super().__init__(system)
        if not isinstance(system, Relaxes) or not isinstance(system, CarriesSignal):
            raise CapabilityError(
                f"{system.name}: a system of the kind {system.config.kind!r} lets no second quantity spread; choose "
                "another method, or give the board a `carrier`"
            )
        self._relaxing: Relaxes = system
        self._carrying: CarriesSignal = system
        self._amplitude = amplitude

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        """See `Adjoint.forward`."""
        return self._relaxing.relax(x, theta).y, (x, theta)

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta = memory
        release, scale = pushes(grad_y, self._amplitude, normalise=True)
        _, change = self._carrying.carry(release, x, theta)
        of_controls: FloatArray = (change * scale).sum(0)
        return None, of_controls
