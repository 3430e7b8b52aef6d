"""Crossbars trained in place: what reads carry, what pulses write, and what asymmetry does to either method."""

import importlib.util
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.errors import RunError
from pnnlab.methods import (
    InMemoryBackpropagation,
    Setting,
    TrainingMethod,
    WriteVerify,
    WriteVerifyOptions,
    make_method,
)
from pnnlab.methods._pulsed_weights import PulsedWeights, PulseOptions
from pnnlab.methods._transfer import AveragedTransfer, BufferedTransfer, ChoppedTransfer, DirectTransfer
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.systems import CrossbarSystem
from pnnlab.twins import CrossbarTwinConfig, make_twin
from scripts.setups.pulsed_regression import wired_array
from tests.drivers.sim.test_pulsed_crossbar import PLAIN


def array(
    name: str = "layer", shape: tuple[int, int] = (4, 3), clock: SimulatedClock | None = None, pair: str = "reference",
    noise: float = 0.0, **changes: Any,
) -> CrossbarSystem:  # fmt: skip
    return wired_array(
        name, shape, {**PLAIN, **changes}, clock=clock or SimulatedClock(), seed=1, read_noise=noise, pair=pair
    )


def setting(*systems: CrossbarSystem, seed: int = 0) -> Setting:
    return Setting(4, 3, 10, 1.0, falls=False, seed=seed, systems={system.name: system for system in systems})


def squared(y: Tensor, wanted: Tensor) -> Tensor:
    return 0.5 * (y - wanted).square().sum() / len(y)


def stepped(method: TrainingMethod, model: nn.Module, x: Tensor, wanted: Tensor) -> None:
    method.step(model, x, wanted, squared, torch.optim.SGD(model.parameters(), lr=1.0))


def test_errors_run_back_through_two_arrays_as_autograd_has_it() -> None:
    """Cells and converters are exact but for single precision: 1e-5 relative."""
    clock = SimulatedClock()
    first, second = array("first", (4, 5), clock), array("second", (5, 3), clock)
    torch.manual_seed(0)
    model = nn.Sequential(PhysicalLayer(first), nn.Tanh(), PhysicalLayer(second))
    method = InMemoryBackpropagation()
    method.prepare(model, setting(first, second))
    x, wanted = torch.rand(6, 4) * 2 - 1, torch.randn(6, 3)
    squared(model(x), wanted).backward()
    raws = [layer.raw_controls.detach().clone().requires_grad_() for layer in (model[0], model[2])]
    matrices = [(2 * raw.sigmoid() - 1).reshape(s.n_in, s.n_out) for raw, s in zip(raws, (first, second), strict=True)]
    y = (first.gain * x @ matrices[0]).tanh() @ matrices[1] * second.gain
    exact = torch.autograd.grad(squared(y, wanted), raws)
    for layer, truth in zip((model[0], model[2]), exact, strict=True):
        assert layer.raw_controls.grad is not None
        assert (layer.raw_controls.grad - truth).norm() / truth.norm() < 1e-5
    assert first.n_shots == 6 and second.n_shots == 12, "nobody needs the gradient of the data"


@pytest.mark.parametrize("pulses", ["stochastic", "even"])
def test_a_pulsed_step_is_a_step_of_gradient_descent_on_average(pulses: str) -> None:
    """One sample 300 times, at an error that stays: within five standard errors of as many binomial counts."""
    system = array(step=1e-4)
    weights = PulsedWeights(system, PulseOptions(pulses=pulses), torch.Generator().manual_seed(0))
    system.write(np.full(12, 0.5))
    weights.find_step()
    assert weights.step == pytest.approx(1e-4, rel=1e-3)
    system.write(np.full(12, 0.5))
    x, d, rate, n = np.array([[1.0, -0.6, 0.3, 0.0]]), np.array([[0.9, -0.5, 0.2]]), 1e-3, 300
    for _ in range(n):
        weights.descend(x, d, rate)
    expected = -n * rate * system.gain * x.T @ d
    steps = np.abs(rate * system.gain * x.T @ d) / weights.step
    # the spread of a count is at most that of as many independent pulses; even streams are off by some, each time
    allowed = n * weights.step * (5 * np.sqrt(steps / n) if pulses == "stochastic" else 2.0) + 1e-6
    assert (np.abs(system.read_weights() - expected) <= allowed).all()
    assert np.max(allowed) < 0.35 * np.abs(expected).max()


