"""Systems whose ports are channels of converters, at a small board that multiplies, and carries errors back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pnnlab.devices import Device, SimulatedClock
from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.nn import Adjoint, FidelityConfig, ForwardRule, PhysicalLayer, gradient_fidelity
from pnnlab.systems import A, ControlRange, Facilities, FloatArray, PortSystem, PortSystemConfig, System
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.dac import SimDac
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

N = 2


class Multiplier(StaticBoard):
    """y = x W forwards on N channels, b = e Wᵀ backwards on N others."""

    Options = StaticBoardOptions
    n_inputs = 2 * N + N * N
    n_outputs = 2 * N

    def respond(self, volts: Tensor) -> Tensor:
        x, e, w = volts.split((N, N, N * N), -1)
        matrix = w.unflatten(-1, (N, N))
        return torch.cat([(x[:, None] @ matrix)[:, 0], (e[:, None] @ matrix.mT)[:, 0]], -1)


class MultiplierSystem(PortSystem):
    Config = PortSystemConfig
    control_range = ControlRange.BOUNDED
    n_in = n_out = N
    n_controls = N * N
    input_range = (-1.0, 1.0)

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        zeros = x * 0
        if isinstance(x, np.ndarray):
            return (np.concatenate([x, zeros, np.broadcast_to(theta, (len(x), N * N))], -1),)
        return (torch.cat([x, zeros, theta.expand(len(x), -1)], -1),)

    def outputs(self, reading: A) -> A:
        return reading[..., :N]

    def back(self, error: FloatArray, theta: FloatArray) -> FloatArray:
        drive = np.concatenate([error * 0, error, np.broadcast_to(theta, (len(error), N * N))], -1)
        return self.probe(drive)[:, N:]


class Carried(Adjoint):
    system: MultiplierSystem

    def forward(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, object]:
        return self.system.outputs(self.system.read(x, theta)), (x, theta)

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        x, theta = memory
        return self.system.back(grad_y, theta), (x.T @ grad_y).ravel()


class Blind(Carried):
    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        return None, super().backward(memory, grad_y)[1]


EXACT: Mapping[str, Any] = {"quantised": False}


def system(
    *, mode: str = "waveform", lag_s: float = 0.0, hold: int = 1, precision: str = "float64", **options: Any
) -> MultiplierSystem:
    clock = SimulatedClock()
    board_options = StaticBoardOptions(precision=precision, lag_s=lag_s)  # type: ignore[arg-type]
    plant = Multiplier("board", board_options, clock=clock, seed=1)
    devices: dict[str, Device] = {
        "dac": SimDac("dac", SimDac.Options.model_validate(options or EXACT), clock=clock, plant=plant).open(),
        "adc": SimAdc("adc", SimAdc.Options.model_validate(options or EXACT), clock=clock, plant=plant).open(),
    }
    config = PortSystemConfig(
        kind="multiplier", dac="dac", adc="adc", rate_hz=10e3, mode=mode, hold=hold, precision=precision  # type: ignore[arg-type]
    )  # fmt: skip
    return MultiplierSystem("board", config, devices, Facilities(clock))


def batch(n: int = 5) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (n, N)), generator.uniform(0, 1, N * N)


@pytest.mark.parametrize("mode", ["waveform", "steps"])
def test_outputs_are_those_of_the_physics(mode: str) -> None:
    wired = system(mode=mode)
    x, theta = batch()
    shots = wired.measure(x, theta)
    np.testing.assert_allclose(shots.y, x @ theta.reshape(N, N), atol=1e-12)
    np.testing.assert_allclose(shots.drive[0], wired.encode(x, theta)[0], atol=1e-12)
    assert wired.n_shots == 5


@pytest.mark.parametrize("mode", ["waveform", "steps"])
def test_a_probe_reads_every_channel_and_counts_as_a_shot(mode: str) -> None:
    wired = system(mode=mode)
    x, theta = batch()
    np.testing.assert_allclose(wired.back(x, theta), x @ theta.reshape(N, N).T, atol=1e-12)
    assert wired.n_shots == 5
    reading = wired.read(x, theta)
    assert reading.shape == (5, 2 * N)
    assert wired.n_shots == 10


def test_what_lags_is_read_after_it_has_settled() -> None:
    x, theta = batch()
    truth = x @ theta.reshape(N, N)
    early, late = (system(lag_s=5e-5, hold=hold).measure(x, theta).y for hold in (1, 16))
    assert np.abs(early - truth).max() > 1e-2
    np.testing.assert_allclose(late, truth, atol=1e-12)


def test_a_quantised_drive_is_told_as_it_was_realised() -> None:
    wired = system(bits=8)
    x, theta = batch()
    shots = wired.measure(x, theta)
    off = shots.drive[0] - wired.encode(x, theta)[0]
    assert 0 < np.abs(off).max() <= 20 / 255 / 2 + 1e-9  # a code of 8 bits over -10 V to 10 V


@pytest.mark.parametrize(
    ("drive", "message"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\).*\(batch, 8\)"),
        (np.full((1, 8), np.nan), "finite numbers"),
        (np.full((1, 8), 99.0), "99"),
    ],
)
def test_what_the_converter_cannot_make_is_refused_before_it_is_sent(drive: FloatArray, message: str) -> None:
    wired = system()
    with pytest.raises(SetpointError, match=message):
        wired.probe(drive)
    assert wired.n_shots == 0


def _layer(adjoint: type[Adjoint], wired: System) -> PhysicalLayer:
    layer = PhysicalLayer(wired)
    layer.rule, layer.adjoint = ForwardRule.PHYSICAL, adjoint(wired)
    return layer


def test_a_layer_takes_its_gradient_from_the_bench() -> None:
    torch.manual_seed(0)
    wired = system()
    first, second = _layer(Carried, wired), _layer(Carried, wired)
    x = torch.rand(4, N, dtype=torch.float64)
    nn.Sequential(first, nn.Tanh(), second)(x).square().sum().backward()
    matrices = [layer.raw_controls.detach().clone().requires_grad_() for layer in (first, second)]
    inner = torch.tanh(x @ matrices[0].sigmoid().reshape(N, N))
    (inner @ matrices[1].sigmoid().reshape(N, N)).square().sum().backward()
    for layer, matrix in zip((first, second), matrices, strict=True):
        assert layer.raw_controls.grad is not None
        torch.testing.assert_close(layer.raw_controls.grad, matrix.grad, rtol=1e-9, atol=1e-12)
    assert wired.n_shots == 4 * 4  # each layer once forwards and once backwards


class Backwards(Carried):
    """Gets the matrix the wrong way round."""

    def backward(self, memory: Any, grad_y: FloatArray) -> tuple[FloatArray | None, FloatArray]:
        grad_x, grad_theta = super().backward(memory, grad_y)
        return grad_x, grad_theta.reshape(N, N).T.ravel()


@pytest.mark.parametrize(("adjoint", "right"), [(Carried, True), (Backwards, False)])
def test_a_physical_gradient_is_compared_with_differences_of_the_bench(adjoint: type[Adjoint], right: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(_layer(adjoint, system()), nn.Tanh(), _layer(adjoint, system()))
    x, target = torch.rand(4, N, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    config = FidelityConfig(directions=32, samples=4, step=1e-3, input_step=1e-3)
    found = gradient_fidelity(
        model, x, target, nn.functional.cross_entropy, config, generator=torch.Generator().manual_seed(0)
    )
    assert [(one.layer, one.of) for one in found] == [(k, of) for k in range(2) for of in ("controls", "inputs")]
    for one in found:
        exact = right or one.of == "inputs"
        assert (one.cosine == pytest.approx(1, abs=1e-6)) == exact
        assert one.ratio == pytest.approx(1, abs=0.5)


def test_a_gradient_that_the_physics_does_not_give_is_refused() -> None:
    layer = _layer(Blind, system())
    layer(torch.rand(4, N, dtype=torch.float64)).sum().backward()  # controls alone
    x = torch.rand(4, N, dtype=torch.float64, requires_grad=True)
    with pytest.raises(CapabilityError, match="Blind gives that of its controls only"):
        layer(x).sum().backward()


def test_without_an_adjoint_the_layer_says_so() -> None:
    layer = PhysicalLayer(system())
    layer.rule = ForwardRule.PHYSICAL
    with pytest.raises(CapabilityError, match="no `adjoint`"):
        layer(torch.rand(4, N, dtype=torch.float64))
