import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

from pnnlab.physics import OscillatorNetwork

QUANTITIES = ("frequency", "damping", "cubic", "coupling", "input_gain", "output_gain")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(n: int = 6, *, seed: int = 0, **settings: float) -> OscillatorNetwork:
    return OscillatorNetwork.random(n, 2, 3, seeded(seed), dtype=torch.float64, **settings)


def drive(batch: int, n_samples: int, *, seed: int = 1) -> Tensor:
    return 2.0 * torch.rand(batch, n_samples, 2, generator=seeded(seed), dtype=torch.float64) - 1.0


def runge_kutta(net: OscillatorNetwork, u: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The class docstring's equations, written out again and solved with an eighth-order method."""
    f, g, b, K, B, C = (getattr(net, name).numpy() for name in QUANTITIES)
    n = f.size
    span = 2.0 * math.pi * net.reference_hz / net.sample_rate_hz
    pole = net.bandwidth_hz / net.reference_hz
    state, positions = np.zeros(2 * n + u.shape[1]), []
    for held in u.numpy():

        def rates(_: float, z: np.ndarray, held: np.ndarray = held) -> np.ndarray:
            x, p, a = z[:n], z[n : 2 * n], z[2 * n :]
            springs = (K * (x[:, None] - x[None, :])).sum(1)
            return np.concatenate((p, B @ a - g * p - f**2 * x - b * x**3 - springs, pole * (held - a)))

        state = solve_ivp(rates, (0.0, span), state, method="DOP853", rtol=1e-10, atol=1e-13).y[:, -1]
        positions.append(state[:n])
    limit = net.saturation_v
    return limit * np.tanh(np.array(positions) @ C.T / limit), state


def test_converges_to_a_runge_kutta_solution_with_second_order() -> None:
    net, u = network(), drive(1, 40)
    reference, reference_state = runge_kutta(net, u[0])
    errors = []
    for substeps in (8, 16, 32, 64):
        net.substeps = substeps
        v, state = net(u)
        errors.append(np.sqrt(np.mean((v[0].numpy() - reference) ** 2)) / reference.std())
    # the class docstring's statement for the default of 8
    assert errors[0] < 5e-3
    # second order: a quarter for each halving of the step, up to higher orders that fade with it
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios, 4.0, rtol=0.05)
    np.testing.assert_allclose(state[0].numpy(), reference_state, atol=4.0 * errors[-1])


def test_a_linear_network_is_exact_with_one_substep() -> None:
    net, u = network(cubic=0.0, substeps=1), drive(1, 30)
    reference, reference_state = runge_kutta(net, u[0])
    v, state = net(u)
    # the Runge-Kutta tolerance of 1e-10 a step, over 30 steps of a damped system
    np.testing.assert_allclose(v[0].numpy(), reference, atol=1e-8)
    np.testing.assert_allclose(state[0].numpy(), reference_state, atol=1e-8)


def test_the_cubic_matters_with_the_defaults() -> None:
    u = drive(4, 60)
    v, _ = network()(u)
    linear, _ = network(cubic=0.0)(u)
    assert ((v - linear).std() / v.std()).item() > 0.1


def test_a_shot_continues_from_the_state_of_the_last() -> None:
    net, u = network(), drive(3, 20)
    whole, whole_state = net(u)
    first, state = net(u[:, :7])
    second, end = net(u[:, 7:], state)
    # the halves of the kick at the joint are rounded apart
    torch.testing.assert_close(torch.cat((first, second), dim=1), whole, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(end, whole_state, rtol=1e-12, atol=1e-13)


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    net, u = network(), drive(5, 12)
    together, _ = net(u)
    alone = torch.cat([net(sample.unsqueeze(0))[0] for sample in u])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-14)


def test_output_answers_a_drive_only_from_its_own_sample_on() -> None:
    net, u = network(), drive(1, 10)
    later = u.clone()
    later[:, 6] += 1.0
    change = (net(later)[0] - net(u)[0]).abs().amax(dim=(0, 2))
    assert change[:6].max() == 0.0
    assert change[6:].min() > 0.0


def test_output_saturates() -> None:
    net = network(saturation_v=0.01)
    v, _ = net(drive(4, 50))
    assert 0.009 < v.abs().max() <= 0.01


