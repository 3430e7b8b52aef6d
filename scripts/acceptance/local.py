"""Methods without a backward pass: random feedback on a mismatched device, local learning through scatterers."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import torch
from sklearn.linear_model import RidgeClassifier

from pnnlab.methods import PhysicsAware, TrainingMethod, make_method, physical_layers
from pnnlab.training import Progress
from scripts.acceptance._row import Finding, Row
from scripts.setups import mismatched_digits as mismatched
from scripts.setups import scattering_digits as scattering

__all__ = ["ROWS"]

SEEDS: Final = (0, 1, 2)
MISMATCHES: Final = (0.0, 0.1, 0.2, 0.4)
LINEAR: Final = 94.0
"""Ridge classifier on the pixels, in percent."""
PLAIN: Final = {"standardise": False, "inner_steps": 1}
"""Readings as they are, and a step a batch, as the figures of the scattering set-up were found."""


def _percent(found: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.1f}{spread} %"


def _mismatched(method: Callable[[], TrainingMethod], mismatch: float, *, exact: bool = False) -> list[float]:
    """Return the test accuracy in percent after training devices of one mismatch, one a seed."""
    task = mismatched.digits()
    return [
        100 * mismatched.accuracy(mismatched.Bench(mismatch, seed=seed, exact=exact), method(), task) for seed in SEEDS
    ]


def _against_mismatch(make: Callable[[], TrainingMethod], published: Sequence[float], _: Path) -> Finding:
    found = [_mismatched(make, mismatch) for mismatch in MISMATCHES]
    ceiling = statistics.mean(_mismatched(PhysicsAware, MISMATCHES[-1], exact=True))
    means = [statistics.mean(one) for one in found]
    text = ", ".join(f"{_percent(one)} at {s:g}" for one, s in zip(found, MISMATCHES, strict=True))
    near = all(abs(mean - figure) <= 2 for mean, figure in zip(means, published, strict=True))
    return Finding(
        f"{text}; backpropagation through the device at 0.4: {ceiling:.1f} %", near and means[-1] > ceiling - 4
    )


def _augmented(nonlinearity: str) -> TrainingMethod:
    return make_method("augmented_dfa", {"trained": "weights", "nonlinearity": nonlinearity})


def _negative_control(_: Path) -> Finding:
    task, last_only = mismatched.digits(), []
    for seed in SEEDS:
        bench = mismatched.Bench(0.0, seed=seed)
        for layer in physical_layers(bench.model)[:-1]:
            layer.raw_controls.requires_grad_(False)
        last_only.append(100 * mismatched.accuracy(bench, PhysicsAware(), task))
    cosine, noise = (_mismatched(partial(_augmented, g), 0.0) for g in ("cosine", "noise"))
    text = f"g = cosine {_percent(cosine)}, g = noise {_percent(noise)}, last layer alone {_percent(last_only)}"
    fallen = statistics.mean(noise) < statistics.mean(last_only) + 1
    return Finding(text, fallen and statistics.mean(cosine) > statistics.mean(last_only) + 1)


def _angles(_: Path) -> Finding:
    """Hidden layers' angles to backpropagation at the first step, and their mean over the last fifth of training."""
    bench, found = mismatched.Bench(0.2), list[tuple[float, ...]]()

    def note(progress: Progress) -> None:
        if "angle_1_deg" in progress.metrics:
            found.append(tuple(progress.metrics[f"angle_{k}_deg"] for k in (1, 2)))

    method = make_method("direct_feedback_alignment", {"angles_every": 10})
    training = bench.trainer(method, mismatched.digits(), observers=(note,))
    training.run()
    late = [statistics.mean(angles) for angles in zip(*found[-len(found) // 5 :], strict=True)]
    text = ", ".join(
        f"layer {k}: {first:.0f}° at first, {last:.0f}° at last"
        for k, (first, last) in enumerate(zip(found[0], late, strict=True), 1)
    )
    return Finding(text, max(late) < 75)


def _scattered(name: str, options: dict[str, object], n_layers: int = 2) -> list[float]:
    task = mismatched.digits()
    return [100 * scattering.accuracy(name, options, task, n_layers=n_layers, seed=seed) for seed in SEEDS]


def _local(
    name: str, options: dict[str, object], n_layers: int, passes: Callable[[float], bool], _: Path
) -> Finding:  # fmt: skip
    found = _scattered(name, {**PLAIN, **options}, n_layers)
    return Finding(f"{_percent(found)} ({scattering.EPOCHS} epochs)", passes(statistics.mean(found)))


def _read_out(_: Path) -> Finding:
    """A ridge read-out of what the first map of PhyLL sees: readings of the first scatterer, and the pixels."""
    task, found = mismatched.digits(), []
    for seed in SEEDS:
        training = scattering.trainer(method := make_method("phyll", PLAIN), task, n_layers=1, seed=seed)
        (block,) = method.blocks  # type: ignore[attr-defined]
        (x, y), (x_test, y_test) = task.train, task.test
        z, z_test = (torch.cat([block(part), part], -1) for part in (x, x_test))
        ridge = RidgeClassifier(alpha=1e-3 * len(x)).fit(z.numpy(), y.numpy())
        found.append(100 * float(ridge.score(z_test.numpy(), y_test.numpy())))
        assert training.shots == len(x) + len(x_test)  # noqa: S101
    return Finding(_percent(found), statistics.mean(found) > LINEAR)


def _ssl(_: Path) -> Finding:
    views = {"shift": 0, "dropped": 0.1, "noise": 0.1}
    options = {"local_loss": "barlow_twins", "width": 256, "inner_steps": 2, "skip": True, "views": views}
    found = _scattered("layer_wise", options, n_layers=1)
    return Finding(f"{_percent(found)}; on the pixels {LINEAR} %", statistics.mean(found) > LINEAR)


def _within(figure: float, points: float) -> Callable[[float], bool]:
    return lambda mean: abs(mean - figure) <= points


ROWS = (
    Row(
        "dfa-mismatch",
        "96.4, 96.2, 95.9, 95.0 % at mismatch 0, 0.1, 0.2, 0.4, hardly below backpropagation through the device",
        "each within 2 points, and at 0.4 within 4 points of backpropagation through the device",
        partial(_against_mismatch, partial(make_method, "direct_feedback_alignment"), (96.4, 96.2, 95.9, 95.0)),
        minutes=3,
    ),
    Row(
        "augmented-dfa-mismatch",
        "96.1, 95.9, 95.6, 95.2 % at mismatch 0, 0.1, 0.2, 0.4, with (1 + cos z) / 2 for the derivative",
        "each within 2 points, and at 0.4 within 4 points of backpropagation through the device",
        partial(_against_mismatch, partial(_augmented, "cosine"), (96.1, 95.9, 95.6, 95.2)),
        minutes=3,
    ),
    Row(
        "augmented-dfa-control",
        "a g that has nothing to do with f' trains no more than the read-out",
        "noise for g at most a point above the last layer trained alone, the cosine more than that",
        _negative_control,
        minutes=2,
    ),
    Row(
        "dfa-angle",
        "the angle between DFA and backpropagation falls well below 90 degrees",
        "below 75° in each hidden layer in the last fifth of training",
        _angles,
        minutes=0.4,
    ),
    Row(
        "forward-forward-scattering",
        "93.0 ± 0.4 %, below the linear classifier's 94.0 %; here with the skip and standardised readings",
        "within 2 points",
        partial(_local, "forward_forward", {"skip": True, "standardise": True}, 2, _within(93.0, 2)),
        minutes=1.5,
    ),
    Row(
        "phyll-two-layers",
        "95.8 ± 0.5 %",
        "within 1.5 points",
        partial(_local, "phyll", {}, 2, _within(95.8, 1.5)),
        minutes=1.5,
    ),
    Row(
        "phyll-one-layer",
        "96.6 %",
        "within 1.5 points",
        partial(_local, "phyll", {}, 1, _within(96.6, 1.5)),
        minutes=1,
    ),
    Row(
        "phyll-no-skip",
        "88.4 %: the skip carries much of the result",
        "within 3 points",
        partial(_local, "phyll", {"skip": False}, 2, _within(88.4, 3)),
        minutes=1.5,
    ),
    Row(
        "phyll-tau-20",
        "96.6 % with τ = 20",
        "within 1.5 points",
        partial(_local, "phyll", {"tau": 20.0}, 2, _within(96.6, 1.5)),
        minutes=1.5,
    ),
    Row(
        "phyll-read-out",
        "a linear read-out of the same readings and pixels, beside PhyLL; 94.0 % on the pixels alone",
        "above the pixels alone",
        _read_out,
        minutes=0.1,
    ),
    Row(
        "layer-wise-ssl",
        "features learned without labels, layer by layer, are better for a linear read-out than the pixels (94.0 %)",
        "above the pixels",
        _ssl,
        minutes=2,
    ),
)
