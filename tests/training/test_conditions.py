"""Symmetries of physics, measured at systems whose true deviation is known, through noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pnnlab.systems import Capability, ControlRange, Echo, Equilibrium, FieldReading, FloatArray, Side
from pnnlab.training import Condition, measure_conditions
from tests.drivers.sim.crossbars import crossbar
from tests.drivers.sim.test_pulsed_crossbar import PLAIN
from tests.systems.test_crossbar_in_place import joined

N = 6


@dataclass
class _Known:
    """What all of these systems share."""

    noise: float = 0.0
    seed: int = 0
    name: str = "known"
    n_in: int = N
    n_out: int = N
    n_controls: int = 3
    input_range: tuple[float, float] = (-1.0, 1.0)
    control_range: ControlRange = ControlRange.BOUNDED
    dtype: Any = np.float64
    n_shots: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        draw = np.random.default_rng(99)
        unitary, _ = np.linalg.qr(draw.normal(size=(N, N)) + 1j * draw.normal(size=(N, N)))
        self.symmetric = unitary @ unitary.T
        self.unitary = unitary
        self.extra = draw.normal(size=(N, N)) / N
        self.capabilities = frozenset({Capability.BIDIRECTIONAL, Capability.MIRROR_SYMMETRIC})

    def noisy(self, values: np.ndarray) -> np.ndarray:
        self.n_shots += len(values)
        scatter = self.rng.normal(size=values.shape)
        if np.iscomplexobj(values):
            scatter = (scatter + 1j * self.rng.normal(size=values.shape)) / np.sqrt(2)
        return values + self.noise * scatter


@dataclass
class Waves(_Known):
    asymmetry: float = 0.0
    skew: float = 0.0
    loss: float = 0.0
    offset: float = 0.0
    n_ports: int = N

    def send(self, field: np.ndarray, theta: FloatArray, *, side: Side = Side.IN) -> FieldReading:
        matrix = (self.symmetric + self.skew * self.extra) * np.sqrt(1 - self.loss)
        if side is Side.OUT:
            matrix = matrix.T + self.asymmetry * self.extra
        return FieldReading(self.noisy(field @ matrix + self.offset))


@dataclass
class Resting(_Known):
    """y = A f + c (A f)² + d (A f)³, elementwise, about a resting point of 1."""

    asymmetry: float = 0.0
    curvature: float = 0.0
    cubic: float = 0.0
    memory: float = 0.0
    left: float = 0.0

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        response = self.symmetric.real + self.asymmetry * (self.extra - self.extra.T)
        force = np.zeros((len(x), N)) if nudge is None else nudge
        z = force @ response
        y = np.linspace(1, 2, N) + z + self.curvature * z**2 + self.cubic * z**3
        for row, pushed in enumerate(force):
            y[row] += self.left
            if pushed.any():
                self.left = self.memory
        return Equilibrium(self.noisy(y), np.zeros((len(x), 3)))


@dataclass
class Wells(_Known):
    """A point falls down -b s² / 2 + s⁴ / 4 - f s and shows itself in all outputs; f is a weighed input, and the force.

    For b below 0 it has one resting state, for b above 0 two where f is small. It begins on top, or where it was.
    """

    b: float = 1.0
    goes_on: bool = False
    at: float = 0.0
    largest: FloatArray | None = None

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        force = 0.4 * x.sum(1) + (0.0 if nudge is None else 8 * nudge[:, 0])
        s = np.zeros(len(x))
        if self.goes_on:
            for row, one in enumerate(force):
                self.at = s[row] = self.fallen(np.array([self.at]), np.array([one]))[0]
        else:
            s = self.fallen(s, force)
        y = s[:, None] * np.linspace(1, 2, N)
        if self.largest is None or len(y) > len(self.largest):
            self.largest = y
        return Equilibrium(self.noisy(y), np.zeros((len(x), 3)))

    def fallen(self, s: np.ndarray, force: np.ndarray) -> np.ndarray:
        for _ in range(100):
            s = s + 0.2 * (self.b * s - s**3 + force)
        return s


@dataclass
class Reversible(_Known):
    residual: float = 0.0

    def echo(self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None) -> Echo:
        start = x.astype(complex)
        off = np.roll(start, 1, axis=1)
        return Echo(x, start, self.noisy(start + self.residual * off), np.zeros((len(x), 3)))


def found(system: Any, **options: Any) -> dict[str, Condition]:
    return {one.name: one for one in measure_conditions(system, **options)}


def relative(difference: np.ndarray, whole: np.ndarray) -> float:
    return float(np.linalg.norm(difference) / np.linalg.norm(whole))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("asymmetry", [0.0, 0.5])
def test_reciprocity_is_told_through_noise(asymmetry: float, noise: float) -> None:
    system = Waves(asymmetry=asymmetry, noise=noise)
    one = found(system)["reciprocity error"]
    truth = relative(asymmetry * system.extra, system.symmetric)
    assert abs(one.value - truth) <= 4 * one.error + 1e-12
    assert one.error < 1e-9 + (0.1 + truth if noise else truth)
    assert one.says in (("not met",) if truth > 5 * noise / N else ("met", "within noise"))
    assert one.bears_on is Capability.RECIPROCAL


def test_offsets_of_the_converters_are_no_deviation() -> None:
    system = Waves(offset=0.1)
    system.capabilities |= {Capability.SCATTERING}
    for name in ("reciprocity error", "linearity error", "mirror-symmetry error"):
        assert found(system)[name].value < 1e-9, name


@pytest.mark.parametrize("skew", [0.0, 0.3])
def test_mirror_symmetry_is_that_of_the_transfer_itself(skew: float) -> None:
    system = Waves(skew=skew, noise=0.01)
    one = found(system)["mirror-symmetry error"]
    matrix = system.symmetric + skew * system.extra
    assert abs(one.value - relative(matrix - matrix.T, matrix)) <= 4 * one.error
    assert one.says in (("met", "within noise") if skew == 0 else ("not met",))


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_lost_power_is_told(loss: float) -> None:
    one = found(Waves(loss=loss, noise=0.02))["power lost"]
    assert abs(one.value - loss) <= 4 * one.error + 1e-9
    assert one.says in (("met", "within noise") if loss == 0 else ("not met",))


def test_the_error_of_nudges_follows_theory() -> None:
    system = Resting(curvature=0.3, cubic=0.2)
    conditions = found(system, nudge=0.05)
    z = 0.05 * system.symmetric.real
    assert conditions["nudge curvature"].value == pytest.approx(relative(0.3 * z**2, z), rel=0.05)
    assert conditions["nudge nonlinearity"].value == pytest.approx(relative(0.2 * z**3, z), rel=0.05)
    assert found(system, nudge=0.1)["nudge nonlinearity"].value == pytest.approx(
        4 * conditions["nudge nonlinearity"].value, rel=0.05
    )


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("asymmetry", [0.0, 0.5])
def test_answers_that_are_no_gradient_are_found(asymmetry: float, noise: float) -> None:
    system = Resting(asymmetry=asymmetry, noise=noise)
    one = found(system)["asymmetry of answers"]
    response = system.symmetric.real + asymmetry * (system.extra - system.extra.T)
    assert abs(one.value - relative(response - response.T, response)) <= 4 * one.error + 1e-9
    assert one.says in (("met", "within noise") if asymmetry == 0 else ("not met",))


@pytest.mark.parametrize("memory", [0.0, 0.2])
def test_rest_that_remembers_a_nudge_is_found(memory: float) -> None:
    assert found(Resting(memory=memory, noise=1e-3))["memory of a nudge"].says in (
        ("met", "within noise") if memory == 0 else ("not met",)
    )


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.1])
@pytest.mark.parametrize("b", [-1.0, 1.0])
def test_a_jump_to_another_resting_state_is_told_through_noise(b: float, noise: float) -> None:
    system = Wells(b=b, noise=noise)
    one = found(system)["jump of the rest"]
    assert one.bears_on is Capability.RELAXES
    assert system.largest is not None
    # the wells are at ±1 where the point may fall to either side
    jump = 2 * np.linalg.norm(np.linspace(1, 2, N)) if b > 0 else 0.0
    truth = float(jump / np.sqrt(np.square(system.largest - system.largest.mean(0)).sum(-1).mean()))
    # wells move by less than 0.06 within 3/64 of a way, and evenly but for the third order
    assert abs(one.value - truth) <= 4 * one.error + 1e-3
    assert one.says in (("not met",) if b > 0 else ("met", "within noise"))
    assert noise > 0.003 or one.says != "within noise"


@pytest.mark.parametrize(("b", "says"), [(-1.0, "met"), (1.0, "not met")])
def test_a_nudge_that_pushed_a_point_over_the_hill_is_remembered(b: float, says: str) -> None:
    conditions = found(Wells(b=b, goes_on=True, noise=1e-3))
    assert conditions["memory of a nudge"].says == says


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("residual", [0.0, 0.3])
def test_the_echo_residual_is_told_through_noise(residual: float, noise: float) -> None:
    one = found(Reversible(residual=residual, noise=noise))["echo residual"]
    assert abs(one.value - residual) <= 4 * one.error + 1e-9
    assert one.says in (("met", "within noise") if residual == 0 else ("not met",))


def test_shots_are_counted_by_condition() -> None:
    system = Waves()
    conditions = measure_conditions(system)  # type: ignore[arg-type] # what it asks of a system is here
    assert sum(one.shots for one in conditions) == system.n_shots == 12 * N


def test_a_system_of_forward_passes_only_is_not_looked_at() -> None:
    assert measure_conditions(_Known()) == []  # type: ignore[arg-type] # what it asks of a system is here


@pytest.mark.parametrize(("gain_error", "says"), [(0.0, "met"), (0.02, "not met")])
def test_an_array_read_from_both_sides_tells_how_far_its_converters_differ(gain_error: float, says: str) -> None:
    """Gains of 2 % act on both columns of a pair, whose currents are several times their difference."""
    system = joined(crossbar({"pulses": PLAIN}, row_gain_error=gain_error, column_gain_error=gain_error))
    transpose = found(system)["transpose error"]
    assert transpose.says == says and transpose.shots == 2 * (8 + 3)
    assert not gain_error or 0.03 < transpose.value < 0.3
