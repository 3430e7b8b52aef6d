"""Errors carried back by an echo: the medium's momenta are the gradient."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from pnnlab.errors import CapabilityError
from pnnlab.nn import Adjoint
from pnnlab.systems import Echo, Echoes, FloatArray, System

__all__ = ["EchoAdjoint", "Estimate", "echo_residual"]

Estimate = Literal["centred", "corrected", "one_sided"]
ComplexArray = npt.NDArray[np.complexfloating]


@runtime_checkable
class WaveEchoes(Echoes, Protocol):
    """Echoes whose returned fields tell the gradient of the inputs."""

    def input_gradient(self, change: ComplexArray) -> FloatArray:
        """Return the derivative by the inputs of the change of what came back, for each unit of nudge."""
        ...


@dataclass(frozen=True, slots=True)
class _Memory:
    x: FloatArray
    theta: FloatArray
    plain: Echo | None


class EchoAdjoint(Adjoint):
    """Gradients by controls from the momenta that echoes leave, gradients by inputs from the fields that come back.

    The nudge is `-epsilon dL/dy`, in units of the sample's largest |dL/dy|. A `one_sided` estimate takes one echo for
    exact without its nudge: its error is of the order of epsilon, and what loss leaves of the echo is divided by
    epsilon. `corrected` subtracts an echo without a nudge; `centred` takes half the difference of two echoes with
    opposite nudges, whose error is of the order of epsilon².

    Args:
        system: What makes the echoes.
        epsilon: Largest nudge of a sample, in the system's unit (rad).
        estimate: See above.
        watch: Told of inputs and controls before each way back; may refuse it.
    """

    def __init__(
        self, system: System, *, epsilon: float, estimate: Estimate,
        watch: Callable[[System, FloatArray, FloatArray], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(system)
        self._watch = watch
        self._echoes, self._epsilon, self._estimate = _echoing(system), epsilon, estimate

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, _Memory]:
        """See `Adjoint.forward`."""
        if self._estimate == "corrected":
            plain = self._echoes.echo(x, theta)
            return plain.y, _Memory(x, theta, plain)
        return self.system.measure(x, theta).y, _Memory(x, theta, None)

    def backward(self, memory: _Memory, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        """See `Adjoint.backward`."""
        if self._watch is not None:
            self._watch(self.system, memory.x, memory.theta)
        size: FloatArray = np.abs(grad_y).max(-1, keepdims=True).astype(grad_y.dtype)
        nudge: FloatArray = -self._epsilon * grad_y / np.where(size > 0, size, 1)
        one = self._echoes.echo(memory.x, memory.theta, nudge=nudge)
        local: FloatArray
        if self._estimate == "centred":
            other = self._echoes.echo(memory.x, memory.theta, nudge=-nudge)
            local, change = 0.5 * (one.local - other.local), 0.5 * (one.returned - other.returned)
        elif memory.plain is not None:
            local, change = one.local - memory.plain.local, one.returned - memory.plain.returned
        else:
            local, change = one.local, one.returned - one.start
        scale = size / self._epsilon
        grad_x = self._echoes.input_gradient(cast(ComplexArray, scale * change))
        return grad_x, (scale * local).sum(0)


def echo_residual(system: System, x: FloatArray, theta: FloatArray) -> float:
    """Measure by how much an echo without a nudge misses the state that was prepared, over the size of that state.

    Args:
        system: What makes the echoes.
        x: Inputs, shape `(batch, n_in)`, one shot each.
        theta: Controls, shape `(n_controls,)`.

    Raises:
        CapabilityError: The system makes none.
    """
    echo = _echoing(system).echo(x, theta)
    return float(np.linalg.norm(echo.returned - echo.start) / np.linalg.norm(echo.start))


def _echoing(system: System) -> WaveEchoes:
    if not isinstance(system, WaveEchoes):
        raise CapabilityError(
            f"{system.name}: its kind {system.config.kind!r} makes no echoes; systems of the kind echo do"
        )
    return system
