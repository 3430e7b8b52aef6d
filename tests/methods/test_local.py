"""Local learning: positive and negative data, and layers that learn by themselves."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pnnlab.errors import RunError
from pnnlab.methods import LayerWise, make_method
from pnnlab.methods._blocks import FixedBlock, Inlet, Standardise
from pnnlab.methods._contrast import Contrast
from pnnlab.methods.layer_wise import barlow_twins
from pnnlab.nn import PhysicalLayer
from tests.methods.networks import Case, Weights


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_negative_labels_are_never_right_and_leave_the_target_alone() -> None:
    contrast = Contrast("label", "overlay", 12, 4)
    x, target = torch.rand(500, 12, generator=seeded()) + 0.1, torch.arange(500) % 4
    kept = target.clone()
    positive, negative = contrast.pair(x, target, seeded())
    assert torch.equal(target, kept)
    assert torch.equal(positive[:, :4].argmax(-1), target)
    wrong = negative[:, :4].argmax(-1)
    assert not (wrong == target).any()
    counts = torch.bincount((wrong - target) % 4, minlength=4)
    assert counts[0] == 0 and counts[1:].min() > 120  # 167 ± 11 expected
    for made in (positive, negative):
        assert torch.equal(made[:, 4:], x[:, 4:])
        assert torch.equal(made[:, :4].sum(-1), x.amax(-1)) and ((made[:, :4] > 0).sum(-1) == 1).all()


def test_labels_may_be_appended_and_must_fit() -> None:
    contrast = Contrast("label", "append", 3, 5)
    x = torch.rand(2, 3, generator=seeded())
    shown = contrast.candidates(x)
    assert contrast.n_out == 8 and shown.shape == (10, 8)
    assert torch.equal(shown[:, 5:], x.repeat_interleave(5, 0))
    assert torch.equal(shown[:, :5].argmax(-1), torch.arange(5).repeat(2))
    with pytest.raises(RunError, match=r"5 classes cannot overlay 3 inputs; use `labels: append`"):
        Contrast("label", "overlay", 3, 5)


def test_negatives_without_labels_are_made_of_two_samples() -> None:
    x = torch.rand(40, 16, generator=seeded())
    target = torch.zeros(40, dtype=torch.int64)
    positive, negative = Contrast("mixed", "overlay", 16, 10).pair(x, target, seeded(1))
    assert torch.equal(positive, x)
    own = (negative == x).sum(-1)
    assert ((own >= 7) & (own <= 9)).all()  # half of the pixels are the sample's own
    assert all(((negative[k] == x[k]) | (negative[k] == x).any(0)).all() for k in range(40))
    positive, negative = Contrast("self", "overlay", 16, 10).pair(x, target, seeded(1))
    assert torch.equal(positive, 2 * x)
    others = negative - x
    matches = (others[:, None] - x).abs().amax(-1) < 1e-5
    assert (matches.sum(-1) == 1).all() and not matches.diagonal().any()


ranges = st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (-math.inf, math.inf)])


@settings(max_examples=60)
@given(ranges, st.floats(0.05, 3), st.integers(1, 12), st.floats(1e-6, 1e6), st.integers(0, 10**6))
def test_inputs_keep_their_direction_and_never_leave_the_range(
    span: tuple[float, float], scale: float, n: int, size: float, seed: int
) -> None:
    system = Weights(12, 2, "w", tanh=False, reach=1.0)
    system.input_range = span  # type: ignore[misc]
    h = size * torch.randn(5, n, generator=seeded(seed), dtype=torch.float64)
    inlet = Inlet(n, system, scale=scale)
    x = inlet(h)
    assert x.shape == (5, 12) and float(x.min()) >= span[0] and float(x.max()) <= span[1]
    scaled = inlet.scaled(h)
    torch.testing.assert_close(nn.functional.cosine_similarity(scaled, h), torch.ones(5, dtype=torch.float64))
    if span[1] == math.inf:
        torch.testing.assert_close(scaled.square().mean(-1).sqrt(), torch.full((5,), scale, dtype=torch.float64))
    assert torch.equal(inlet(torch.zeros(1, n))[0], torch.full((12,), 0.0 if span[0] < 0 else 0.5))


def test_blocks_say_that_a_system_is_too_small() -> None:
    with pytest.raises(RunError, match=r"'layer0' takes 5 inputs, 64 are asked for; lower `width`"):
        FixedBlock(PhysicalLayer(Case().systems[0]), 64, scale=0.5, dtype=torch.float64)


def test_a_single_layer_will_do() -> None:
    case = Case(sizes=(5, 3), twins=False)
    for name in ("forward_forward", "phyll", "layer_wise"):
        case.step(method := make_method(name))
        assert method.predict(case.model, case.x).shape == (7, 3)


def test_readings_are_standardised_by_the_first_ones() -> None:
    standard = Standardise(3, torch.float64)
    y = torch.randn(200, 3, dtype=torch.float64, generator=seeded()) * torch.tensor([5.0, 0.1, 0.0]) + 7
    assert torch.equal(standard(y), y) and not standard.ready
    standard.calibrate(y)
    z = standard(y)
    torch.testing.assert_close(z.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0)[:2], torch.ones(2, dtype=torch.float64))
    assert float(z[:, 2].abs().max()) < 1e-9  # a dead reading stays dead


def test_barlow_twins_by_hand() -> None:
    a, b = torch.randn(50, 3, generator=seeded()), torch.randn(50, 3, generator=seeded(1))
    c = torch.corrcoef(torch.cat([a, b], -1).T)[:3, 3:]
    off = c - torch.diag(c.diagonal())
    wanted = ((1 - c.diagonal()) ** 2).sum() + 0.1 * (off**2).sum()
    torch.testing.assert_close(barlow_twins(a, b, redundancy=0.1), wanted, rtol=1e-4, atol=1e-5)
    same = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    assert float(barlow_twins(same, same, redundancy=1.0)) == pytest.approx(0, abs=1e-9)


LOCAL: list[tuple[str, dict[str, Any], int]] = [
    ("forward_forward", {}, 2), ("forward_forward", {"negatives": "mixed"}, 2),
    ("forward_forward", {"negatives": "self"}, 2),
    ("phyll", {"inner_steps": 2}, 2), ("phyll", {"skip": False, "negatives": "mixed"}, 2), ("layer_wise", {}, 1),
    ("layer_wise", {"local_loss": "barlow_twins"}, 2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "shots"), LOCAL, ids=lambda value: str(value))
def test_batches_are_measured_once_and_micro_batches_change_nothing(
    name: str, options: dict[str, Any], shots: int
) -> None:
    found = []
    for size in (None, 3):
        case = Case(sizes=(5, 5, 5), twins=False, batch=10)
        method = make_method(name, {**options, "width": 5})
        case.setting, case.target = replace(case.setting, n_classes=3), case.target % 3
        case.step(method, micro_batch=size)
        again = [system.n_shots for system in case.systems]
        x, optimiser = case.x, torch.optim.SGD(case.model.parameters(), 0.0)
        metrics = method.step(case.model, x, case.target, nn.functional.cross_entropy, optimiser)
        assert [system.n_shots - n for system, n in zip(case.systems, again, strict=True)] == [shots * 10] * 2
        assert again == [2 * shots * 10] * 2  # the first batch twice, to standardise the readings
        found.append((metrics["loss"], method.predict(case.model, x)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    torch.testing.assert_close(found[0][1], found[1][1])


def test_no_layer_learns_from_another() -> None:
    """A map's gradient is that of its own loss, whatever the map before it is."""
    case = Case(sizes=(5, 5, 5), twins=False, batch=10)
    method = make_method("layer_wise", {"width": 5})
    assert isinstance(method, LayerWise)
    method.prepare(case.model, case.setting)
    seen = method.measure(case.x)
    assert not any(z.requires_grad for z in seen)
    own = nn.functional.cross_entropy(method._votes(seen)[1], case.target)
    gradients = torch.autograd.grad(own, method.maps[0].weight, allow_unused=True)
    assert gradients == (None,)
