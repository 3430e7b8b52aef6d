"""Methods that go through a twin: each does what its equation says."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import RunError, TwinError
from pnnlab.methods import (
    DualAdaptive,
    Hybrid,
    MeasuredActivations,
    OnlinePhysicsAware,
    PhotonCounting,
    PhysicsAware,
    QuantisationAware,
    RobustInSilico,
    Setting,
    SharpnessAware,
    StateSeparation,
    TrainingMethod,
    backward,
    make_method,
    physical_layers,
)
from pnnlab.methods._error_network import DenseErrors, UNetErrors
from pnnlab.methods._perturbation import PerturbedTwin
from pnnlab.methods.quantisation_aware import quantised
from pnnlab.methods.robust_in_silico import DeviceErrors
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.systems import Capability
from pnnlab.twins import EnsembleTwin, Interface, OpticalTwin, OpticalTwinConfig, StagedTwin
from scripts.setups import FunctionSystem, layer_from
from scripts.setups.mismatched_digits import Bench, NominalLayer, digits

CROSS_ENTROPY = nn.functional.cross_entropy


def some_digits(n: int = 32) -> tuple[Tensor, Tensor]:
    x, y = digits().train
    return x[:n], y[:n]


def prepared(method: TrainingMethod, model: nn.Module, n_steps: int = 10) -> torch.optim.Optimizer:
    method.prepare(model, Setting(64, 10, n_steps, 2e-3, falls=False))
    return torch.optim.Adam([layer.raw_controls for layer in physical_layers(model)], lr=2e-3)


def gradients(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    model.zero_grad()
    backward(model, x, y, CROSS_ENTROPY)
    return [layer.raw_controls.grad.clone() for layer in physical_layers(model)]  # type: ignore[union-attr]


# Perturbed twins


def optics() -> OpticalTwin:
    config = OpticalTwinConfig(macropixels=(4, 4), outputs=(4, 4), seed=3, brightness=0.02)
    return OpticalTwin(config, Interface(((16,),), (16,), periodic=True))


def perturbed(**options: float) -> PerturbedTwin:
    off = dict.fromkeys(("control_gain", "control_offset", "row_gain", "row_offset", "output_noise"), 0.0)
    chosen = RobustInSilico.Options.model_validate(off | options)
    return PerturbedTwin(optics(), DeviceErrors(chosen, torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("error", ["control_gain", "control_offset", "row_gain", "row_offset"])
def test_all_shots_of_a_batch_meet_one_device_and_the_next_batch_another(error: str) -> None:
    twin, turns = perturbed(**{error: 0.1}), torch.rand(1, 16).expand(3, 16)
    plain = twin(turns)
    torch.testing.assert_close(plain, optics()(turns))  # it is itself while nothing is drawn
    twin.active = True
    first, again = twin(turns), twin(turns)
    twin.perturbation.renew()
    other = twin(turns)
    torch.testing.assert_close(first, again)
    torch.testing.assert_close(first, first[:1].expand(3, 16))
    assert not torch.allclose(first, plain, rtol=1e-3) and not torch.allclose(first, other, rtol=1e-3)


def test_errors_have_the_sizes_that_are_asked_for() -> None:
    twin, turns = perturbed(row_gain=0.3), torch.rand(2, 16)
    twin.active = True
    ratios = []
    for _ in range(200):
        twin.perturbation.renew()
        ratios.append((twin(turns) / optics()(turns)).detach())
    # intensity goes with the square of the field's gain
    assert float(torch.stack(ratios).log().std()) == pytest.approx(0.6, rel=0.05)


def test_a_panel_that_is_a_whole_pixel_off_shows_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    twin, turns = perturbed(shift=1.0), torch.rand(2, 16)
    monkeypatch.setattr(twin.perturbation, "device", lambda what, like: torch.tensor([1.0, 2.0]))
    twin.active = True
    rolled = turns.unflatten(-1, (4, 4)).roll((1, 2), (1, 2)).flatten(1)
    torch.testing.assert_close(twin(turns), optics()(rolled), rtol=1e-3, atol=1e-5)


def test_a_shift_wants_a_panel() -> None:
    bench = Bench(0.0)
    method = make_method("robust_in_silico", {"shift": 0.5})
    optimiser = prepared(method, bench.model)
    with pytest.raises(TwinError, match="`shift` displaces a panel of phases, NominalLayer has none"):
        method.step(bench.model, *some_digits(), CROSS_ENTROPY, optimiser)


@pytest.mark.parametrize("name", ["robust_in_silico", "noise_injection", "quantisation_aware", "sharpness_aware"])
def test_no_shot_is_taken_and_prediction_is_the_twins_own(name: str) -> None:
    bench, plain = Bench(0.4), Bench(0.4)
    method = make_method(name)
    optimiser = prepared(method, bench.model)
    for _ in range(3):
        method.step(bench.model, *some_digits(), CROSS_ENTROPY, optimiser)
    assert sum(system.n_shots for system in bench.lab.systems.values()) == 0
    x, _ = some_digits()
    prepared(make_method("in_silico"), plain.model)
    for ours, theirs in zip(physical_layers(plain.model), physical_layers(bench.model), strict=True):
        ours.raw_controls.data.copy_(theirs.raw_controls.data)
    torch.testing.assert_close(method.predict(bench.model, x), plain.model(x))


def test_converters_round_forwards_and_pass_backwards() -> None:
    values = torch.linspace(-1.2, 1.2, 1001, requires_grad=True)
    rounded = quantised(values, 3)
    assert (
        len(rounded.detach().unique()) == 2 * 10 + 1 and float((rounded - values).detach().abs().max()) <= 1 / 16 + 1e-6
    )
    (slope,) = torch.autograd.grad(rounded.sum(), values)
    torch.testing.assert_close(slope, torch.ones(1001))
    converters = QuantisationAware.perturbation(QuantisationAware.Options(), torch.Generator())
    out = converters.output(values)
    assert float(out.detach().max()) == 1 and len(out.detach().unique()) <= 2**8 + 1
    (slope,) = torch.autograd.grad(out.sum(), values)
    torch.testing.assert_close(slope, (values.abs() <= 1).float())


def test_the_sharpness_aware_step_is_taken_with_the_gradient_at_the_worst_place_nearby() -> None:
    bench, x_y = Bench(0.0), some_digits()
    method = SharpnessAware(SharpnessAware.Options(radius=0.3))
    prepared(method, bench.model)
    layers = physical_layers(bench.model)
    start = [layer.raw_controls.detach().clone() for layer in layers]
    first = gradients(bench.model, *x_y)
    length = math.sqrt(sum(float(g.square().sum()) for g in first))
    for layer, g in zip(layers, first, strict=True):
        layer.raw_controls.data.add_(0.3 * g / length)
    second = gradients(bench.model, *x_y)
    for layer, theta in zip(layers, start, strict=True):
        layer.raw_controls.data.copy_(theta)
    metrics = method.step(
        bench.model, *x_y, CROSS_ENTROPY, torch.optim.SGD([layer.raw_controls for layer in layers], lr=1.0)
    )
    for layer, theta, g in zip(layers, start, second, strict=True):
        torch.testing.assert_close(layer.raw_controls.detach(), theta - g)
    assert metrics["sharpness"] > 0


def test_hybrid_training_takes_its_first_shot_when_the_bench_takes_over() -> None:
    bench = Bench(0.2)
    method = Hybrid(Hybrid.Options(in_silico_share=0.4))
    optimiser = prepared(method, bench.model, n_steps=5)
    shots = []
    for _ in range(5):
        method.step(bench.model, *some_digits(), CROSS_ENTROPY, optimiser)
        shots.append(sum(system.n_shots for system in bench.lab.systems.values()))
    assert shots == [0, 0, 96, 192, 288]


# Twins that learn along


def test_the_online_twin_learns_the_device_from_the_shots_that_training_takes() -> None:
    bench, frozen = Bench(0.4), Bench(0.4)
    method = OnlinePhysicsAware(OnlinePhysicsAware.Options(updates=4, twin_learning_rate=1e-2))
    optimiser = prepared(method, bench.model, n_steps=25)
    errors = [method.step(bench.model, *some_digits(), CROSS_ENTROPY, optimiser) for _ in range(25)]
    assert errors[-1]["twin_error_layer-0"] < 0.3 * errors[0]["twin_error_layer-0"]
    aware = PhysicsAware()
    optimiser = prepared(aware, frozen.model)
    for _ in range(25):
        aware.step(frozen.model, *some_digits(), CROSS_ENTROPY, optimiser)
    shots = [[system.n_shots for system in one.lab.systems.values()] for one in (bench, frozen)]
    assert shots[0] == shots[1]
    assert not any(p.requires_grad for layer in physical_layers(bench.model) for p in layer.twin.parameters())  # type: ignore[union-attr]


def test_members_of_an_ensemble_learn_along_each_by_itself() -> None:
    bench = Bench(0.4)
    system = bench.lab.systems["layer-0"]
    members = [NominalLayer(interface_of(system)) for _ in range(2)]
    members[1].gain.data.mul_(0.5)
    model = nn.Sequential(PhysicalLayer(system, EnsembleTwin(list(members))))
    method = OnlinePhysicsAware(OnlinePhysicsAware.Options(twin_learning_rate=1e-2))
    optimiser = prepared(method, model)
    before = [member.gain.detach().clone() for member in members]
    found = [method.step(model, *some_digits(), CROSS_ENTROPY, optimiser) for _ in range(20)]
    assert found[-1]["twin_error_layer-0"] < found[0]["twin_error_layer-0"]
    assert all(not torch.equal(member.gain, old) for member, old in zip(members, before, strict=True))


def test_a_twin_that_cannot_learn_is_refused() -> None:
    bench = Bench(0.4, exact=True)
    with pytest.raises(TwinError, match=r"layer-0: nothing of its twin \(PlantTwin\) can be learned"):
        prepared(OnlinePhysicsAware(), bench.model)


# Measured activations


@pytest.mark.parametrize("mismatch", [0.0, 0.4])
def test_errors_go_back_by_the_matrix_with_slopes_at_measured_activations(mismatch: float) -> None:
    """By hand, as Spall et al. write it."""
    bench, (x, y) = Bench(mismatch), some_digits()
    prepared(MeasuredActivations(), bench.model)
    found = gradients(bench.model, x, y)
    layers = physical_layers(bench.model)
    activations = [x, *(torch.from_numpy(layer.last_measurement.y) for layer in layers)]  # type: ignore[union-attr]
    weights = [(4 * layer.controls.detach() - 2).reshape(layer.system.n_out, -1) for layer in layers]
    error = (activations[3].softmax(-1) - nn.functional.one_hot(y, 10)) / len(x)
    for k in (2, 1, 0):
        if k < 2:
            error = error * (1 - activations[k + 1] ** 2)
        # a raw control r sets the weight 4 σ(r) - 2
        slope = 4 * layers[k].controls.detach() * (1 - layers[k].controls.detach())
        expected = (error.T @ activations[k]).flatten() * slope
        torch.testing.assert_close(found[k], expected, rtol=1e-3, atol=1e-6)
        error = error @ weights[k]
    prepared(PhysicsAware(), bench.model)
    aware = gradients(bench.model, x, y)
    same = torch.allclose(found[0], aware[0], rtol=1e-3, atol=1e-6)
    assert same == (mismatch == 0.0)


# Dual adaptive training, and state separation


class TwoStages(StagedTwin):
    """y = b ∘ (a ∘ (w x) )², with a gain of each stage to learn."""

    n_stages = 2  # type: ignore[assignment]

    def __init__(self, interface: Interface) -> None:
        super().__init__(interface)
        self.first, self.second = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(8))

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        if state is None:
            return self.first * drive[0] * drive[1]
        return self.second * state.square()


def two_stages(*, read: bool = True) -> nn.Sequential:
    """Return a layer on a device whose first stage has a gain of 0.5 and whose second one has 3."""

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> tuple[Tensor, ...]:
        inside = 0.5 * x * theta
        y = 3 * inside.square()
        return (inside, y) if read else (y,)

    system = FunctionSystem(
        physics, (8, 8, 8), reach=2.0, shares_controls=True, state_shapes=((8,),) if read else (), name="deep"
    )
    twin = TwoStages(interface_of(system))
    twin.freeze()
    return nn.Sequential(layer_from(system, twin, torch.full((8,), 0.7)))


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(64, 8, generator=generator) + 0.5, torch.randint(8, (64,), generator=generator)


def test_each_stage_learns_from_the_states_before_and_behind_it() -> None:
    model = two_stages()
    method = StateSeparation(StateSeparation.Options(updates=5, twin_learning_rate=2e-2))
    optimiser = prepared(method, model)
    metrics = [method.step(model, *inputs(), CROSS_ENTROPY, optimiser) for _ in range(200)]
    (layer,) = physical_layers(model)
    twin = layer.twin
    assert isinstance(twin, TwoStages)
    torch.testing.assert_close(twin.first.detach(), torch.full((8,), 0.5), rtol=1e-2, atol=0)
    torch.testing.assert_close(twin.second.detach(), torch.full((8,), 3.0), rtol=1e-2, atol=0)
    assert metrics[-1]["twin_error_deep"] < 0.02


@pytest.mark.parametrize("mode", ["unitary", "separable"])
@pytest.mark.parametrize("read", [True, False])
def test_error_networks_learn_what_the_twin_gets_wrong(mode: str, read: bool) -> None:
    model = two_stages(read=read)
    method = make_method("dual_adaptive", {"mode": mode, "twin_learning_rate": 1e-2, "warm_up": 0})
    optimiser = prepared(method, model, n_steps=150)
    metrics = [method.step(model, *inputs(), CROSS_ENTROPY, optimiser) for _ in range(150)]
    assert metrics[-1]["twin_error"] < 0.2 * metrics[0]["twin_error"]
    (layer,) = physical_layers(model)
    assert isinstance(layer.system, FunctionSystem)
    assert layer.system.n_shots == 150 * 64  # none for the error networks
    base = layer.twin.base  # type: ignore[union-attr]
    assert torch.equal(base.first, torch.ones(8))  # the twin itself is left alone


def test_before_its_networks_have_learned_dual_adaptive_training_is_that_by_measured_activations() -> None:
    found = []
    for method in (DualAdaptive(), MeasuredActivations()):
        bench = Bench(0.4)
        prepared(method, bench.model)
        found.append(gradients(bench.model, *some_digits()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("make", [lambda like: DenseErrors(like, 8), lambda like: UNetErrors(like, (2, 3, 4))])
def test_error_networks_say_nothing_at_first_and_fit_any_state(
    make: Callable[[Tensor], nn.Module], dtype: torch.dtype
) -> None:
    network = make(torch.zeros(1, 64, dtype=dtype))
    state = torch.randn(5, 64, dtype=dtype)
    assert torch.equal(network(state), torch.zeros(5, 64, dtype=dtype))
    nn.init.normal_(list(network.parameters())[-2])
    assert network(state).shape == (5, 64) and network(state).dtype is dtype
    with pytest.raises(TwinError, match="squares of a multiple of 4, found 60"):
        UNetErrors(torch.zeros(1, 60), (2, 3, 4))


def test_a_mode_that_there_is_not_is_told() -> None:
    with pytest.raises(RunError, match="mode"):
        make_method("dual_adaptive", {"mode": "binary"})


# Photons


def photon_layers(*names: str) -> nn.Sequential:
    """Return one diagonal layer a name: y = w x."""

    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        return x * theta

    systems = [FunctionSystem(physics, (8, 8, 8), reach=2.0, shares_controls=True, name=name) for name in names]
    return nn.Sequential(*(layer_from(system, None, torch.linspace(0.1, 1.5, 8)) for system in systems))


def test_the_mean_gradient_of_clicks_is_that_of_their_expectation() -> None:
    """For a loss that is linear in the clicks it is exact: here it is their sum, seen by a layer that multiplies."""
    model = photon_layers("clicking", "last")
    method = PhotonCounting(PhotonCounting.Options(photons=2.0, dark=0.1, repeats=1))
    prepared(method, model)
    x = torch.ones(4000, 8)
    first, last = physical_layers(model)

    def loss(outputs: Tensor, _: Tensor) -> Tensor:
        return outputs.sum(-1).mean()

    backward(model, x, x, loss)
    w = 4 * first.controls - 2
    p = 1 - torch.exp(-(2.0 * w + 0.1))
    weights = (4 * last.controls - 2).detach()
    exact = torch.autograd.grad((p * weights).sum(), first.raw_controls)[0]
    torch.testing.assert_close(first.raw_controls.grad, exact, rtol=1e-4, atol=1e-6)
    # behind the clicks it is random: the mean click
    spread = 5 / math.sqrt(4000) * 0.5
    slope = 4 * last.controls * (1 - last.controls)
    torch.testing.assert_close(last.raw_controls.grad / slope, p, rtol=0, atol=spread)


@pytest.mark.parametrize("repeats", [1, 9])
def test_clicks_are_zero_or_one_and_their_mean_has_fewer_steps_than_repeats(repeats: int) -> None:
    model = photon_layers("clicking", "last")
    method = PhotonCounting(PhotonCounting.Options(predict_repeats=repeats, reads="amplitude"))
    prepared(method, model)
    clicks: list[Tensor] = []
    physical_layers(model)[1].register_forward_pre_hook(lambda layer, inputs: clicks.append(inputs[0]))
    with torch.no_grad():
        method.predict(model, torch.rand(50, 8))
    levels = clicks[0] * repeats
    torch.testing.assert_close(levels, levels.round())
    assert float(levels.min()) >= 0 and float(levels.max()) <= repeats


def test_detectors_of_single_photons_are_asked_several_times() -> None:
    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        p = -torch.expm1(-(x * theta).abs())
        return p if noise is None else torch.bernoulli(p, generator=noise)

    system = FunctionSystem(
        physics, (8, 8, 8), reach=2.0, shares_controls=True, capabilities=frozenset({Capability.SINGLE_PHOTON})
    )
    model = nn.Sequential(layer_from(system, None, torch.linspace(0.1, 1.5, 8)))
    method = PhotonCounting(PhotonCounting.Options(repeats=3, predict_repeats=5))
    optimiser = prepared(method, model)
    method.step(model, torch.rand(10, 8), torch.zeros(10, dtype=torch.int64), CROSS_ENTROPY, optimiser)
    assert system.n_shots == 30
    with torch.no_grad():
        y = method.predict(model, torch.rand(10, 8))
    assert system.n_shots == 80 and y.shape == (10, 8)
    torch.testing.assert_close(5 * y, (5 * y).round())
