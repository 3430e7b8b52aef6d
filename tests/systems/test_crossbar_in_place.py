"""Weights that are read from both sides, moved by pulses, and known by reading only."""

from typing import Any

import numpy as np
import pytest

from pnnlab.errors import AbilityError, SetpointError
from pnnlab.systems import Capability, CrossbarSystem, Facilities, PulsedArray, TransposedArray
from pnnlab_drivers.sim.crossbar import SimCrossbar
from tests.drivers.sim.crossbars import crossbar
from tests.drivers.sim.test_pulsed_crossbar import PLAIN
from tests.testing.memory_devices import MemoryCrossbar

LOW, HIGH = 10e-6, 90e-6


def wired(pair: str = "reference", pulses: dict[str, Any] | None = PLAIN, **chip: Any) -> CrossbarSystem:
    device = crossbar({"pulses": pulses, **chip})
    return joined(device, pair)


def joined(device: SimCrossbar | MemoryCrossbar, pair: str = "reference") -> CrossbarSystem:
    config = CrossbarSystem.Config.model_validate({
        "array": "array", "precision": "float64", "read_voltage_v": 0.2, "full_scale_a": 1e-5, "low_siemens": LOW,
        "high_siemens": HIGH, "pair": pair,
    })  # fmt: skip
    return CrossbarSystem("layer", config, {"array": device}, Facilities(device.clock))


def controls(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(24)


@pytest.mark.parametrize("pair", ["differential", "reference"])
def test_both_directions_multiply_with_the_weights_as_designed(pair: str) -> None:
    system = wired(pair)
    x, error, theta = np.random.default_rng(1).uniform(-1, 1, (5, 8)), np.eye(3), controls()
    weights = (2 * theta - 1).reshape(8, 3)
    assert system.gain == pytest.approx(80e-6 * 0.2 / 1e-5 / (1 if pair == "differential" else 2))
    np.testing.assert_allclose(system.measure(x, theta).y, system.gain * x @ weights, rtol=1e-9)
    np.testing.assert_allclose(system.read_transposed(error), system.gain * error @ weights.T, rtol=1e-9)
    np.testing.assert_allclose(system.read_weights(), weights, atol=1e-9)
    assert system.n_shots == 5 + 3


def test_a_transposed_read_can_set_its_controls_first() -> None:
    system, theta = wired(), controls()
    np.testing.assert_allclose(
        system.read_transposed(np.eye(3), theta), system.gain * (2 * theta - 1).reshape(8, 3).T, rtol=1e-9
    )


@pytest.mark.parametrize(("pair", "step"), [("differential", 2 * 0.5e-6 / 80e-6), ("reference", 0.5e-6 / 40e-6)])
def test_pulses_move_weights_and_not_controls(pair: str, step: float) -> None:
    """A differential pair moves both its cells, by 0.5 uS each; a weight of 1 is 80 uS, or 40 uS with a reference."""
    system, theta = wired(pair), np.full(24, 0.6)
    x = np.eye(8)
    before = system.measure(x, theta).y
    rows, columns = np.zeros((4, 8), np.int8), np.zeros((4, 3), np.int8)
    rows[:, 2], columns[:, 1], columns[:, 0] = 1, 1, -1
    system.pulse(rows, columns)
    counts = np.zeros((8, 3), int)
    counts[5, 2] = -3
    system.step(counts)
    measured = system.measure(x, theta)  # the same controls: what pulses did stays
    moved = np.zeros((8, 3))
    moved[2], moved[5, 2] = [-4 * step, 4 * step, 0], -3 * step
    np.testing.assert_allclose(measured.y - before, system.gain * moved, atol=1e-9)
    assert np.isnan(measured.drive[1]).all(), "what cells hold after pulses is not known before they are read"
    np.testing.assert_allclose(system.read_weights() - 0.2, moved, atol=1e-9)
    assert not np.isnan(system.measure(x, theta).drive[1]).any()
    np.testing.assert_allclose(system.measure(x, np.full(24, 0.7)).y, system.gain * 0.4, rtol=1e-9)


def test_held_controls_are_not_programmed_and_written_ones_are() -> None:
    system, theta = wired(), controls()
    system.write(theta)
    system.hold(1 - theta)
    x = np.eye(8)
    np.testing.assert_allclose(system.measure(x, 1 - theta).y, system.gain * (2 * theta - 1).reshape(8, 3))
    system.write(1 - theta)
    np.testing.assert_allclose(system.measure(x, 1 - theta).y, -system.gain * (2 * theta - 1).reshape(8, 3))


def test_a_restored_system_keeps_what_pulses_made() -> None:
    system, theta = wired(), controls()
    system.measure(np.eye(8), theta)
    system.step(np.full((8, 3), 2))
    wanted = system.measure(np.eye(8), theta).y
    again = joined(system._array)  # type: ignore[arg-type]
    again.restore(system.state())
    np.testing.assert_array_equal(again.measure(np.eye(8), theta).y, wanted)


def test_capabilities_are_those_of_the_array() -> None:
    both = {Capability.BIDIRECTIONAL, Capability.RECIPROCAL, Capability.TRANSPOSED_READ}
    assert wired().capabilities == both | {Capability.SINGLE_PULSES, Capability.OUTER_PRODUCT_UPDATE}
    assert wired(pulses=None).capabilities == both
    assert isinstance(wired(), PulsedArray) and isinstance(wired(), TransposedArray)


def test_what_is_wrong_is_refused_with_nothing_sent() -> None:
    system = wired()
    with pytest.raises(SetpointError, match=r"errors have shape \(2, 8\), expected \(batch, 3\)"):
        system.read_transposed(np.zeros((2, 8)))
    with pytest.raises(SetpointError, match="errors span 0 to 2"):
        system.read_transposed(np.array([[0.0, 1.0, 2.0]]))
    with pytest.raises(SetpointError, match=r"pulses have shape \(1, 6\)"):
        system.pulse(np.ones((1, 8), int), np.ones((1, 6), int))
    with pytest.raises(SetpointError, match=r"counts of pulses have shape \(8, 6\)"):
        system.step(np.ones((8, 6), int))
    plain = wired(pulses=None)
    with pytest.raises(AbilityError, match="cannot pulse"):
        plain.pulse(np.ones((1, 8), int), np.ones((1, 3), int))
    assert system.n_shots == 0
