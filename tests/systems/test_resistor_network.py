"""Networks of conductances between converters: states, gradients of the physics itself, copies, refusals."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from pnnlab.errors import DeviceError, SetpointError
from pnnlab.methods.equilibrium_propagation import EquilibriumPropagationOptions, NudgedAdjoint
from pnnlab.systems import Capability, FloatArray, Relaxes, ResistorCopiesSystem, ResistorNetworkSystem
from scripts.setups.resistors import random_edges, resistor_system

EDGES = random_edges(12, 0.3, 0)
CUBIC: dict[str, Any] = {"design": {"cubic_per_v2": 0.5}, "wiring": {"cubic_per_v2": 0.5}}


def wired(**changes: Any) -> ResistorNetworkSystem:
    return resistor_system(12, 3, 2, EDGES, **changes)


def sample(system: ResistorNetworkSystem, batch: int = 4) -> tuple[FloatArray, FloatArray, FloatArray]:
    draws = np.random.default_rng(0)
    return (
        draws.uniform(-1, 1, (batch, system.n_in)), draws.uniform(0, 1, system.n_controls),
        draws.uniform(-0.5, 0.5, (batch, system.n_out)),
    )  # fmt: skip


def exact(system: ResistorNetworkSystem) -> tuple[FloatArray, FloatArray]:
    """Return the gradients of `mean |y - t|² / 2` over the batch in inputs and controls, by autograd in the plant."""
    x, theta, target = (torch.tensor(part) for part in sample(system))
    x.requires_grad_()
    theta.requires_grad_()
    y = system.expected(*system.encode(x, theta))
    of_x, of_theta = torch.autograd.grad(((y - target) ** 2).sum(1).mean() / 2, [x, theta])
    return of_x.numpy(), of_theta.numpy()


def nudged(system: ResistorNetworkSystem, **options: Any) -> tuple[FloatArray | None, FloatArray]:
    adjoint = NudgedAdjoint(system, EquilibriumPropagationOptions(normalise=False, **options))
    x, theta, target = sample(system)
    y, memory = adjoint.forward(x, theta)
    return adjoint.backward(memory, (y - target) / len(x))


def error(found: FloatArray, wanted: FloatArray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_it_relaxes_and_can_be_pushed() -> None:
    system = wired()
    assert isinstance(system, Relaxes)
    assert system.capabilities == {Capability.RELAXES, Capability.NUDGE, Capability.CLAMP, Capability.LOCAL_STATE}
    x, theta, target = sample(system)
    free = system.relax(x, theta)
    np.testing.assert_allclose(free.y, system.measure(x, theta).y, atol=1e-12)
    np.testing.assert_allclose(system.relax(x, theta, clamp=target).y, target, atol=1e-12)
    assert (np.diff([free.y, system.relax(x, theta, nudge=np.ones_like(target)).y], axis=0) > 0).all()
    assert system.n_shots == 16


@pytest.mark.parametrize(
    "changes", [{}, CUBIC, {"copies": True}, {"wiring": {"mirrored": True, "bias": True}}], ids=str
)
def test_nudges_give_the_gradient(changes: dict[str, Any]) -> None:
    edges = EDGES if "mirrored" not in changes.get("wiring", {}) else random_edges(16, 0.3, 0)
    system = resistor_system(12 if edges is EDGES else 16, 3, 2, edges, **changes)
    assert error(nudged(system, beta=0.1)[1], exact(system)[1]) < 1e-4


def test_ammeters_give_the_gradient_of_inputs() -> None:
    for mirrored in (False, True):
        edges = random_edges(16, 0.3, 0)
        wiring = {"ammeter_ohm": 1e4, "mirrored": mirrored}
        system = resistor_system(16, 3, 2, edges, design={"ammeter_ohm": 1e4}, wiring=wiring)
        of_x, _ = nudged(system, beta=0.1)
        assert error(cast(FloatArray, of_x), exact(system)[0]) < 1e-6
    assert nudged(wired())[0] is None


def test_a_gyrator_breaks_the_gradient_more_the_stronger_it_is() -> None:
    found = []
    for gyration in (0.0, 0.01, 0.1):
        system = wired(board={"gyration": gyration})
        found.append(error(nudged(system, beta=0.1)[1], exact(system)[1]))
    assert found[0] < 1e-6 and 1e-3 < found[1] < 0.1 and found[2] > 5 * found[1]


def test_copies_that_differ_bias_the_contrast() -> None:
    alike, different = (wired(copies=True, board={"copy_mismatch": spread}) for spread in (0.0, 0.01))
    wanted = exact(alike)[1]
    assert error(nudged(alike, nudge="one_sided", beta=0.01)[1], wanted) < 0.01
    near, far = (error(nudged(different, nudge="one_sided", beta=beta)[1], wanted) for beta in (0.1, 0.01))
    assert near > 0.1 and far / near == pytest.approx(10, rel=0.1)  # mismatch over β
    # two nudged states are both of the second copy: what it differs by cancels
    assert error(nudged(different, beta=0.1)[1], wanted) < 0.1


def test_wipers_stand_on_steps_and_let_gradients_through() -> None:
    system = wired(design={"wiper_steps": 4})
    x, theta, _ = sample(system)
    stepped = system.measure(x, np.round(theta * 3) / 3).y
    np.testing.assert_allclose(system.measure(x, theta).y, stepped, atol=1e-12)
    assert np.linalg.norm(exact(system)[1]) > 0


def test_specimens_differ_as_much_as_told() -> None:
    x, theta, _ = sample(wired())
    designed, same, off = (
        wired(board={"conductance_spread": 0.1, "mismatch": m}).measure(x, theta).y for m in (0.0, 0.0, 1.0)
    )
    np.testing.assert_array_equal(designed, same)
    assert 1e-3 < np.abs(off - designed).max() < 0.1


def test_transistors_are_nudged_nearly_right() -> None:
    design = {"element": "transistor"}
    wiring = {"control_low_v": 3.0, "control_high_v": 5.0, "span_siemens": 2e-4}
    system = wired(design=design, wiring=wiring)
    found, wanted = nudged(system, beta=0.1)[1], exact(system)[1]
    cosine = float(found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted))
    assert 0.9 < cosine < 0.99999  # there is no energy whose gradient it would be


def test_the_second_carrier_brings_the_error_to_every_element() -> None:
    system = wired(design={"carrier": True}, wiring={"carrier": True})
    assert Capability.SECOND_CARRIER in system.capabilities
    x, theta, target = sample(system)
    free = system.relax(x, theta)
    state, change = system.carry(-(free.y - target), x, theta)
    np.testing.assert_allclose(state.local, free.local, atol=1e-12)
    assert error(change.mean(0), exact(system)[1]) < 1e-9
    with pytest.raises(SetpointError, match="no second carrier"):
        wired().carry(target, x, theta)


@pytest.mark.parametrize("offset", [0.0, 1e-3])
def test_copies_learn_by_themselves(offset: float) -> None:
    board = {"comparator_offset_v2": offset, "update_per_s": 1e3}
    system = cast(ResistorCopiesSystem, wired(copies=True, board=board))
    x, theta, target = sample(system, 1)
    eta, learn_s = 0.1, 1e-4
    y, after = system.learn(x, target, theta, eta=eta, learn_s=learn_s)
    free, held = system.relax(x, theta), system.relax(x, theta, clamp=y + eta * (target - y))
    np.testing.assert_allclose(y, free.y, atol=1e-12)
    # local is v²/2 in units of the energy: 1e-4 S · 1 V · 1 V over the span of 1e-4 S
    wanted = np.clip(theta + 1e3 * learn_s * 2 * (free.local - held.local), 0, 1)
    found = np.abs(after - wanted).max()
    assert found < 1e-12 if offset == 0 else 1e-5 < found < 1e-3


def test_copies_keep_what_one_sample_taught_when_the_next_comes() -> None:
    x, theta, target = sample(wired())
    board = {"comparator_offset_v2": 1e-3, "leak_s": 1e-2}
    system = cast(ResistorCopiesSystem, wired(copies=True, board=board))
    after, said = theta, []
    for one, wanted in zip(x, target, strict=True):
        y, after = system.learn(one[None], wanted[None], after, eta=0.1, learn_s=1e-4)
        said.append(y[0])
    y, found = system.learn(x, target, theta, eta=0.1, learn_s=1e-4)
    np.testing.assert_allclose(found, after, atol=1e-12)
    np.testing.assert_allclose(y, said, atol=1e-12)
    # what is kept is charged anew for other shots, and taken up again by none
    np.testing.assert_allclose(system.learn(x, target, theta, eta=0.1, learn_s=1e-4)[1], found, atol=1e-12)


def test_errors_of_the_converters_do_not_add_up_while_copies_learn() -> None:
    off = {"quantised": False, "range_v": (-100.0, 100.0), "offset_v": 1e-2}
    board = {"update_per_s": 1e-9}
    system = cast(ResistorCopiesSystem, wired(copies=True, board=board, converters=off))
    x, theta, target = sample(system, 1)
    many = np.repeat(x, 30, 0), np.repeat(target, 30, 0)
    once, after = (system.learn(*shown, theta, eta=0.1, learn_s=1e-4)[1] for shown in ((x, target), many))
    assert np.abs(once - theta).max() > 1e-3
    np.testing.assert_allclose(after, once, atol=1e-6)


def test_what_holds_controls_leaks() -> None:
    system = cast(ResistorCopiesSystem, wired(copies=True, board={"leak_s": 1e-3, "update_per_s": 1e-9}))
    x, theta, target = sample(system, 1)
    _, after = system.learn(x, target, theta, eta=0.1, learn_s=5e-4)
    np.testing.assert_allclose(after, theta * np.exp(-0.5), rtol=1e-6)


def test_impossible_requests_are_refused_before_anything_is_sent() -> None:
    system = wired()
    x, theta, target = sample(system)
    with pytest.raises(SetpointError, match="nudged and clamped at once"):
        system.relax(x, theta, nudge=target, clamp=target)
    with pytest.raises(SetpointError, match=r"values of shape \(4, 1\), expected are finite ones of shape \(4, 2\)"):
        system.relax(x, theta, nudge=target[:, :1])
    with pytest.raises(SetpointError, match="controls span"):
        system.relax(x, theta + 1)
    narrow = wired(converters={"quantised": False, "range_v": (-5.0, 5.001)})
    with pytest.raises(SetpointError, match="allowed"):
        narrow.relax(x, theta, nudge=100 * np.ones_like(target))
    assert system.n_shots == narrow.n_shots == 0


def test_designs_and_wirings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SetpointError, match="do not fit into 12 nodes"):
        wired(wiring={"edges": [(0, 40)]})
    with pytest.raises(SetpointError, match="drives"):
        wired(wiring={"carrier": True})
    with pytest.raises(DeviceError, match="two copies have neither a `carrier` nor ammeters"):
        wired(copies=True, design={"carrier": True})
    with pytest.raises(ValueError, match="diodes not at the 3 inputs"):
        wired(design={"diode_nodes": [0]})
