"""Wirings of coupled nodes: every kind gives the gradient of its own physics, and its symmetry can be broken."""

from typing import Any

import numpy as np
import pytest

from pnnlab.errors import DeviceError, SetpointError
from pnnlab.systems import Capability, CoupledNodes, Relaxes
from scripts.setups.coupled_nodes import KINDS, batch, cosine_to, distance, estimated, exact_gradient, nodes

SOME = ["hopfield", "ising", "oscillators", "spins", "springs"]


def left_over(system: CoupledNodes, **options: Any) -> tuple[float, float]:
    """Return the relative errors of equilibrium propagation in inputs and controls."""
    x, theta, target = batch(system)
    found, exact = estimated(system, (x, theta, target), **options), exact_gradient(system, x, theta, target)
    assert found[0] is not None
    return distance(found[0], exact[0]), distance(found[1], exact[1])


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("joining", ["neighbours", "all"])
def test_equilibrium_propagation_gives_the_gradient_of_the_physics(kind: str, joining: str) -> None:
    system = nodes(kind, joining=joining)
    assert isinstance(system, Relaxes)
    of_inputs, of_controls = left_over(system, beta=0.003)
    assert of_inputs < 1e-4 and of_controls < 1e-4
    assert max(left_over(system, beta=0.03)) > 10 * max(of_inputs, of_controls)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("hopfield", {"asymmetry": 0.5}),
        ("hopfield", {"settling": 1.0}),
        ("oscillators", {"asymmetry": 0.5}),
        ("spins", {"ramp": 2.0}),
        ("spins", {"flip": 0.05}),
        ("springs", {"asymmetry": 0.1}),
    ],
)
def test_without_symmetry_or_time_an_error_is_left(kind: str, options: dict[str, float]) -> None:
    layers = (3, 2, 2, 2) if kind == "hopfield" else (3, 3, 2)
    assert left_over(nodes(kind, layers, joining="all", **options), beta=0.003)[1] > 5e-3


def test_hidden_gains_turn_the_gradient_but_little() -> None:
    x, theta, target = batch(system := nodes("hopfield", coupling_spread=0.1, bias_spread=0.1))
    found, exact = estimated(system, (x, theta, target))[1], exact_gradient(system, x, theta, target)[1]
    assert 0.98 < cosine_to(found, exact) < 1


@pytest.mark.parametrize("kind", SOME)
def test_an_answer_grows_with_a_small_nudge(kind: str) -> None:
    system = nodes(kind)
    x, theta, _ = batch(system)
    free = system.relax(x, theta).y
    small, double = (system.relax(x, theta, nudge=np.full((4, 2), force)).y - free for force in (0.005, 0.01))
    assert (small > 0).all()  # an output follows the force on it
    np.testing.assert_allclose(double, 2 * small, rtol=0.03)


@pytest.mark.parametrize("kind", ["hopfield", "oscillators", "springs"])
def test_a_state_is_the_same_from_wherever_it_begins_if_it_is_the_only_one(kind: str) -> None:
    system = nodes(kind, start_spread=0.2, config={"largest_coupling": 0.4})
    x, theta, _ = batch(system)
    np.testing.assert_allclose(system.relax(x, theta).y, system.relax(x, theta).y, atol=1e-9)


def test_oscillators_that_may_settle_in_two_ways_do_so() -> None:
    system = nodes("oscillators", start_spread=1.0, lock=0.0, injection=2.0, config={"largest_coupling": 0.1})
    x, theta, _ = batch(system)
    assert np.abs(system.relax(x, theta).y - system.relax(x, theta).y).max() > 0.5


@pytest.mark.parametrize("kind", ["hopfield", "ising", "oscillators", "springs"])
def test_clamped_outputs_are_where_they_are_held(kind: str) -> None:
    system = nodes(kind)
    x, theta, _ = batch(system)
    held = np.array([[0.3, -0.2], [0.1, 0.3]] * 2)
    if kind == "ising":
        held = np.sign(held)
    assert Capability.CLAMP in system.capabilities
    np.testing.assert_allclose(system.relax(x, theta, clamp=held).y, held, atol=1e-9)


def test_what_cannot_be_done_is_refused_before_anything_is_sent() -> None:
    system = nodes("spins")
    x, theta, target = batch(system)
    assert Capability.CLAMP not in system.capabilities
    with pytest.raises(SetpointError, match="cannot be held"):
        system.relax(x, theta, clamp=target)
    with pytest.raises(SetpointError, match="a nudge of 5 is asked for, allowed are up to 4"):
        system.relax(x, theta, nudge=0 * target + 5)
    with pytest.raises(SetpointError, match=r"shape \(4, 1\), expected \(4, 2\)"):
        system.relax(x, theta, nudge=target[:, :1])
    with pytest.raises(SetpointError, match="at once"):
        nodes("hopfield").relax(x, theta, nudge=target, clamp=target)
    assert system.n_shots == 0


def test_a_board_with_other_layers_is_told() -> None:
    with pytest.raises(SetpointError, match="the system drives"):
        nodes("hopfield", config={"layers": (3, 4, 2)})


def test_samples_scatter_and_come_to_their_mean() -> None:
    exact = nodes("ising", config={"largest_coupling": 0.5})
    sampled = nodes("ising", reads=2000, sweeps=30, config={"largest_coupling": 0.5})
    x, theta, _ = batch(exact)
    once, twice, true = sampled.relax(x, theta), sampled.relax(x, theta), exact.relax(x, theta)
    assert np.abs(once.y - twice.y).max() > 1e-3
    assert np.abs(once.y - true.y).max() < 5 * 2000**-0.5
    np.testing.assert_allclose(sampled.measure(x, theta).y, true.y, atol=5 * 2000**-0.5)


def test_many_spins_have_no_truth_that_can_be_told() -> None:
    system = nodes("ising", (3, 16, 2), reads=10)
    x, theta, target = batch(system)
    assert np.isfinite(system.relax(x, theta).local).all()
    with pytest.raises(DeviceError, match="up to 16"):
        exact_gradient(system, x, theta, target)


def test_shots_of_quantum_spins_scatter_as_counted_ones() -> None:
    system = nodes("spins", shots=1000)
    x, theta, _ = batch(system)
    many = np.stack([system.relax(x, theta).y for _ in range(30)])
    np.testing.assert_allclose(many.std(0), np.sqrt((1 - many.mean(0) ** 2) / 1000), rtol=0.5)


def test_every_kind_is_tested() -> None:
    assert set(SOME) == set(KINDS)
