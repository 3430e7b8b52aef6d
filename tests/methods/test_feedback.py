"""Methods that replace the backward pass, against their equations written down by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pnnlab.bench import Bench
from pnnlab.errors import RunError, TwinError
from pnnlab.methods import (
    AugmentedDFA,
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    FeedbackAlignment,
    NodePerturbation,
    NodePerturbationOptions,
    Pepita,
    PhysicsAware,
    PredictiveCoding,
    SignSymmetric,
    TargetPropagation,
    TrainingMethod,
    make_method,
)
from pnnlab.nn import PhysicalLayer, cut_at_layers
from tests.methods.networks import Case


def close(found: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def random_matrices(case: Case, stream: int, shapes: list[tuple[int, int]], scales: list[float]) -> list[Tensor]:
    """Return the matrices that a method draws from its stream, one after the other."""
    generator = case.setting.generator(stream)
    return [
        torch.randn(*shape, generator=generator, dtype=torch.float64) / scale
        for shape, scale in zip(shapes, scales, strict=True)
    ]


def test_direct_feedback_alignment_is_its_equation() -> None:
    case = Case()
    case.step(DirectFeedbackAlignment())
    h, e = case.forward(), case.error
    b1, b2 = random_matrices(case, 11, [(3, 6), (3, 4)], [3**0.5] * 2)
    deltas = [e @ b1 * (1 - h[1] ** 2), e @ b2 * (1 - h[2] ** 2), e]
    close(case.gradients, [x.T @ delta for x, delta in zip(h[:-1], deltas, strict=True)])


def test_feedback_alignment_is_its_equation() -> None:
    case = Case()
    case.step(make_method("feedback_alignment", {"derivative": "tanh"}))
    h, e = case.forward(), case.error
    _, b2, b3 = random_matrices(case, 12, [(6, 5), (4, 6), (3, 4)], [6**0.5, 4**0.5, 3**0.5])
    # the last layer's outputs are not tanh, but its derivative was asked for everywhere
    at_2 = (e * (1 - h[3] ** 2)) @ b3
    d2 = at_2 * (1 - h[2] ** 2)
    d1 = (d2 @ b2) * (1 - h[1] ** 2)
    close(case.gradients, [x.T @ delta for x, delta in zip(h[:-1], (d1, d2, e), strict=True)])


def test_sign_symmetric_feedback_has_the_signs_of_the_weights() -> None:
    case = Case()
    case.step(SignSymmetric())
    h, e, w = case.forward(), case.error, case.matrices
    at_2 = e @ w[2].T.sign() / 3**0.5
    at_1 = at_2 @ w[1].T.sign() / 4**0.5
    d2, d1 = at_2 * (1 - h[2] ** 2), at_1 * (1 - h[1] ** 2)
    close(case.gradients, [x.T @ delta for x, delta in zip(h[:-1], (d1, d2, e), strict=True)])


@pytest.mark.parametrize("magnitudes", ["fixed", "each_step"])
def test_random_magnitudes_keep_the_signs(magnitudes: str) -> None:
    case = Case()
    method = make_method("sign_symmetric", {"magnitudes": magnitudes, "refresh": 1})
    case.step(method)
    first = [m.clone() for m in method.state()["magnitudes"]]
    assert all((m >= 0).all() for m in first)
    method.step(
        case.model, case.x, case.target, nn.functional.cross_entropy, torch.optim.SGD(case.model.parameters(), 0)
    )
    same = all(torch.equal(one, other) for one, other in zip(first, method.state()["magnitudes"], strict=True))
    assert same == (magnitudes == "fixed")


def test_random_target_projection_is_its_equation() -> None:
    case = Case()
    case.step(DirectRandomTargetProjection())
    h, t = case.forward(), nn.functional.one_hot(case.target, 3).double() / 7
    b1, b2 = random_matrices(case, 14, [(3, 6), (3, 4)], [3**0.5] * 2)
    deltas = [-t @ b1 * (1 - h[1] ** 2), -t @ b2 * (1 - h[2] ** 2), case.error]
    close(case.gradients, [x.T @ delta for x, delta in zip(h[:-1], deltas, strict=True)])


def test_augmented_dfa_on_weights_asks_nobody_for_a_derivative() -> None:
    case = Case(twins=False)
    case.step(make_method("augmented_dfa", {"trained": "weights"}))
    h, e = case.forward(), case.error
    b1, b2 = random_matrices(case, 22, [(3, 6), (3, 4)], [3**0.5] * 2)
    z = [x @ w for x, w in zip(h[:-1], case.matrices, strict=True)]
    deltas = [e @ b1 * (1 + z[0].cos()) / 2, e @ b2 * (1 + z[1].cos()) / 2, e]
    close(case.gradients, [x.T @ delta for x, delta in zip(h[:-1], deltas, strict=True)])


def test_pepita_is_its_equation() -> None:
    case = Case(reach=math.inf)
    case.step(Pepita())
    h, e = case.forward(), case.error * 7
    (f,) = random_matrices(case, 18, [(3, 5)], [1.0])
    rms = case.x.square().mean(-1, keepdim=True).sqrt()
    h_err = case.forward(case.x + 0.3 * rms * (e @ f))
    deltas = [(a - b) / 7 * (1 - b**2) for a, b in zip(h[1:-1], h_err[1:-1], strict=True)]
    close(case.gradients, [x.T @ delta for x, delta in zip(h_err[:-1], [*deltas, case.error], strict=True)])


def test_pepita_brings_modulated_inputs_back_into_the_range() -> None:
    case = Case(reach=0.95)
    case.step(make_method("pepita", {"strength": 5.0}))  # a refused setpoint would raise
    assert case.systems[0].n_shots == 14


def test_predictive_coding_with_predictions_that_stay_tends_to_backpropagation() -> None:
    case = Case()
    case.step(PhysicsAware())
    exact = case.gradients
    case.step(make_method("predictive_coding", {"measured": False, "iterations": 300, "rate": 0.3, "nudge": 1e-4}))
    for one, other in zip(case.gradients, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-6)


def test_predictive_coding_measures_its_predictions() -> None:
    case = Case()
    case.step(PhysicsAware())
    exact, before = case.gradients, [system.n_shots for system in case.systems]
    case.step(make_method("predictive_coding", {"measured": True, "iterations": 200, "nudge": 1e-4}))
    shots = [system.n_shots - n for system, n in zip(case.systems, before, strict=True)]
    assert shots == [7, 7 * 201, 7 * 201]
    for one, other in zip(case.gradients, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-6)


def test_target_propagation_with_transposed_weights_for_inverses_is_backpropagation() -> None:
    """Not its use, but its arithmetic: behind linear layers G = Wᵀ makes targets of the true gradient."""
    case = Case(sizes=(5, 6, 3))
    case.step(PhysicsAware())
    exact = case.gradients
    method = TargetPropagation()
    method.prepare(case.model, case.setting)
    (inverse,) = method._inverses
    with torch.no_grad():
        inverse.weight.copy_(case.matrices[1])  # type: ignore[operator, union-attr]
        inverse.bias.zero_()  # type: ignore[operator, union-attr]
    optimiser = torch.optim.SGD(case.model.parameters(), lr=0.0)
    method.step(case.model, case.x, case.target, nn.functional.cross_entropy, optimiser)
    close(case.gradients, exact)


def test_a_single_layer_has_no_other_target_than_the_loss() -> None:
    case, other = Case(sizes=(5, 3)), Case(sizes=(5, 3))
    other.step(PhysicsAware())
    case.step(TargetPropagation())
    close(case.gradients, other.gradients)


def test_inverses_learn_from_the_shots_of_training_alone() -> None:
    case = Case()
    method = make_method("target_propagation", {"learning_rate": 0.05, "hidden": 8})
    method.prepare(case.model, replace(case.setting, n_steps=60))
    optimiser = torch.optim.SGD(case.model.parameters(), lr=0.0)

    def reconstruction() -> float:
        h = case.forward()
        inverse, (before, after) = method._inverses[1], method._standards[1:]
        return float((inverse(after(h[3])) - before(h[2])).square().mean().detach())

    found = []
    for k in range(60):
        method.step(case.model, case.x, case.target, nn.functional.cross_entropy, optimiser)
        found += [reconstruction()] if k in (1, 59) else []
    assert found[1] < 0.5 * found[0]
    assert case.systems[2].n_shots == 62 * 7


FEEDBACK: list[TrainingMethod] = [
    DirectFeedbackAlignment(), FeedbackAlignment(), SignSymmetric(make_method("sign_symmetric").options),
    DirectRandomTargetProjection(), Pepita(), PredictiveCoding(), TargetPropagation(), AugmentedDFA(),
    make_method("augmented_dfa", {"trained": "weights"}),
    make_method("direct_random_target_projection", {"trained": "masks"}), make_method("pepita", {"trained": "masks"}),
]  # fmt: skip


@pytest.mark.parametrize("method", FEEDBACK, ids=lambda m: f"{m.name}-{getattr(m.options, 'trained', '')}")
def test_micro_batches_in_flight_give_the_gradient_of_the_batch(method: TrainingMethod) -> None:
    """Sums in another order: to rounding. (The signs of sign-symmetric feedback are taken at the first part's mean.)"""
    found = []
    for size in (None, 3):
        case = Case()
        loss = case.step(method, micro_batch=size)["loss"]
        parts = getattr(method, "chain", getattr(method, "_masks", None))
        numbers = [p.detach().clone() for p in parts.parts.modules.parameters()] if parts else case.gradients
        found.append((loss, numbers, [system.n_shots for system in case.systems]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12) and found[0][2] == found[1][2]
    close(found[1][1], found[0][1])


@pytest.mark.parametrize("name", ["direct_feedback_alignment", "feedback_alignment", "target_propagation"])
def test_angles_to_backpropagation_are_told_at_no_extra_shot(name: str) -> None:
    case, other = Case(), Case()
    other.step(PhysicsAware())
    metrics = case.step(make_method(name, {"angles_every": 1}))
    for k, (found, exact) in enumerate(zip(case.model, other.model, strict=True), 1):
        one, true = found.raw_controls.grad.numpy(), exact.raw_controls.grad.numpy()  # type: ignore[union-attr]
        angle = math.degrees(math.acos(min(1.0, one @ true / np.linalg.norm(one) / np.linalg.norm(true))))
        assert metrics[f"angle_{k}_deg"] == pytest.approx(angle, abs=1e-4)
    assert metrics["angle_3_deg"] == pytest.approx(0, abs=1e-4) and metrics["angle_1_deg"] > 1
    assert [system.n_shots for system in case.systems] == [7, 7, 7]
    quiet = make_method(name, {"angles_every": 2})
    metrics = Case().step(quiet)
    assert "angle_1_deg" in metrics  # the first step of two


def test_a_digital_module_between_layers_is_taught_by_the_layer_after_it() -> None:
    case = Case()
    linear = nn.Linear(6, 6, dtype=torch.float64)
    case.model = nn.Sequential(case.model[0], linear, nn.Tanh(), case.model[1], case.model[2])
    case.step(DirectFeedbackAlignment())
    assert linear.weight.grad is not None
    h = case.forward_through()
    _, b2 = random_matrices(case, 11, [(3, 6), (3, 4)], [3**0.5] * 2)
    error = (h[-1].softmax(-1) - nn.functional.one_hot(case.target, 3)) / 7
    d2 = error @ b2 * (1 - h[4] ** 2)
    at_tanh = (d2 @ case.matrices[1].T) * (1 - h[3] ** 2)
    torch.testing.assert_close(linear.weight.grad, at_tanh.T @ h[1])


def test_node_perturbation_is_backpropagation_in_the_mean_and_measures_only_the_layers_behind() -> None:
    """Where twins are exact; the bias falls as the square of the perturbation, the scatter is measured."""
    case, method = Case(), NodePerturbation(NodePerturbationOptions(perturbation=1e-3, directions=20))
    found = []
    method.prepare(case.model, case.setting)
    optimiser = torch.optim.SGD(case.model.parameters(), lr=0.0)
    for _ in range(20):
        method.step(case.model, case.x, case.target, nn.functional.cross_entropy, optimiser)
        found.append(torch.cat([gradient.flatten() for gradient in case.gradients]))
    assert [system.n_shots for system in case.systems] == [20 * 7, 20 * 7 * 21, 20 * 7 * 41]
    case.step(PhysicsAware())
    true = torch.cat([gradient.flatten() for gradient in case.gradients])
    mean, error = torch.stack(found).mean(0), torch.stack(found).std(0) / 20**0.5
    torch.testing.assert_close(mean[-12:], true[-12:])  # the last layer's is exact
    assert float(((mean - true) / error)[:-12].abs().max()) < 4.5  # 54 numbers, 20 estimates: 2.8 in the mean
    assert float((mean - true).norm() / true.norm()) < 0.15


def test_methods_say_which_layer_lacks_a_twin() -> None:
    with pytest.raises(TwinError, match=r"layer0: a gradient .* has no twin"):
        Case(twins=False).step(DirectFeedbackAlignment())
    for name in ("augmented_dfa", "pepita", "direct_random_target_projection"):
        method = make_method(name, {"trained": "masks"})
        assert not method.wants_twin(method.options)
        Case(twins=False).step(method)


def test_controls_that_are_no_weights_are_told() -> None:
    with Bench.from_file("tests/data/small.yaml") as bench:
        model = nn.Sequential(PhysicalLayer(bench.systems["optics"]))
        method = make_method("augmented_dfa", {"trained": "weights"})
        with pytest.raises(RunError, match=r"controls of 'optics' \(slm-camera\) are no weights of a matrix"):
            method.prepare(model, replace(Case().setting, n_in=64))


def test_a_cut_pass_hands_on_what_is_held_and_knows_what_is_known() -> None:
    case = Case()
    with cut_at_layers() as segments:
        y = case.model(case.x)
    assert torch.equal(y, segments[-1].outer) and not segments[0].x.requires_grad and segments[1].x.requires_grad
    held = torch.zeros(7, 4, dtype=torch.float64)
    with cut_at_layers(known={0: segments[0]}, held={1: held}) as again:
        case.model(case.x)
    assert again[0] is segments[0] and torch.equal(again[1].outer, held)
    assert torch.equal(again[1].y, segments[1].y) and float(again[2].y.detach().abs().max()) == 0
    assert [system.n_shots for system in case.systems] == [7, 14, 14]