def test_gradients_are_those_of_finite_differences() -> None:
    net = OscillatorNetwork.random(2, 1, 2, seeded(), dtype=torch.float64, substeps=2)
    u = torch.randn(2, 3, 1, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, net.state_size, generator=seeded(2), dtype=torch.float64, requires_grad=True)
    values = [getattr(net, name).clone().requires_grad_() for name in QUANTITIES]

    def run(u: Tensor, state: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.functional_call(net, dict(zip(QUANTITIES, values, strict=True)), (u, state))

    assert torch.autograd.gradcheck(run, (u, state, *values))


def test_a_parameter_is_learned_and_a_tensor_is_not() -> None:
    nominal = network()
    values = [getattr(nominal, name).clone() for name in QUANTITIES]
    values[1] = nn.Parameter(values[1])
    twin = OscillatorNetwork(
        *values, reference_hz=1e3, sample_rate_hz=8e3, bandwidth_hz=3e3, saturation_v=5.0, substeps=8
    )
    assert [name for name, _ in twin.named_parameters()] == ["damping"]
    u = drive(2, 10)
    v, _ = twin(u)
    torch.testing.assert_close(v, nominal(u)[0])
    v.square().sum().backward()
    assert twin.damping.grad is not None
    assert twin.damping.grad.abs().min() > 0.0


def test_a_changed_component_is_noticed() -> None:
    net, u = network(), drive(1, 10)
    before, _ = net(u)
    with torch.no_grad():
        net.damping.mul_(2.0)
    after, _ = net(u)
    values = [getattr(net, name).clone() for name in QUANTITIES]
    fresh = OscillatorNetwork(*values, reference_hz=1e3, sample_rate_hz=8e3, bandwidth_hz=3e3, saturation_v=5.0)
    torch.testing.assert_close(after, fresh(u)[0])
    assert (after - before).abs().max() > 1e-3


def test_a_shot_in_inference_mode_leaves_training_possible() -> None:
    net, u = network(), drive(1, 5)
    with torch.inference_mode():
        net(u.clone())
    u.requires_grad_()
    net(u)[0].sum().backward()
    assert u.grad is not None


def test_components_spread_by_the_strength_asked_for() -> None:
    net = OscillatorNetwork.random(60, 20, 30, seeded(), dtype=torch.float64)
    before = {name: getattr(net, name).clone() for name in QUANTITIES}
    other = net.perturbed(0.05, seeded(3))
    for name in QUANTITIES:
        old, new = before[name], getattr(other, name)
        assert torch.equal(getattr(net, name), old), "the nominal network stays as it is"
        spread = torch.log(new[old != 0.0] / old[old != 0.0])
        n = spread.numel() / (2 if name == "coupling" else 1)  # each spring appears twice
        # four standard errors of a standard deviation and of a mean
        assert abs(spread.std().item() / 0.05 - 1.0) < 4.0 / math.sqrt(2.0 * n)
        assert abs(spread.mean().item()) < 4.0 * 0.05 / math.sqrt(n)
    assert torch.equal(other.coupling, other.coupling.mT)


def test_no_spread_is_the_same_board() -> None:
    net, u = network(), drive(1, 10)
    assert torch.equal(net.perturbed(0.0, seeded())(u)[0], net(u)[0])


def test_mismatch_shows_in_the_output() -> None:
    net, u = network(), drive(4, 60)
    v, _ = net(u)
    other, _ = net.perturbed(0.05, seeded(5))(u)
    assert 0.02 < ((other - v).std() / v.std()).item() < 1.0


def test_single_precision_agrees_with_double() -> None:
    net, u = network(), drive(2, 40)
    v, _ = net(u)
    single, _ = net.float()(u.float())
    # 320 steps with rounding errors of 6e-8 each, in a damped system
    torch.testing.assert_close(single.double(), v, rtol=0.0, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_runs_on_a_gpu() -> None:
    net, u = network(), drive(2, 20)
    v, _ = net(u)
    torch.testing.assert_close(net.cuda()(u.cuda())[0].cpu(), v, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("shape", "state_shape"),
    [((3, 4), None), ((3, 4, 5), None), ((3, 0, 2), None), ((3, 4, 2), (3, 5))],
    ids=["no batch", "wrong channels", "no sample", "wrong state"],
)
def test_wrong_shapes_are_named(shape: tuple[int, ...], state_shape: tuple[int, ...] | None) -> None:
    wrong = state_shape or shape
    with pytest.raises(ValueError, match=r"oscillator network: .* has shape \(" + ", ".join(map(str, wrong))):
        network()(torch.zeros(shape, dtype=torch.float64), None if state_shape is None else torch.zeros(state_shape))


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="bandwidth_hz is 0, expected"):
        network(bandwidth_hz=0.0)
    with pytest.raises(ValueError, match=r"component spread is -0\.1"):
        network().perturbed(-0.1, seeded())
    values = [getattr(network(), name) for name in QUANTITIES]
    values[3] = values[3][:2]
    with pytest.raises(ValueError, match=r"coupling has shape \(2, 6\), expected \(6, 6\)"):
        OscillatorNetwork(*values, reference_hz=1e3, sample_rate_hz=8e3, bandwidth_hz=3e3, saturation_v=5.0)