def test_the_controls_become_what_the_cells_hold_when_training_is_over() -> None:
    system = array()
    model = nn.Sequential(PhysicalLayer(system, controls=torch.full((12,), 0.5)))
    method = make_method("analog_sgd", {"learning_rate": 0.3})
    method.prepare(model, setting(system))
    generator = torch.Generator().manual_seed(0)
    x, target = torch.rand(200, 4, generator=generator) * 2 - 1, 0.6 * torch.rand(4, 3, generator=generator) - 0.3
    before = model[0].raw_controls.detach().clone()
    for part in x.split(5):
        stepped(method, model, part, system.gain * part @ target)
    assert torch.equal(model[0].raw_controls, before), "pulses change the cells, not what was asked for"
    method.deploy(model)
    held = system.read_weights()
    assert np.abs(held - target.numpy()).max() < 0.1
    np.testing.assert_allclose(system.weights(model[0].controls.detach().numpy()), held, atol=1e-6)
    had = system._array.pulses_had  # type: ignore[attr-defined]
    with torch.no_grad():
        torch.testing.assert_close(model(x), system.gain * x @ torch.from_numpy(held), atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(system._array.pulses_had, had)  # type: ignore[attr-defined]


def test_mixed_precision_sends_whole_pulses_and_keeps_the_rest() -> None:
    system = array(step=0.01)
    model = nn.Sequential(PhysicalLayer(system, controls=torch.full((12,), 0.5)))
    method = make_method("mixed_precision", {"learning_rate": 0.01, "step": 0.01})
    method.prepare(model, setting(system))
    x, wanted = torch.tensor([[1.0, -0.5, 0.2, 0.0]]), torch.tensor([[1.0, -0.7, 0.3]])
    total = np.zeros((4, 3))
    for _ in range(7):
        y = system.gain * x.numpy() @ system.read_weights()
        total -= 0.01 * system.gain * x.numpy().T @ (y - wanted.numpy())
        stepped(method, model, x, wanted)
        held = system.read_weights()
        np.testing.assert_allclose(held / 0.01, np.rint(held / 0.01), atol=1e-3)
        assert (np.abs(total - held) < 0.01 + 1e-6).all()
    assert np.abs(held).max() >= 0.03


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_tiki_taka_learns_on_cells_that_pull_to_one_side(version: int) -> None:
    """Up and down steps of a cell differ by 60 % as often as not; in noisy labels, so that pulses never cease."""
    clock = SimulatedClock()
    made = {"response": "reram-gong-2018-soft-bounds", "low": -1.0, "high": 1.0, "asymmetry_spread": 0.3,
            "cycle_std": 0.3}  # fmt: skip
    slow, fast = (array(name, clock=clock, noise=0.01, **made) for name in ("layer", "layer-fast"))
    model = nn.Sequential(PhysicalLayer(slow, controls=torch.full((12,), 0.5)))
    options = {"version": version, "learning_rate": 3.0, "transfer_rate": 0.05, "transfer_every": 2, "settle": 150,
               "scaled": False}  # fmt: skip
    method = make_method("tiki_taka", options)
    method.prepare(model, setting(slow, fast))
    assert method.systems == (fast,)
    generator = torch.Generator().manual_seed(0)
    target = 0.6 * torch.rand(4, 3, generator=generator) - 0.3
    x = torch.rand(1200, 4, generator=generator) * 2 - 1
    labels = x @ target + 0.05 * torch.randn(len(x), 3, generator=generator)
    for part, wanted in zip(x.split(8), labels.split(8), strict=True):
        stepped(method, model, part, slow.gain * wanted)
    error = np.linalg.norm(slow.read_weights() - target.numpy()) / np.linalg.norm(target.numpy())
    assert error < 0.4
    assert fast.n_shots == 600, "a row of the fast array every second sample"


@pytest.mark.parametrize("version", [2, 3])
def test_the_fast_array_is_pulsed_alike_whatever_the_size_of_the_gradient(version: int) -> None:
    """Pulses damp it; so they must not cease as the loss falls. Loss and rate of transfer are scaled inversely."""
    pulses, weights = [], []
    for scale in (1.0, 1 / 128):
        clock = SimulatedClock()
        slow, fast = (array(name, clock=clock, step=0.005) for name in ("layer", "layer-fast"))
        model = nn.Sequential(PhysicalLayer(slow, controls=torch.full((12,), 0.5)))
        options = {"version": version, "learning_rate": 0.05, "transfer_rate": 0.2 / scale, "settle": 20}
        method = make_method("tiki_taka", options)
        method.prepare(model, setting(slow, fast))
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            x = torch.rand(8, 4, generator=generator) * 2 - 1
            optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
            method.step(model, x, x[:, :3] * 0.2, lambda y, wanted, s=scale: s * squared(y, wanted), optimiser)
        pulses.append(fast._array.pulses_had)  # type: ignore[attr-defined]
        weights.append(slow.read_weights())
    np.testing.assert_array_equal(*pulses)
    np.testing.assert_allclose(*weights, atol=1e-5)
    assert np.abs(weights[0]).max() > 0.02


class Slow(PulsedWeights):
    """Keeps what it is told instead of pulsing."""

    def __init__(self) -> None:
        super().__init__(array(shape=(2, 2)), PulseOptions(step=0.01), torch.Generator())
        self.sent = np.zeros((2, 2), np.int64)

    def step_row(self, row: int, counts: np.ndarray) -> None:
        self.sent[row] += counts


def test_the_buffer_sends_whole_steps_and_keeps_the_rest() -> None:
    slow = Slow()
    transfer = BufferedTransfer(slow, 0.1, torch.Generator())
    for _ in range(5):
        transfer.pass_on(np.array([0]), np.array([[0.07, -0.021]]))
    np.testing.assert_array_equal(slow.sent, [[3, -1], [0, 0]])
    np.testing.assert_allclose(transfer.buffer, [[0.005, -0.0005], [0, 0]], atol=1e-12)


def test_an_offset_without_sign_averages_out_under_choppers() -> None:
    """Rows learn under random signs: what they read is sign times the gradient, plus an offset of the reference."""
    slow = Slow()
    transfer = ChoppedTransfer(slow, 0.1, torch.Generator().manual_seed(0), 0.5)
    plain = BufferedTransfer(other := Slow(), 0.1, torch.Generator())
    for k in range(2000):
        row = k % 2
        read = 0.02 * transfer.row_signs[row] * transfer.column_signs + 0.05
        transfer.pass_on(np.array([row]), read[None])
        plain.pass_on(np.array([row]), np.full((1, 2), 0.02 + 0.05))
    # 1000 readings a row of 0.02 or 0.07 times 0.1, in steps of 0.01; random signs leave sqrt(1000) of the offset
    np.testing.assert_allclose(slow.sent, 200, atol=5 * 0.5 * 1000**0.5)
    np.testing.assert_allclose(other.sent, 700, atol=1)


def test_differences_of_half_periods_need_no_reference() -> None:
    slow = Slow()
    transfer = AveragedTransfer(slow, 0.1, torch.Generator(), 5, 1.0)
    for _ in range(100):
        read = np.array([[0.02, 0.0]]) * transfer.row_signs[0] + 0.3
        transfer.pass_on(np.array([0]), read)
    # all but the first half-period count: 95 readings of 0.02 times 0.1
    np.testing.assert_array_equal(slow.sent, [[19, 0], [0, 0]])


@pytest.mark.parametrize("kind", [DirectTransfer, BufferedTransfer])
def test_transfers_move_the_slow_array_the_way_the_fast_one_went(kind: type[DirectTransfer]) -> None:
    system = array(shape=(2, 2), step=1e-3)
    weights = PulsedWeights(system, PulseOptions(step=1e-3), torch.Generator().manual_seed(0))
    system.write(np.full(4, 0.5))
    transfer = kind(weights, 0.1, torch.Generator())
    for _ in range(80):
        transfer.pass_on(np.array([1]), np.array([[0.05, -0.1]]))
    # ten pulses a time at most, by chance in version 1: 80 times, a step of 0.001
    np.testing.assert_allclose(system.read_weights(), [[0, 0], [0.4, -0.8]], atol=0.15)


def test_written_weights_are_verified_and_what_is_left_is_told(caplog: pytest.LogCaptureFixture) -> None:
    system = array(shape=(8, 6), step=0.005, step_spread=0.3, cycle_std=0.5, low_spread=0.2, high_spread=0.2)
    twin = make_twin(CrossbarTwinConfig(), interface_of(system))
    torch.manual_seed(0)
    model = nn.Sequential(PhysicalLayer(system, twin, controls=0.2 + 0.6 * torch.rand(48)))
    method = WriteVerify(WriteVerifyOptions(tolerance=0.01))
    method.prepare(model, setting(system))
    x = torch.rand(4, 8)
    stepped(method, model, x, torch.zeros(4, 6))
    assert system.n_shots == 0, "trained in silico"
    system._array._chip.step(np.random.default_rng(0).integers(-30, 30, (8, 12)))  # type: ignore[attr-defined]
    with caplog.at_level(logging.INFO, "pnnlab"):
        method.deploy(model)
    wanted = system.weights(model[0].controls.detach().numpy())
    left = float(np.sqrt(np.square(system.read_weights() - wanted).mean()))
    assert method.residual["layer"] == pytest.approx(left, rel=1e-3)
    assert left < 0.01 and "weights are off by" in caplog.text


GONG: Mapping[str, Any] = {
    "response": "reram-gong-2018-soft-bounds", "step": 0.002, "low": -0.75, "high": 1.25, "step_spread": 0.3,
    "low_spread": 0.4, "high_spread": 0.24, "cycle_std": 3.75,
}  # fmt: skip
"""As published: noise of a pulse is four steps, and many a cell cannot hold the lowest weights."""


def _spread(system: CrossbarSystem) -> nn.Sequential:
    """A layer whose weights lie nearly everywhere in ±1."""
    torch.manual_seed(0)
    controls = 0.02 + 0.96 * torch.rand(system.n_controls)
    twin = make_twin(CrossbarTwinConfig(), interface_of(system))
    return nn.Sequential(PhysicalLayer(system, twin, controls=controls))


@pytest.mark.parametrize("patience", [1, 4])
def test_rounds_of_pulses_never_leave_weights_worse_than_they_were_written(patience: int) -> None:
    """A cell at its bound, short of its weight, is moved by the noise of pulses alone, which only leads away."""
    system = array(shape=(16, 16), **GONG)
    model = _spread(system)
    method = WriteVerify(WriteVerifyOptions(survey=False, rounds=10, patience=patience))
    method.prepare(model, setting(system))
    method.deploy(model)
    assert 0.05 < method.residual["layer"] <= method.residual["layer_before"]


def test_training_in_silico_keeps_to_what_the_cells_can_hold() -> None:
    """Bounds of cells are measured, through a saved state too; then nothing is left to verify."""
    system = array(shape=(16, 16), **GONG)
    model = _spread(system)
    method = WriteVerify(WriteVerifyOptions())
    method.prepare(model, setting(system))
    stepped(method, model, torch.zeros(4, 16), torch.zeros(4, 16))
    again = WriteVerify(WriteVerifyOptions())
    again.prepare(model, setting(system))
    again.load_state(method.state())
    had = system._array.pulses_had.copy()  # type: ignore[attr-defined]
    with torch.no_grad():
        model[0].raw_controls.copy_(_spread(system)[0].raw_controls)
    stepped(again, model, torch.zeros(4, 16), torch.zeros(4, 16))
    again.deploy(model)
    wanted = system.weights(model[0].controls.detach().numpy())
    np.testing.assert_allclose(system.read_weights(), wanted, atol=1e-4)
    assert np.abs(wanted).max() > 0.9, "cells that can hold large weights still do"
    assert (system._array.pulses_had - had).max() <= 16, "pulses that find the step, no others"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no system is named 'layer-fast', which is to be the fast array of 'layer'"),
        ({"fast": {"layer": "layer"}}, "each must be a crossbar of its own"),
        ({"fast": {"layer": "small"}}, "'small' has 2 x 2 weights, 'layer' has 4 x 3"),
    ],
)
def test_a_fast_array_that_does_not_fit_is_told(options: Mapping[str, Any], message: str) -> None:
    slow, small = array(), array("small", (2, 2))
    method = make_method("tiki_taka", options)
    with pytest.raises(RunError, match=message):
        method.prepare(nn.Sequential(PhysicalLayer(slow)), setting(slow, small))


def test_layers_that_share_an_array_cannot_be_trained_in_place() -> None:
    system = array(shape=(3, 3))
    model = nn.Sequential(PhysicalLayer(system), PhysicalLayer(system))
    with pytest.raises(RunError, match="layer is the system of several layers"):
        make_method("analog_sgd").prepare(model, setting(system))


@pytest.mark.skipif(importlib.util.find_spec("aihwkit") is None, reason="needs the peer aihwkit")
def test_every_published_cell_answers_pulses_as_aihwkits_does() -> None:
    from scripts.bench_pulsed import response_gaps

    gaps = response_gaps()
    # aihwkit computes in single precision: up to 2400 pulses add up to some 1e-5 of the range
    assert gaps and max(gaps.values()) < 1e-4
