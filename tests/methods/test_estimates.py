"""Gradients that are estimated from losses, against what can be said on paper."""

import math

import pytest
import torch
from torch import Tensor

from pnnlab.methods import (
    FiniteDifferences,
    FiniteDifferencesOptions,
    ForwardGradient,
    ForwardGradientOptions,
    MethodOptions,
    Multiplexed,
    MultiplexedOptions,
    Pepg,
    PepgOptions,
    PolicyGradient,
    PolicyGradientOptions,
    RandomDirection,
    RandomDirectionOptions,
    Spsa,
    SpsaOptions,
    WeightPerturbation,
    WeightPerturbationOptions,
)
from pnnlab.methods._estimate import EstimatedGradient
from pnnlab.methods.multiplexed import code_period, codes
from tests.methods.set_ups import descended, estimated, mean_output, of_controls, one_sample, quadratic, setting


def cosine(one: Tensor, other: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one.double(), other.double(), dim=0))


@pytest.mark.parametrize(("n", "directions"), [(10, 10), (100, 10), (100, 100), (1000, 30)])
def test_spsa_points_along_the_gradient_as_well_as_theory_says(n: int, directions: int) -> None:
    """E[cos] = √(N / (N + P - 1)) for Rademacher directions; the published check finds it to 0.02 for N >= 10."""
    cosines = []
    for repeat in range(20):
        gradient = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(repeat))
        method = Spsa(SpsaOptions(directions=directions))
        method.prepare(of_controls(lambda z, g=gradient: z @ g, n), setting(seed=repeat))
        _, found = method.estimate(lambda z, g=gradient: z.double() @ g)
        assert found is not None
        cosines.append(cosine(found, gradient))
    assert sum(cosines) / 20 == pytest.approx(math.sqrt(directions / (directions + n - 1)), rel=0.1)


@pytest.mark.parametrize("options", [{}, {"update": "gains", "first_step": 0.05}, {"groups": 15}, {"repeats": 2}])
def test_spsa_descends(options: dict[str, object]) -> None:
    value, _ = quadratic(20)
    losses = descended(Spsa(SpsaOptions.model_validate(options)), of_controls(value, 20), 80, learning_rate=0.15)
    assert losses[-1] < losses[0] - 0.5 * abs(losses[0])


def test_spalls_gains_begin_with_the_step_that_was_asked_for_and_fall() -> None:
    """a_k = a / (k + 1 + A)^0.602 with A a tenth of the steps: the step after the first of 100 is (11 / 12)^0.602."""
    slope = torch.ones(20, dtype=torch.float64)
    model = of_controls(lambda z: z @ slope, 20)
    method = Spsa(SpsaOptions(update="gains", first_step=0.03))
    method.prepare(model, setting(100))
    optimiser, sizes = torch.optim.SGD(model.parameters(), lr=0.1), []
    method.signs = lambda count: torch.ones(count, 20)  # type: ignore[method-assign]
    for _ in range(2):
        before = model[0].raw_controls.detach().clone()
        method.step(model, *one_sample(), mean_output, optimiser)
        sizes.append(float((before - model[0].raw_controls.detach()).mean()))
    assert sizes == pytest.approx([0.03, 0.03 * (11 / 12) ** 0.602], rel=1e-6)


def test_spsa_needs_two_losses_a_direction() -> None:
    model = of_controls(quadratic(20)[0], 20)
    estimated(Spsa(SpsaOptions(directions=3, repeats=2)), model)
    assert model[0].system.n_shots == 2 * 3 * 2  # type: ignore[union-attr]


def test_finite_differences_are_exact_on_a_quadratic_and_cost_two_losses_a_control() -> None:
    value, gradient = quadratic(7)
    model = of_controls(value, 7)
    found = estimated(FiniteDifferences(FiniteDifferencesOptions(perturbation=0.3, coordinates=None)), model)
    torch.testing.assert_close(found, gradient(model[0].raw_controls.detach()), rtol=1e-9, atol=1e-9)
    assert model[0].system.n_shots == 14  # type: ignore[union-attr]


def test_finite_differences_converge_as_the_square_of_the_perturbation() -> None:
    errors = []
    for c in (0.1, 0.05, 0.025):
        model = of_controls(lambda z: z.sin().sum(-1), 5)
        found = estimated(FiniteDifferences(FiniteDifferencesOptions(perturbation=c, coordinates=None)), model)
        errors.append(float((found - model[0].raw_controls.detach().cos()).norm()))
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([4, 4], rel=0.01)


