"""Equilibrium propagation: the free state of an energy against states that the error nudges."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import RelaxationAdjoint, pushes
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System

__all__ = ["EquilibriumPropagation", "EquilibriumPropagationOptions", "NudgedAdjoint"]


class EquilibriumPropagationOptions(MethodOptions):
    """Options of `equilibrium_propagation`.

    Attributes:
        nudge: `one_sided` compares the free state with one that is nudged by β: the bias falls as β. `centred` compares
            nudges by β and -β: it falls as β². `holomorphic` nudges by `points` different amounts between them, and
            the derivative at 0 of the polynomial through all counts: it falls as β to the power of `points`.
        beta: Size β of the nudge: the largest force on each sample's outputs, or, not normalised, the force per
            derivative of the sample's loss.
        points: Nudges with `holomorphic`; even.
        normalise: Whether β is the largest force, whatever a sample's error: nudges then stay above noise and steps of
            the converter as errors get small, and within its range as they are large.
        repeats: How often each nudged state is measured; the mean counts.
    """

    nudge: Literal["one_sided", "centred", "holomorphic"] = "centred"
    beta: float = Field(default=0.1, gt=0)
    points: int = Field(default=4, ge=2, multiple_of=2)
    normalise: bool = True
    repeats: int = Field(default=1, gt=0)


class EquilibriumPropagation(PhysicalGradient):
    """The system settles into a minimum of its energy E; then the outputs are pushed against the error, weakly.

    With the total energy `E + β C` of a cost C, the derivative of `∂E/∂θ` at the settled state with respect to β is
    that of the cost at the free state with respect to θ, if the energy's Hessian is symmetric, as that of every energy
    is. `∂E/∂θ` is known next to each control: half the square of a voltage drop, the product of two spins.

    Instead of a complex β on a circle (Laborieux & Zenke 2022) the exact variant nudges by real amounts, which
    instruments can make: points of Chebyshev on the real axis determine the same analytic function.
    """

    name: ClassVar[str] = "equilibrium_propagation"
    summary: ClassVar[str] = (
        "free against nudged equilibria (Scellier & Bengio, Front. Comput. Neurosci. 11, 24, 2017; Laborieux 2021)"
    )
    Options: ClassVar[type[MethodOptions]] = EquilibriumPropagationOptions
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.RELAXES, Capability.NUDGE, Capability.LOCAL_STATE})
    options: EquilibriumPropagationOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return NudgedAdjoint(system, self.options)


class NudgedAdjoint(RelaxationAdjoint):
    """Nudged states after a free one.

    Args:
        system: It must be a `Relaxes`.
        options: See there.
    """

    def __init__(self, system: System, options: EquilibriumPropagationOptions) -> None:
        super().__init__(system)
        self._options = options
        self._points, self._weights = _stencil(options)

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, free = memory
        push, scale = pushes(grad_y, self._options.beta, normalise=self._options.normalise)
        points, weights = (np.repeat(part, self._options.repeats) for part in (self._points, self._weights))
        nudge = np.concatenate([point * push for point in points])
        nudged = self.relaxing.relax(np.tile(x, (len(points), 1)), theta, nudge=nudge)
        return self.slopes(free, nudged, weights / self._options.repeats, scale)


def _stencil(options: EquilibriumPropagationOptions) -> tuple[FloatArray, FloatArray]:
    """Return nudges in units of β, and weights of their states for the derivative; with that of the free one, 0."""
    if options.nudge == "one_sided":
        return np.array([1.0]), np.array([1.0])
    if options.nudge == "centred":
        return np.array([1.0, -1.0]), np.array([0.5, -0.5])
    n = options.points
    points = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    # the derivative at 0 of the polynomial through n points is exact for the powers 0 to n - 1
    powers = np.vander(points, increasing=True).T
    return points, np.linalg.solve(powers, np.eye(n)[1])
