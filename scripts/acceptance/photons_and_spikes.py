"""Training with single photons, and with recorded spikes."""

import statistics
from pathlib import Path

import torch

from pnnlab.methods import InSilico, MeasuredActivations
from scripts.acceptance._row import Finding, Row
from scripts.setups import spiking_chip
from scripts.setups.mismatched_digits import digits
from scripts.setups.photon_digits import Conventional, stochastic_accuracies

__all__ = ["ROWS"]

_SEEDS = range(3)
_MISMATCH = 0.6


def _conventional_at(levels: tuple[float, ...]) -> list[float]:
    """Return accuracies in percent of a conventionally trained network, means over devices and five repeats."""
    task, noise = digits(), torch.Generator().manual_seed(0)
    networks = [Conventional(task, seed) for seed in _SEEDS]
    return [
        100 * statistics.mean(network.accuracy(level, noise) for network in networks for _ in range(5))
        for level in levels
    ]


def _conventional(_: Path) -> Finding:
    found = _conventional_at((0.1, 1, 10, 100))
    met = zip(found, (29, 83.7, 97.5, 98.6), (6, 5, 1.5, 1.5), strict=True)
    return Finding(" / ".join(f"{value:.1f}" for value in found) + " %", all(abs(v - p) <= m for v, p, m in met))


def _stochastic(_: Path) -> Finding:
    levels, task = (0.1, 0.3, 1.0), digits()
    conventional = _conventional_at(levels)
    runs = [[stochastic_accuracies(task, seed, level, (1,)) for seed in _SEEDS] for level in levels]
    means = [100 * statistics.mean(found[0] for found, _ in row) for row in runs]
    hidden = statistics.mean(light for row in runs for _, light in row)
    text = ", ".join(
        f"{level:g}: {ours:.1f} (conventional {theirs:.1f})"
        for level, ours, theirs in zip(levels, means, conventional, strict=True)
    )
    moved = all(ours > theirs for ours, theirs in zip(means, conventional, strict=True))
    passed = moved and means == sorted(means) and means[0] - conventional[0] >= 10
    return Finding(f"{text} % by photons per MAC of the read-out; {hidden:.4f} in the hidden layer", passed)


def _spikes(_: Path) -> Finding:
    task = digits()
    software, deployed, recovered = (
        [100 * spiking_chip.accuracy(mismatch, method(), task, seed=seed) for seed in _SEEDS]
        for mismatch, method in ((0.0, InSilico), (_MISMATCH, InSilico), (_MISMATCH, MeasuredActivations))
    )
    means = [statistics.mean(values) for values in (software, deployed, recovered)]
    text = f"software {means[0]:.1f}, deployed {means[1]:.1f}, in the loop {means[2]:.1f} %"
    return Finding(text, means[2] - means[1] >= 2 and means[0] - means[2] <= 1.5)


ROWS = (
    Row(
        "photons-conventional",
        "29 / 83.7 / 97.5 / 98.6 % at 0.1 / 1 / 10 / 100 detected photons per MAC, network trained without noise",
        "within 6 / 5 / 1.5 / 1.5 points",
        _conventional,
        0.2,
    ),
    Row(
        "photons-stochastic",
        "stochastic training moves that curve to the left; accuracy rises with light (Ma et al., arXiv 2307.15712)",
        "above it everywhere, by 10 points or more at 0.1, and monotone",
        _stochastic,
        1.5,
    ),
    Row(
        "spikes-recover",
        "accuracy recovers after fixed-pattern noise of 0.6 on thresholds and time constants, as in software",
        "in the loop 2 points above deployed or more, and at most 1.5 below software",
        _spikes,
        3.0,
    ),
)