def test_some_coordinates_a_step_come_to_all_of_them_before_any_comes_twice() -> None:
    value, gradient = quadratic(7)
    model = of_controls(value, 7)
    method = FiniteDifferences(FiniteDifferencesOptions(coordinates=3))
    method.prepare(model, setting())
    z = model[0].raw_controls.detach()
    visits = torch.zeros(7, dtype=torch.int64)
    for _ in range(14):
        _, found = method.estimate(value)
        assert found is not None and int(found.count_nonzero()) == 3
        torch.testing.assert_close(found[found != 0], gradient(z)[found != 0], rtol=1e-6, atol=1e-9)
        visits += found != 0
        assert int(visits.max() - visits.min()) <= 1
    assert set(visits.tolist()) == {6}


def test_sequential_multiplexing_is_finite_differences_exactly() -> None:
    """One control after the other, against the unperturbed loss: one-sided differences of any function."""
    model = of_controls(lambda z: (z.sin() * z.roll(1, -1)).sum(-1), 6)
    z, c = model[0].raw_controls.detach().clone(), 0.1
    options = MultiplexedOptions(code="sequential", window=None, perturbation=c)
    found = estimated(Multiplexed(options), model)

    def value(z: Tensor) -> Tensor:
        return (z.sin() * z.roll(1, -1)).sum(-1)

    by_hand = (value(z + c * torch.eye(6, dtype=torch.float64)) - value(z)) / c
    torch.testing.assert_close(found, by_hand, rtol=1e-9, atol=1e-9)
    assert model[0].system.n_shots == 7  # type: ignore[union-attr]
    windows = options.model_copy(update={"window": 2, "windows": 3})
    model = of_controls(value, 6)
    torch.testing.assert_close(estimated(Multiplexed(windows), model, steps=3), by_hand, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("code", ["walsh", "sinusoidal"])
@pytest.mark.parametrize("n", [1, 5, 8, 13])
def test_a_period_of_orthogonal_codes_is_exact_on_a_quadratic(code: str, n: int) -> None:
    value, gradient = quadratic(n)
    model = of_controls(value, n)
    options = MultiplexedOptions.model_validate({"code": code, "window": None, "perturbation": 0.4})
    found = estimated(Multiplexed(options), model)
    torch.testing.assert_close(found, gradient(model[0].raw_controls.detach()), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("code", ["walsh", "sinusoidal"])
def test_codes_are_orthogonal_of_unit_power_and_each_is_followed_by_its_negative(code: str) -> None:
    n = 11
    period = code_period(code, n)  # type: ignore[arg-type]
    found = codes(code, n, torch.arange(period)).double()  # type: ignore[arg-type]
    torch.testing.assert_close(found.T @ found / period, torch.eye(n).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found[0::2], -found[1::2], rtol=0, atol=1e-12)


def test_drift_does_not_reach_the_gradient_where_codes_come_with_their_negatives() -> None:
    """The loss drifts by as much in a perturbation as the perturbation changes it."""
    value, gradient = quadratic(8)
    cosines = {}
    for code in ("sequential", "walsh"):
        model = of_controls(value, 8)
        z = model[0].raw_controls.detach()
        method = Multiplexed(MultiplexedOptions.model_validate({"code": code, "window": None, "perturbation": 0.01}))
        method.prepare(model, setting())
        drift = 0.01 * float(gradient(z).norm())
        _, found = method.estimate(lambda c, drift=drift: value(c) + drift * torch.arange(len(c)))
        assert found is not None
        cosines[code] = cosine(found, gradient(z))
    assert cosines["walsh"] > 0.999 > 0.5 > cosines["sequential"]


def test_the_high_pass_filter_takes_a_slow_drift_away() -> None:
    value, gradient = quadratic(8)
    cosines = []
    for highpass in (None, 3.0):
        model = of_controls(value, 8)
        z = model[0].raw_controls.detach()
        options = MultiplexedOptions(code="random", window=400, perturbation=0.01, highpass=highpass)
        (method := Multiplexed(options)).prepare(model, setting())
        drift = 0.01 * float(gradient(z).norm())
        _, found = method.estimate(lambda c, drift=drift: value(c) + drift * torch.arange(len(c)))
        assert found is not None
        cosines.append(cosine(found, gradient(z)))
    assert cosines[1] > 0.8 > 0.5 > cosines[0]


UNBIASED = [
    ForwardGradient(ForwardGradientOptions(derivative="measured", perturbation=0.3, directions=1000)),
    Pepg(PepgOptions(perturbation=0.3, pairs=1000, width_rate=0.0)),
    PolicyGradient(PolicyGradientOptions(perturbation=0.3, draws=2000)),
    RandomDirection(RandomDirectionOptions(perturbation=0.3, directions=1000)),
    Spsa(SpsaOptions(perturbation=0.3, directions=1000)),
    WeightPerturbation(WeightPerturbationOptions(perturbation=0.3, perturbations=2000)),
]


@pytest.mark.parametrize("method", UNBIASED, ids=lambda method: method.name)
def test_the_mean_of_many_estimates_is_the_gradient_of_a_quadratic(method: EstimatedGradient) -> None:
    """The mean over the cloud has the gradient of its middle where the loss is quadratic, however wide the cloud is."""
    value, gradient = quadratic(6)
    model = of_controls(value, 6)
    method.prepare(model, setting())
    method._count = 2000  # type: ignore[attr-defined] # of the policy gradient: parts of the batch
    true = gradient(model[0].raw_controls.detach())
    found = []
    for _ in range(30):
        _, one = method.estimate(value)
        assert one is not None
        found.append(one)
    mean, error = torch.stack(found).mean(0), torch.stack(found).std(0) / 30**0.5
    assert float(((mean - true) / error).abs().max()) < 4  # 30 estimates and 6 components: 3.1 in the mean
    assert float((mean - true).norm() / true.norm()) < 0.1


@pytest.mark.parametrize("groups", [None, 4])
def test_the_forward_gradient_through_a_twin_is_measured_once_and_is_the_gradient_in_the_mean(
    groups: int | None,
) -> None:
    value, gradient = quadratic(6)
    model = of_controls(value, 6)
    method = ForwardGradient(ForwardGradientOptions(directions=2000, groups=groups))
    true = gradient(model[0].raw_controls.detach())
    found = estimated(method, model)
    assert model[0].system.n_shots == 1  # type: ignore[union-attr]
    if groups is not None:
        # what a group's own numbers say, each has in the mean of the group
        (at,) = method.controls.directions(torch.eye(4, dtype=torch.float64)[:1])[0].values()
        assert float(found @ at) == pytest.approx(float(true @ at), abs=0.2 * float(true.norm()))
        return
    assert float((found - true).norm() / true.norm()) < 0.12  # √(7 / 2000) = 0.06 in the mean


def test_pepg_widens_where_the_loss_falls_away_from_the_middle_and_narrows_where_it_rises() -> None:
    widths = []
    for sign in (1.0, -1.0):
        curvature = torch.tensor([1.0, 0.0], dtype=torch.float64) * sign
        model = of_controls(lambda z, k=curvature: (k * z.square()).sum(-1), 2)
        with torch.no_grad():
            model[0].raw_controls.zero_()  # type: ignore[operator, union-attr]
        method = Pepg(PepgOptions(perturbation=0.1, pairs=200, width_rate=0.2))
        method.prepare(model, setting())
        for _ in range(5):
            method.estimate(lambda z, k=curvature: (k * z.square()).sum(-1))
        widths.append(method._width / 0.1)
    assert float(widths[0][0]) < 0.7 and float(widths[1][0]) > 1.4
    assert 0.8 < float(widths[0][1]) < 1.25


def test_pepg_does_not_narrow_below_its_least_width() -> None:
    model = of_controls(lambda z: z.square().sum(-1), 2)
    with torch.no_grad():
        model[0].raw_controls.zero_()  # type: ignore[operator, union-attr]
    method = Pepg(PepgOptions(perturbation=0.1, pairs=50, least_width=0.5, width_rate=0.5))
    method.prepare(model, setting())
    for _ in range(20):
        method.estimate(lambda z: z.square().sum(-1))
    assert method._width.tolist() == pytest.approx([0.05, 0.05])


def test_the_policy_gradient_costs_one_pass_of_the_batch_whatever_is_drawn() -> None:
    model = of_controls(quadratic(6)[0], 6)
    method = PolicyGradient(PolicyGradientOptions(draws=4))
    method.prepare(model, setting())
    x, target = torch.zeros(10, 1, dtype=torch.float64), torch.zeros(10)
    method.step(model, x, target, mean_output, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model[0].system.n_shots == 10  # type: ignore[union-attr]
    method.step(model, x[:3], target[:3], mean_output, torch.optim.SGD(model.parameters(), lr=0.1))
    assert model[0].system.n_shots == 13  # type: ignore[union-attr]


DESCENDING: dict[str, tuple[type[EstimatedGradient], MethodOptions]] = {
    "finite differences": (FiniteDifferences, FiniteDifferencesOptions(coordinates=4)),
    "multiplexed": (Multiplexed, MultiplexedOptions()),
    "random direction": (RandomDirection, RandomDirectionOptions()),
    "weight perturbation": (WeightPerturbation, WeightPerturbationOptions()),
    "pepg": (Pepg, PepgOptions()),
}


@pytest.mark.parametrize("name", DESCENDING)
@pytest.mark.parametrize("shared", [True, False])
def test_it_descends(name: str, shared: bool) -> None:
    kind, options = DESCENDING[name]
    losses = descended(kind(options), of_controls(quadratic(8)[0], 8, shared=shared), 50, learning_rate=0.15)
    assert losses[-1] < losses[0] - 0.5 * abs(losses[0])
