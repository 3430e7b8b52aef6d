import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import ellipj, ellipk
from torch import Tensor, nn

from pnnlab.physics import PendulumNetwork


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int, std: float = 1.0) -> Tensor:
    return std * torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def network(n: int = 6, *, duration: float = 0.5, n_steps: int = 3, nonlinearity: float = 1.1) -> PendulumNetwork:
    stray = normal(n, n, seed=3, std=0.2)
    return PendulumNetwork(
        n, stray_coupling=stray, nonlinearity=nonlinearity, duration=duration, n_steps=n_steps
    ).double()


def settings(n: int = 6) -> tuple[Tensor, Tensor]:
    return normal(n, n, seed=1, std=0.5), normal(n, seed=2)


def rates(net: PendulumNetwork, coupling: Tensor, torque: Tensor) -> "np.ufunc":
    """The class docstring's equation, spring by spring; state and rate are (q, q')."""
    n, s, uneven = net.n_pendula, net.nonlinearity.numpy(), (coupling + net.stray_coupling).numpy()

    def of(_: float, z: np.ndarray) -> np.ndarray:
        angle, force = s * z[:n], torque.numpy().copy()
        for i in range(n):
            force[i] -= (1.0 + uneven[i, i]) * math.sin(angle[i])
            for j in range(n):
                if j != i:
                    force[i] += 0.5 * (uneven[i, j] + uneven[j, i]) * (math.sin(angle[j]) - math.sin(angle[i]))
        return np.concatenate((z[n:], force))

    return of


def solved(net: PendulumNetwork, angle: Tensor, coupling: Tensor, torque: Tensor) -> Tensor:
    """Solved by an eighth-order Runge-Kutta method with an error of about 1e-11."""
    ends = [
        solve_ivp(
            rates(net, coupling, torque), (0.0, net.duration), np.concatenate((x, np.zeros_like(x))),
            method="DOP853", rtol=1e-11, atol=1e-13,
        ).y[: net.n_pendula, -1]
        for x in angle.numpy()
    ]  # fmt: skip
    return torch.tensor(np.array(ends))


def runge_kutta(net: PendulumNetwork, angle: Tensor, coupling: Tensor, torque: Tensor, n_steps: int) -> Tensor:
    """The classical method of fourth order, for the comparison in the class docstring."""
    rate, h, ends = rates(net, coupling, torque), net.duration / n_steps, []
    for x in angle.numpy():
        z = np.concatenate((x, np.zeros_like(x)))
        for _ in range(n_steps):
            k1 = rate(0.0, z)
            k2 = rate(0.0, z + h / 2 * k1)
            k3 = rate(0.0, z + h / 2 * k2)
            k4 = rate(0.0, z + h * k3)
            z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        ends.append(z[: net.n_pendula])
    return torch.tensor(np.array(ends))


def test_converges_to_a_runge_kutta_solution_with_fifth_order() -> None:
    net, angle = network(duration=2.0), normal(2, 6, seed=4)
    truth = solved(net, angle, *settings())
    errors = []
    for n_steps in (8, 16, 32, 64):
        net.n_steps = n_steps
        errors.append((net(angle, *settings()) - truth).square().mean().sqrt().item())
    # the error's constant is near 1 for unit angles and rates: (2/64)^5 = 3e-8
    assert errors[-1] < 3e-8
    # fifth order: a 32nd for each halving of the step, up to sixth-order terms that fade with it
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios[-1], 32.0, rtol=0.1)
    assert ratios.min() > 24.0


def test_three_steps_are_closer_than_the_classical_method_with_five() -> None:
    net, angle = network(20), normal(2, 20, seed=4, std=0.5)
    truth = solved(net, angle, *settings(20))
    ours = (net(angle, *settings(20)) - truth).norm()
    classical = (runge_kutta(net, angle, *settings(20), 5) - truth).norm()
    assert ours < 0.5 * classical
    assert ours / (truth - angle).norm() < 1e-4


@pytest.mark.parametrize("start", [0.1, 1.5, 3.0])
def test_a_lone_pendulum_follows_the_elliptic_solution(start: float) -> None:
    """sin(q/2) = k cd(t, k^2) with k = sin(q(0)/2), a textbook result."""
    net = PendulumNetwork(1, duration=4.0, n_steps=60).double()
    zero = torch.zeros(1, 1, dtype=torch.float64)
    k = math.sin(start / 2)
    _, cn, dn, _ = ellipj(4.0, k**2)
    expected = 2.0 * math.asin(k * cn / dn)
    # 60 steps of 1/15: (1/15)^5 is 1e-6, the constant is below 1
    assert net(zero + start, zero, zero[0]).item() == pytest.approx(expected, abs=1e-6)


def test_a_lone_pendulum_returns_after_its_period() -> None:
    start = 2.0
    net = PendulumNetwork(1, duration=4.0 * float(ellipk(math.sin(start / 2) ** 2)), n_steps=120).double()
    zero = torch.zeros(1, 1, dtype=torch.float64)
    # steps of 0.08 at a turning point, where a phase error counts twice: (0.08)^5 = 3e-6
    assert net(zero + start, zero, zero[0]).item() == pytest.approx(start, abs=3e-6)


def test_springs_do_nothing_between_pendula_that_swing_alike() -> None:
    net = PendulumNetwork(5, duration=1.0, n_steps=10).double()
    coupling, torque = settings(5)
    coupling.fill_diagonal_(0.0)
    angle = torch.full((1, 5), 0.7, dtype=torch.float64)
    alone = net(angle, torch.zeros_like(coupling), torch.zeros_like(torque))
    torch.testing.assert_close(net(angle, coupling, torch.zeros_like(torque)), alone, rtol=0.0, atol=1e-13)
    assert (net(angle, coupling, torque) - alone).abs().min() > 1e-3


