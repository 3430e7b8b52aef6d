"""Methods that only measure, on a perceptron with a scrambler inside: vowels and digits."""

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from pnnlab.methods import (
    CmaEs,
    CmaEsOptions,
    FiniteDifferences,
    FiniteDifferencesOptions,
    Genetic,
    GeneticOptions,
    Pepg,
    PepgOptions,
    SimulatedAnnealing,
    SimulatedAnnealingOptions,
    Spsa,
    SpsaOptions,
    TrainingMethod,
)
from scripts.acceptance._row import Finding, Row
from scripts.acceptance.baselines import read_vowels
from scripts.setups.scrambled_perceptron import WEIGHT, Data, ScrambledPerceptron, learning_curve

__all__ = ["ROWS"]


class _Contender(NamedTuple):
    """A method as the set-up has it: how it is made, losses in a step, learning rate in weights."""

    make: Callable[[], TrainingMethod]
    cost: int
    learning_rate: float


CONTENDERS = {
    "SPSA": _Contender(lambda: Spsa(SpsaOptions(perturbation=0.05 * WEIGHT)), 2, 0.02),
    "PEPG": _Contender(lambda: Pepg(PepgOptions(perturbation=0.1 * WEIGHT, pairs=10)), 20, 0.05),
    "CMA-ES": _Contender(lambda: CmaEs(CmaEsOptions(spread=0.2 * WEIGHT, population=20)), 20, 0.02),
    "genetic": _Contender(
        lambda: Genetic(GeneticOptions(spread=0.2 * WEIGHT, population=40, mutated=0.2)), 40, 0.02
    ),
    "hill climbing": _Contender(
        lambda: SimulatedAnnealing(
            SimulatedAnnealingOptions(temperature=0, change=0.05 * WEIGHT, rounds=19, last_change=1.0)
        ),
        20, 0.02,
    ),
}  # fmt: skip


def _vowels(data: Path, seed: int) -> tuple[Data, Data]:
    """Return 200 spoken vowels to learn from and 58 to be judged by, formants standardised."""
    x, y = read_vowels(data)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=58, stratify=y, random_state=seed)
    scaler = StandardScaler().fit(x_train)
    parts = [(scaler.transform(part), classes) for part, classes in ((x_train, y_train), (x_test, y_test))]
    train, test = ((torch.tensor(part).float(), torch.tensor(classes)) for part, classes in parts)
    return train, test


def _on_vowels(data: Path) -> Finding:
    told, passed = [], True
    for name, (make, cost, rate) in CONTENDERS.items():
        found = []
        for seed in range(3):
            perceptron, (train, test) = ScrambledPerceptron(12, 16, 7, seed), _vowels(data, seed)
            curve = learning_curve(make(), perceptron, train, test, [3000], cost=cost, learning_rate=rate)
            found.append(curve[3000])
        told.append(f"{name} {statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}")
        passed &= statistics.mean(found) >= 95.0
    return Finding(f"{', '.join(told)} %", passed)


def _differences_on_vowels(data: Path) -> Finding:
    found = []
    for seed in range(3):
        perceptron = ScrambledPerceptron(12, 16, 7, seed)
        method = FiniteDifferences(FiniteDifferencesOptions(perturbation=0.05 * WEIGHT, coordinates=None))
        curve = learning_curve(
            method, perceptron, *_vowels(data, seed), [3000], cost=2 * perceptron.n_controls, learning_rate=0.3
        )
        found.append(curve[3000])
    mean = statistics.mean(found)
    return Finding(f"{mean:.1f} ± {statistics.stdev(found):.1f} % after four steps", 80 <= mean <= 95)


def _on_digits(name: str, expected: dict[int, float], _: Path) -> Finding:
    pixels, classes = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(pixels / 16, classes, train_size=1300, stratify=classes, random_state=0)
    train, test = ((torch.tensor(part).float(), torch.tensor(c)) for part, c in ((x, y), (x_test, y_test)))
    make, cost, rate = CONTENDERS[name]
    perceptron = ScrambledPerceptron(64, 32, 10, 0)
    found = learning_curve(make(), perceptron, train, test, expected, cost=cost, learning_rate=rate)
    text = ", ".join(f"{value:.1f}" for value in found.values())
    last = max(expected)
    return Finding(
        f"{text} % after {', '.join(map(str, found))}",
        bool(np.isfinite(found[last])) and found[last] >= expected[last] - 3,
    )


_DIGITS = {
    "SPSA": {1000: 86.5, 4000: 97.0, 12_000: 93.4},
    "PEPG": {1000: 84.7, 4000: 95.0, 12_000: 97.6},
    "hill climbing": {1000: 77.9, 4000: 88.3, 12_000: 92.8},
    "genetic": {1000: 55.7, 4000: 81.3, 12_000: 89.3},
}

ROWS = (
    Row(
        "vowels-black-box",
        "vowels, 327 controls, 3000 losses: SPSA 97.7, PEPG 97.7, CMA-ES 98.3, GA 98.3, hill climbing 97.7 %",
        "each at least 95 %, mean of 3 seeds (one of 58 test vowels is 1.7 points)",
        _on_vowels,
        3.0,
    ),
    Row(
        "vowels-finite-differences",
        "89.1 %: the same with finite differences, which has spent 3000 losses after four steps",
        "80 to 95 %, mean of 3 seeds",
        _differences_on_vowels,
        0.5,
    ),
    *(
        Row(
            f"digits-{name.lower().replace(' ', '-')}",
            f"{', '.join(map(str, figures.values()))} % after 1000, 4000, 12 000 losses: digits, 2410 controls, 1 seed",
            "at the end no more than 3 points below",
            partial(_on_digits, name, figures),
            2.0,
        )
        for name, figures in _DIGITS.items()
    ),
)
