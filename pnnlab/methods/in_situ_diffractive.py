"""In situ backpropagation in diffractive networks: the error field runs back through the masks."""

from typing import ClassVar

from pnnlab.methods._field_adjoint import FieldOverlap
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, System

__all__ = ["InSituDiffractive"]


class InSituDiffractive(PhysicalGradient):
    """The gradient of phase masks by light that runs back from the camera (Zhou et al. 2020, Photonics Res. 8, 940).

    The error δ of the field at the camera is made there and sent back. The gradient by each phase is `2 Re(i u b)` of
    the fields u forwards and b backwards on one side of the mask's pixel, both found by phase-shifting interferometry:
    five shots a sample forwards, four for its error. What the masks are set to does not enter, so their errors do not
    matter. Exact in whatever lies between them, aligned or not, lossy or not, as long as it is reciprocal.

    A mesh of interferometers with taps for fields can do the same.
    """

    name: ClassVar[str] = "in_situ_diffractive"
    summary: ClassVar[str] = "error fields run back through the masks (Zhou et al., Photonics Research 8, 940, 2020)"
    needs: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.BIDIRECTIONAL,
            Capability.FIELD_OUTPUT,
            Capability.LOCAL_STATE,
            Capability.PHASE_CONTROLS,
            Capability.RECIPROCAL,
        }
    )

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return FieldOverlap(system)
