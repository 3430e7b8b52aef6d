"""The literature's claims about methods without a backward pass, at unit size; figures are in the acceptance table."""

from typing import Any

import torch

from pnnlab.methods import TrainingMethod, make_method, physical_layers
from pnnlab.training import deploy
from scripts.setups import mismatched_digits as mismatched
from scripts.setups import scattering_digits as scattering


def trained(method: TrainingMethod, *, mismatch: float = 0.0, last_alone: bool = False) -> float:
    bench = mismatched.Bench(mismatch)
    for layer in physical_layers(bench.model)[: -1 if last_alone else 0]:
        layer.raw_controls.requires_grad_(False)
    training = bench.trainer(method, mismatched.digits(), epochs=10)
    training.run()
    return deploy(bench.model, training.task.test, method=method).accuracy


def test_feedback_alignment_learns_on_a_device_that_its_twin_does_not_know() -> None:
    """In-silico training ends at 66 % there, and this goes on to 95 % in four times as many epochs."""
    assert trained(make_method("direct_feedback_alignment"), mismatch=0.4) > 0.75  # 450 digits: ± 2 points


def test_augmented_feedback_needs_a_nonlinearity_that_knows_something() -> None:
    cosine, noise = (
        trained(make_method("augmented_dfa", {"trained": "weights", "nonlinearity": g})) for g in ("cosine", "noise")
    )
    alone = trained(make_method("physics_aware"), last_alone=True)
    assert cosine > alone + 0.02 and noise < alone + 0.02


def test_local_learning_learns_without_any_twin_and_lives_by_its_skip() -> None:
    def scattered(**options: Any) -> float:
        torch.manual_seed(0)
        return scattering.accuracy("phyll", {"standardise": False, **options}, mismatched.digits(), epochs=6)

    with_skip, without = scattered(), scattered(skip=False)
    assert with_skip > 0.85 and with_skip > without + 0.03
