"""A quarter of a turn both ways gives the exact derivative behind interferometers, and where it does not it says so."""

import math

import pytest
import torch
from torch import Tensor, nn

from pnnlab.methods import FiniteDifferences, FiniteDifferencesOptions, ParameterShift, ParameterShiftOptions
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import ControlRange
from scripts.setups import FunctionSystem
from tests.methods.set_ups import setting

PORTS, COLUMNS = 4, 4


def mesh(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
    """Return powers behind columns of phase shifters and half-transparent couplers, with shot-to-shot noise of 1 %."""
    coupler = torch.tensor([[1, 1j], [1j, 1]], dtype=torch.complex128) / math.sqrt(2)
    field = x.to(torch.complex128)
    for column in range(COLUMNS):
        phases = theta[..., column * PORTS : (column + 1) * PORTS]
        field = field * torch.exp(2j * math.pi * phases)
        field = field.roll(column % 2, -1).unflatten(-1, (PORTS // 2, 2)) @ coupler
        field = field.flatten(-2).roll(-(column % 2), -1)
    power = field.abs().square()
    return power if noise is None else power + NOISE * torch.randn(power.shape, generator=noise, dtype=torch.float64)


NOISE = 0.0


def interferometer(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    sizes = (PORTS, PORTS * COLUMNS, PORTS)
    system = FunctionSystem(mesh, sizes, control_range=ControlRange.PERIODIC, precision="float64")
    readout = nn.Linear(PORTS, 3, dtype=torch.float64).requires_grad_(False)
    return nn.Sequential(PhysicalLayer(system, system.twin()), readout, nn.Tanh())


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(6, PORTS, dtype=torch.float64, generator=generator), torch.randint(3, (6,), generator=generator)


def exact(model: nn.Sequential) -> Tensor:
    model.zero_grad()
    nn.functional.cross_entropy(model(batch()[0]), batch()[1]).backward()
    return model[0].raw_controls.grad.clone()  # type: ignore[operator, union-attr]


def found(method: FiniteDifferences, model: nn.Sequential) -> Tensor:
    method.prepare(model, setting())
    method.step(model, *batch(), nn.functional.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.0))
    return model[0].raw_controls.grad.clone()  # type: ignore[operator, union-attr]


def test_it_equals_autograd_through_a_mesh_of_interferometers() -> None:
    model = interferometer()
    torch.testing.assert_close(
        found(ParameterShift(ParameterShiftOptions(coordinates=None)), model), exact(model), rtol=1e-9, atol=1e-12
    )
    # autograd's six shots, and two batches a phase with one more for the outputs' error
    assert model[0].system.n_shots == 6 * (2 * PORTS * COLUMNS + 1) + 6  # type: ignore[operator, union-attr]


def test_with_noise_it_is_exact_to_the_noise_and_better_than_small_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise s of an output gives s √2 / 2 · 2π |slope| in a derivative; small steps multiply it by 1 / (2π c)."""
    true = exact(interferometer())
    monkeypatch.setattr(__import__(__name__, fromlist=["NOISE"]), "NOISE", 0.01)
    errors = {}
    for method in (
        ParameterShift(ParameterShiftOptions(coordinates=None)),
        FiniteDifferences(FiniteDifferencesOptions(perturbation=0.01, coordinates=None)),
    ):
        squares = [(found(method, interferometer()) - true).square().mean() for _ in range(3)]
        errors[method.name] = float(torch.stack(squares).mean().sqrt())
    model = interferometer()
    y = model[0](batch()[0]).detach().requires_grad_()
    nn.functional.cross_entropy(model[1:](y), batch()[1]).backward()
    assert y.grad is not None
    expected = math.pi * 0.01 * math.sqrt(2) * float(y.grad.norm())
    assert errors["parameter_shift"] == pytest.approx(expected, rel=0.6)
    assert errors["finite_differences"] > 5 * errors["parameter_shift"]


def test_some_phases_a_step_have_the_same_derivatives() -> None:
    model = interferometer()
    some, true = found(ParameterShift(ParameterShiftOptions(coordinates=5)), model), exact(model)
    assert int(some.count_nonzero()) == 5
    torch.testing.assert_close(some[some != 0], true[some != 0], rtol=1e-9, atol=1e-12)


def test_what_is_no_phase_of_the_last_layer_is_looked_at_by_differences() -> None:
    model = nn.Sequential(*interferometer(0)[:1], *interferometer(1)[:2].requires_grad_())
    assert sum(p.requires_grad for p in model.parameters()) == 4
    method = ParameterShift(ParameterShiftOptions(perturbation=1e-4, coordinates=None))
    method.prepare(model, setting())
    method.step(model, *batch(), nn.functional.cross_entropy, torch.optim.SGD(model.parameters(), lr=0.0))
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    nn.functional.cross_entropy(model(batch()[0]), batch()[1]).backward()
    for one, parameter in zip(gradients, model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(one, parameter.grad, rtol=1e-5, atol=1e-6)
