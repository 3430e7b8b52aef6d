"""What a bench's physics allows, measured: is it reciprocal, mirror-symmetric, reversible, at rest, and how exactly.

A physical gradient is exact only where the physics has the right symmetry (Boesch, Gediz and Tureci 2026, "Unifying
Physical Backpropagation", table 1). Each of these symmetries can be looked at from outside, without a model, by the
same experiments that the training methods use. Everything is measured twice: products of the two are free of noise, so
what is told is the physics' deviation, not that of the readings.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.systems import (
    Capability,
    CarriesFields,
    ControlRange,
    Echoes,
    FloatArray,
    Relaxes,
    Side,
    System,
    TransposedArray,
)
from pnnlab.training._jumps import largest_jump, root_of

__all__ = ["Condition", "measure_conditions"]

Array = npt.NDArray[np.floating] | npt.NDArray[np.complexfloating]

_AMPLITUDE: Final = 0.5
"""Of the waves that are sent, in units of the largest that the system can make."""
_SAMPLES: Final = 4
"""Inputs at which a nonlinear system is looked at."""
_MOST_OUTPUTS: Final = 16
"""Outputs that are nudged one by one."""
_WAYS: Final = 8
"""Straight ways from one input to another on which jumps of the rest are sought."""
_PUSHED: Final = 16
"""Inputs at which outputs are pushed to either side and left alone: few of them may have two resting states."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One property of a system, measured.

    Attributes:
        system: The system.
        name: What was measured, as `reciprocity error`.
        bears_on: Which capability it qualifies; methods that need that capability are no better than this.
        value: Relative deviation, 0 where the symmetry is perfect.
        error: Its standard uncertainty, from the scatter of the readings.
        means: In words.
        shots: What it cost.
    """

    system: str
    name: str
    bears_on: Capability | None
    value: float
    error: float
    means: str
    shots: int

    @property
    def says(self) -> str:
        """Return `met` (below 1 %), `not met`, or `within noise` where these readings cannot tell it from none."""
        # four errors of a root near zero are two of its square, which is what was measured
        if self.value > 0.01 and self.value > 4 * self.error:
            return "not met"
        return "met" if self.error < 0.01 else "within noise"


def measure_conditions(system: System, *, nudge: float = 0.1, seed: int = 0) -> list[Condition]:
    """Measure whatever a system's experiments allow.

    Args:
        system: The opened system.
        nudge: Force on an output, in units of the outputs.
        seed: Of controls and inputs at which it is looked at.

    Returns:
        One entry a property; empty where the system offers forward passes only.

    Raises:
        PnnlabError: What measuring may raise.
    """
    rng = np.random.default_rng(seed)
    found: list[Condition] = []
    if isinstance(system, CarriesFields):
        found += _counted(system, lambda: _of_fields(system, system, rng))
    if isinstance(system, Relaxes):
        found += _counted(system, lambda: _of_rest(system, system, nudge, rng))
    if isinstance(system, Echoes):
        found += _counted(system, lambda: _of_echo(system, system, rng))
    if isinstance(system, TransposedArray) and Capability.TRANSPOSED_READ in system.capabilities:
        found += _counted(system, lambda: _of_array(system, system, rng))
    return found


# Waves


def _of_fields(system: System, waves: CarriesFields, rng: np.random.Generator) -> Iterator[Condition]:
    theta = _controls(system, rng)
    forwards = _matrices(waves, theta, Side.IN)
    if forwards is None:
        return
    n = waves.n_ports
    lost = 1 - _inner(*forwards) / n
    each = [1 - float(np.real(np.vdot(forwards[0][k], forwards[1][k]))) for k in range(n)]
    yield Condition(
        system.name, "power lost", Capability.LOSSLESS, max(lost, 0.0), _spread(each),
        "on the mean over the ports", 0,
    )  # fmt: skip
    scatters = Capability.SCATTERING in system.capabilities
    if Capability.BIDIRECTIONAL in system.capabilities or scatters:
        backwards = _matrices(waves, theta, Side.OUT)
        if backwards is not None:
            bears_on = Capability.SCATTERING if scatters else Capability.RECIPROCAL
            value, error = _deviation([a - b.T for a, b in zip(forwards, backwards, strict=True)], forwards)
            yield Condition(
                system.name, "reciprocity error", bears_on, value, error,
                "transfer backwards against the transpose of that forwards", 0,
            )  # fmt: skip
    if scatters:
        weak = _matrices(waves, theta, Side.IN, amplitude=_AMPLITUDE / 2)
        if weak is not None:
            value, error = _deviation([a - b for a, b in zip(forwards, weak, strict=True)], weak)
            yield Condition(
                system.name, "linearity error", Capability.SCATTERING, value, error,
                f"transfer of waves of {_AMPLITUDE:g} against that of waves half as strong", 0,
            )  # fmt: skip
    if Capability.MIRROR_SYMMETRIC in system.capabilities:
        # all controls alike: what is left is the symmetry of the paths between them
        same = _matrices(waves, np.full_like(theta, 0.5), Side.IN)
        if same is not None:
            value, error = _deviation([a - a.T for a in same], same)
            yield Condition(
                system.name, "mirror-symmetry error", Capability.MIRROR_SYMMETRIC, value, error,
                "transfer forwards against its own transpose, all controls alike", 0,
            )  # fmt: skip


def _matrices(
    waves: CarriesFields, theta: FloatArray, side: Side, *, amplitude: float = _AMPLITUDE
) -> list[Array] | None:
    """Return the transfer matrix, twice, a row for each port that was driven; `None` where no fields are read.

    Each wave is sent with both signs and half the difference taken, so that offsets of the converters cancel.
    """
    field = amplitude * np.eye(waves.n_ports, dtype=np.complex128)
    found: list[Array] = []
    for _ in range(2):
        out = waves.send(np.concatenate([field, -field]), theta, side=side).out
        if out is None:
            return None
        up, down = np.split(np.asarray(out), 2)
        found.append((up - down) / (2 * amplitude))
    return found


# Equilibria


def _of_rest(system: System, resting: Relaxes, nudge: float, rng: np.random.Generator) -> Iterator[Condition]:
    theta, x = _controls(system, rng), _inputs(system, rng)
    # first of all: a push may leave something for good
    value, error = _memory(system, resting, theta, 2 * nudge, rng)
    yield Condition(
        system.name, "memory of a nudge", Capability.RELAXES, value, error,
        "rest after a nudge to either side was taken away, against rest before it", 0,
    )  # fmt: skip

    # controls as training begins with: how many resting states there are depends on them more than symmetries do
    start = rng.uniform(0.0, 1.0, system.n_controls).astype(system.dtype)
    value, error = largest_jump(resting, start, np.stack([_inputs(system, rng, _WAYS) for _ in range(2)], 1))
    yield Condition(
        system.name, "jump of the rest", Capability.RELAXES, value, error,
        "on a way through inputs; above 0 there are several resting states", 0,
    )  # fmt: skip

    free = [resting.relax(x, theta).y for _ in range(2)]
    forces = nudge * np.eye(min(system.n_out, _MOST_OUTPUTS), system.n_out)
    once, twice = (_answers(resting, x, theta, size * forces) for size in (1.0, 2.0))
    odd = [(up - down) / 2 for up, down in once]
    even = [(up + down) / 2 - mean for (up, down), mean in zip(once, free, strict=True)]
    value, error = _deviation(even, odd)
    yield Condition(
        system.name, "nudge curvature", None, value, error,
        f"error of a one-sided nudge of {nudge:g}, to first order", 0,
    )  # fmt: skip
    wide = [(up - down) / 4 for up, down in twice]
    value, error = _deviation([(b - a) / 3 for a, b in zip(odd, wide, strict=True)], odd)
    yield Condition(
        system.name, "nudge nonlinearity", Capability.NUDGE, value, error,
        f"error of a centred nudge of {nudge:g}, to first order", 0,
    )  # fmt: skip
    if len(forces) > 1:
        # answers of output j to a force on output i, for each input
        square = [one[:, :, : len(forces)] for one in odd]
        value, error = _deviation([one - one.swapaxes(0, 2) for one in square], square)
        yield Condition(
            system.name, "asymmetry of answers", Capability.RECIPROCAL, value, error,
            "output j pushed at i, against i pushed at j (Onsager)", 0,
        )  # fmt: skip


def _answers(
    resting: Relaxes, x: FloatArray, theta: FloatArray, forces: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """Return the outputs under each force and under its opposite, twice, shape `(n_forces, samples, n_out)`."""
    inputs = np.tile(x, (len(forces), 1))
    pushed = np.repeat(forces, len(x), axis=0).astype(x.dtype)
    shape = (len(forces), len(x), -1)
    return [
        tuple(resting.relax(inputs, theta, nudge=sign * pushed).y.reshape(shape) for sign in (1, -1))  # type: ignore[misc]
        for _ in range(2)
    ]


def _memory(
    system: System, resting: Relaxes, theta: FloatArray, push: float, rng: np.random.Generator
) -> tuple[float, float]:  # fmt: skip
    """Return how far the rest right after a push lies from that before it, against its spread, and its uncertainty."""
    x = _inputs(system, rng, _PUSHED)
    side = push * rng.choice([-1.0, 1.0], system.n_out)
    forces = np.zeros((2, _PUSHED, 2, system.n_out), x.dtype)
    forces[0, :, 0], forces[1, :, 0] = side, -side
    pushes = forces.reshape(-1, system.n_out)
    # every row of an input that is pushed is followed by one in which the same input is left alone; before it is the
    # same batch with pushes of 0: both are read where nudged states are, after the same time
    inputs = np.tile(np.repeat(x, 2, axis=0), (2, 1))
    before, after = ([resting.relax(inputs, theta, nudge=f).y[1::2] for _ in range(2)] for f in (0 * pushes, pushes))
    scale = [one - one.mean() for one in before] if system.n_out > 1 else before
    return _deviation([b - a for a, b in zip(before, after, strict=True)], scale)


# Echoes


def _of_echo(system: System, reversible: Echoes, rng: np.random.Generator) -> Iterator[Condition]:
    theta, x = _controls(system, rng), _inputs(system, rng)
    echoes = [reversible.echo(x, theta) for _ in range(2)]
    value, error = _deviation([echo.returned - echo.start for echo in echoes], [echo.start for echo in echoes])
    yield Condition(
        system.name, "echo residual", Capability.TIME_REVERSAL, value, error,
        "state after the run back against the one that was prepared", 0,
    )  # fmt: skip


# Arrays


def _of_array(system: System, array: TransposedArray, rng: np.random.Generator) -> Iterator[Condition]:
    theta = _controls(system, rng)
    inputs, errors = (_AMPLITUDE * np.eye(n, dtype=system.dtype) for n in (system.n_in, system.n_out))
    forwards = [system.measure(inputs, theta).y for _ in range(2)]
    backwards = [array.read_transposed(errors, theta) for _ in range(2)]
    value, error = _deviation([a - b.T for a, b in zip(forwards, backwards, strict=True)], forwards)
    yield Condition(
        system.name, "transpose error", Capability.TRANSPOSED_READ, value, error,
        "matrix read from the columns against the transpose of that read from the rows", 0,
    )  # fmt: skip


# What all share


def _counted(system: System, conditions: Callable[[], Iterator[Condition]]) -> Iterator[Condition]:
    """Yield conditions, each with the shots since the one before."""
    before = system.n_shots
    for one in conditions():
        shots, before = system.n_shots - before, system.n_shots
        yield Condition(one.system, one.name, one.bears_on, one.value, one.error, one.means, shots)


def _controls(system: System, rng: np.random.Generator) -> FloatArray:
    low, high = (0.0, 1.0) if system.control_range is ControlRange.PERIODIC else (0.2, 0.8)
    return rng.uniform(low, high, system.n_controls).astype(system.dtype)


def _inputs(system: System, rng: np.random.Generator, n: int = _SAMPLES) -> FloatArray:
    low, high = system.input_range
    if not math.isfinite(high - low):
        low, high = -1.0, 1.0
    return rng.uniform(low, high, (n, system.n_in)).astype(system.dtype)


def _deviation(differences: Sequence[Array], wholes: Sequence[Array]) -> tuple[float, float]:
    """Return a relative deviation and its uncertainty, from two measurements of each.

    The square is the product of the two differences over that of the two wholes, so that noise cancels on the mean;
    its uncertainty is that of the sum over the first axis (jackknife).
    """
    over = [
        (np.real(np.conj(pair[0]) * pair[1]).reshape(len(pair[0]), -1).sum(1)) for pair in (differences, wholes)
    ]  # fmt: skip
    squares, n = over[0].sum() / over[1].sum(), len(over[0])
    left_out = (over[0].sum() - over[0]) / np.where(over[1].sum() == over[1], 1.0, over[1].sum() - over[1])
    error = math.sqrt((n - 1) / n * float(np.square(left_out - left_out.mean()).sum())) if n > 1 else math.inf
    return root_of(float(squares), error)


def _inner(first: Array, second: Array) -> float:
    return float(np.real(np.vdot(first, second)))


def _spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf
