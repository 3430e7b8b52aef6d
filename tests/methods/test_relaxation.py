"""Methods that compare equilibria, on an energy whose gradient is known on paper."""

from typing import Any, cast

import numpy as np
import pytest

from pnnlab.errors import CapabilityError
from pnnlab.methods import EquilibriumPropagationOptions, FrequencyPropagationOptions
from pnnlab.methods.coupled_learning import ClampedAdjoint
from pnnlab.methods.equilibrium_propagation import NudgedAdjoint
from pnnlab.methods.frequency_propagation import OscillatingAdjoint
from pnnlab.systems import Equilibrium, FloatArray, System

N = 4


class Springs:
    """E = Σ s²/2 + s⁴/4 - θ x s: each output settles where s + s³ = θ x + nudge."""

    name = "springs"

    def __init__(self) -> None:
        self.forces: list[FloatArray] = []

    def relax(
        self, x: FloatArray, theta: FloatArray, *, nudge: FloatArray | None = None, clamp: FloatArray | None = None
    ) -> Equilibrium:
        force = theta * x + (0.0 if nudge is None else nudge)
        self.forces.append(np.zeros_like(x) if nudge is None else nudge)
        s = force if clamp is None else clamp
        for _ in range(100 if clamp is None else 0):
            s = s - (s + s**3 - force) / (1 + 3 * s**2)
        return Equilibrium(s, -s * x, -s * theta)


def setting(batch: int = 3) -> tuple[FloatArray, FloatArray, FloatArray]:
    draw = np.random.default_rng(0)
    return draw.uniform(-1, 1, (batch, N)), draw.uniform(0.5, 1, N), draw.uniform(-0.5, 0.5, (batch, N))


def estimated(options: dict[str, Any]) -> tuple[FloatArray, FloatArray, Springs]:
    """Return the gradients of inputs and controls for the loss `mean |y - t|² / 2` over the batch."""
    springs, (x, theta, target) = Springs(), setting()
    adjoint = NudgedAdjoint(cast(System, springs), EquilibriumPropagationOptions(**{"normalise": False, **options}))
    y, memory = adjoint.forward(x, theta)
    of_x, of_theta = adjoint.backward(memory, (y - target) / len(x))
    assert of_x is not None
    return of_x, of_theta, springs


def exact() -> tuple[FloatArray, FloatArray]:
    x, theta, target = setting()
    s = Springs().relax(x, theta).y
    slope = (s - target) / (1 + 3 * s**2) / len(x)
    return slope * theta, (slope * x).sum(0)


def error_of(options: dict[str, Any]) -> float:
    found, wanted = (np.concatenate([of_x.ravel(), of_theta]) for of_x, of_theta in (estimated(options)[:2], exact()))
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(("nudge", "order"), [("one_sided", 1), ("centred", 2), ("holomorphic", 4)])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_bias_falls_as_the_nudges_say(nudge: str, order: int, normalise: bool) -> None:
    errors = [error_of({"nudge": nudge, "beta": beta, "normalise": normalise}) for beta in (0.1, 0.05)]
    assert errors[0] < 0.1 and np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_normalised_nudges_are_as_large_as_told_and_none_where_there_is_no_error() -> None:
    springs, (x, theta, target) = Springs(), setting()
    options = EquilibriumPropagationOptions(beta=0.3, normalise=True)
    adjoint = NudgedAdjoint(cast(System, springs), options)
    y, memory = adjoint.forward(x, theta)
    error = y - target
    error[0] = 0
    of_x, of_theta = adjoint.backward(memory, error)
    largest = np.abs(springs.forces[-1]).max(1)
    np.testing.assert_allclose(largest, [0, 0.3, 0.3, 0, 0.3, 0.3], atol=1e-12)
    assert of_x is not None and not of_x[0].any() and np.isfinite(of_theta).all()


def test_repeats_are_averaged() -> None:
    once, twice = (estimated({"repeats": repeats})[1] for repeats in (1, 2))
    np.testing.assert_allclose(once, twice, rtol=1e-12)


@pytest.mark.parametrize("amplitude", [0.1, 0.05])
def test_a_lock_in_finds_the_gradient(amplitude: float) -> None:
    springs, (x, theta, target) = Springs(), setting()
    options = FrequencyPropagationOptions(amplitude=amplitude, normalise=False)
    adjoint = OscillatingAdjoint(cast(System, springs), options)
    y, memory = adjoint.forward(x, theta)
    found = adjoint.backward(memory, (y - target) / len(x))[1]
    error = np.linalg.norm(found - exact()[1]) / np.linalg.norm(exact()[1])
    assert error < 0.5 * amplitude**2
    assert len(springs.forces[-1]) == 8 * len(x) and abs(springs.forces[-1].reshape(8, -1).sum(0)).max() < 1e-15


def test_holding_outputs_by_a_part_of_the_way_is_the_stiff_gradient() -> None:
    springs, (x, theta, target) = Springs(), setting()
    adjoint = ClampedAdjoint(cast(System, springs), 0.01)
    y, memory = adjoint.forward(x, theta)
    found = adjoint.backward(memory, (y - target) / len(x))[1]
    # local is -s x: moved by η (t - y) its difference is that of the outputs, whatever force they need
    np.testing.assert_allclose(found, ((y - target) * x).mean(0), rtol=1e-9)


def test_what_does_not_settle_is_refused() -> None:
    class Plain:
        name = "plain"
        config = type("Config", (), {"kind": "dac-adc"})

    with pytest.raises(CapabilityError, match="'dac-adc' offers no `relax`"):
        NudgedAdjoint(cast(System, Plain()), EquilibriumPropagationOptions())
