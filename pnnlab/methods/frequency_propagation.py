"""Frequency propagation: inputs at rest, the error as an oscillation, and a lock-in next to each control."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._physical import PhysicalGradient
from pnnlab.methods._relaxation import RelaxationAdjoint, pushes
from pnnlab.nn import Adjoint
from pnnlab.systems import Capability, FloatArray, System

__all__ = ["FrequencyPropagation", "FrequencyPropagationOptions", "OscillatingAdjoint"]


class FrequencyPropagationOptions(MethodOptions):
    """Options of `frequency_propagation`.

    Attributes:
        amplitude: Amplitude ε of the oscillation: the largest on each sample's outputs, or, not normalised, the
            amplitude per derivative of the sample's loss.
        phases: Readings in a period; each is a shot.
        normalise: See there, and `EquilibriumPropagationOptions`.
    """

    amplitude: float = Field(default=0.1, gt=0)
    phases: int = Field(default=8, ge=3)
    normalise: bool = True


class FrequencyPropagation(PhysicalGradient):
    """The error is a force `-ε e cos ωt` on the outputs, slow against the system; `∂E/∂θ` oscillates with it.

    A lock-in at ω next to each control finds the amplitude: ε times the derivative of the loss, with an error of the
    order of ε², as even powers of the swing have no part at ω. There is no second state to be compared with a first
    that is remembered: both signals are there at once, at different frequencies. Readings at the phases of a period,
    one after the other, are the samples of that record; where a batch is played as a waveform, they are taken so.
    """

    name: ClassVar[str] = "frequency_propagation"
    summary: ClassVar[str] = "error as an oscillation, lock-ins (Anisetti et al., Neural Comput. 36, 596, 2024)"
    Options: ClassVar[type[MethodOptions]] = FrequencyPropagationOptions
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.RELAXES, Capability.NUDGE, Capability.LOCAL_STATE})
    options: FrequencyPropagationOptions

    def make_adjoint(self, system: System) -> Adjoint:
        """See `PhysicalGradient.make_adjoint`."""
        return OscillatingAdjoint(system, self.options)


class OscillatingAdjoint(RelaxationAdjoint):
    """A period of the error's oscillation after a free state.

    Args:
        system: It must be a `Relaxes`.
        options: See there.
    """

    def __init__(self, system: System, options: FrequencyPropagationOptions) -> None:
        super().__init__(system)
        self._options = options

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        x, theta, free = memory
        n = self._options.phases
        push, scale = pushes(grad_y, self._options.amplitude, normalise=self._options.normalise)
        wave = np.cos(2 * np.pi * np.arange(n) / n)
        period = self.relaxing.relax(np.tile(x, (n, 1)), theta, nudge=np.concatenate([c * push for c in wave]))
        # the lock-in's reference; its mean is 0, so the free state does not count
        return self.slopes(free, period, 2 / n * wave, scale)