def test_only_the_symmetric_part_of_the_coupling_counts() -> None:
    net, angle = network(), normal(3, 6, seed=4)
    coupling, torque = settings()
    turned = net(angle, coupling.mT.contiguous(), torque)
    torch.testing.assert_close(net(angle, coupling, torque), turned, rtol=1e-12, atol=1e-13)


def test_stray_coupling_adds_to_what_is_set() -> None:
    net, angle = network(nonlinearity=1.0), normal(3, 6, seed=4)
    coupling, torque = settings()
    ideal = PendulumNetwork(6, duration=0.5, n_steps=3).double()
    torch.testing.assert_close(net(angle, coupling, torque), ideal(angle, coupling + net.stray_coupling, torque))
    assert (net(angle, coupling, torque) - ideal(angle, coupling, torque)).abs().max() > 1e-3


def test_any_number_of_batch_dimensions_will_do() -> None:
    net, angle = network(), normal(2, 3, 6, seed=4)
    y = net(angle, *settings())
    alone = torch.stack([torch.stack([net(one, *settings()) for one in row]) for row in angle])
    torch.testing.assert_close(y, alone, rtol=1e-12, atol=1e-13)


def test_gradients_are_those_of_finite_differences() -> None:
    net = network(3, n_steps=2)
    names = ("stray_coupling", "nonlinearity")
    values = [getattr(net, name).clone().requires_grad_() for name in names]
    inputs = [t.requires_grad_() for t in (normal(2, 3, seed=4), *settings(3))]

    def run(stray: Tensor, nonlinearity: Tensor, *given: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, (stray, nonlinearity), strict=True)), given)

    assert torch.autograd.gradcheck(run, (*values, *inputs))
    assert torch.autograd.gradgradcheck(run, (*values, *inputs))


def test_a_parameter_is_learned_and_a_tensor_is_not() -> None:
    stray = nn.Parameter(normal(4, 4, seed=3))
    twin = PendulumNetwork(4, stray_coupling=stray, nonlinearity=1.2, duration=0.5, n_steps=3)
    assert [name for name, _ in twin.named_parameters()] == ["stray_coupling"]
    twin(normal(3, 4, seed=4), *settings(4)).square().sum().backward()
    assert stray.grad is not None
    assert stray.grad.norm() > 1e-3
    torch.testing.assert_close(stray.grad, stray.grad.mT)


def test_mismatch_has_the_spread_asked_for() -> None:
    n = 80
    nominal = PendulumNetwork(n, duration=0.5, n_steps=3).double()
    other = nominal.perturbed(0.2, 0.1, seeded())
    assert nominal.stray_coupling.abs().max() == 0.0, "the nominal network stays as it is"
    assert nominal.nonlinearity.item() == 1.0
    # four standard errors of a standard deviation
    assert other.stray_coupling.std().item() == pytest.approx(0.2, rel=4.0 / math.sqrt(2.0 * n**2))
    assert other.nonlinearity.item() == pytest.approx(1.1)
    assert (other.duration, other.n_steps) == (nominal.duration, nominal.n_steps)
    again = nominal.perturbed(0.2, 0.1, seeded())
    assert torch.equal(again.stray_coupling, other.stray_coupling)


def test_mismatch_keeps_what_is_learned_learned() -> None:
    twin = PendulumNetwork(4, nonlinearity=nn.Parameter(torch.tensor(1.0)), duration=0.5, n_steps=3)
    assert [name for name, _ in twin.perturbed(0.1, 0.0, seeded()).named_parameters()] == ["nonlinearity"]


def test_single_precision_agrees_with_double() -> None:
    net, angle = network(), normal(3, 6, seed=4)
    y = net(angle, *settings())
    single = net.float()(angle.float(), *(t.float() for t in settings()))
    # 12 evaluations with rounding errors of 6e-8 each, of forces of a few units
    torch.testing.assert_close(single.double(), y, rtol=0.0, atol=2e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_runs_on_a_gpu() -> None:
    net, angle = network(), normal(3, 6, seed=4)
    y = net(angle, *settings())
    on_gpu = net.cuda()(angle.cuda(), *(t.cuda() for t in settings()))
    torch.testing.assert_close(on_gpu.cpu(), y, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "wrong",
    [((3, 5), (6, 6), (6,)), ((3, 6), (5, 6), (6,)), ((3, 6), (6, 6), (1, 6))],
    ids=["angles", "coupling", "torques"],
)
def test_wrong_shapes_are_named(wrong: tuple[tuple[int, ...], ...]) -> None:
    found = " and ".join(str(shape) for shape in wrong[1:])
    with pytest.raises(ValueError, match="shapes") as caught:
        network()(*(torch.zeros(shape, dtype=torch.float64) for shape in wrong))
    assert f"shapes {wrong[0]}, {found}, expected (..., 6), (6, 6) and (6,)" in str(caught.value)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="duration is -1, expected"):
        network(duration=-1.0)
    with pytest.raises(ValueError, match=r"coupling_std is -0\.1"):
        network().perturbed(-0.1, 0.0, seeded())
    with pytest.raises(ValueError, match=r"stray_coupling has shape \(2, 6\), expected \(6, 6\)"):
        PendulumNetwork(6, stray_coupling=torch.zeros(2, 6), duration=0.5, n_steps=3)
