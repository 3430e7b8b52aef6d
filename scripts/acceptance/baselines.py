"""What every trained physics is compared with: linear classifiers without any."""

import csv
import statistics
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pnnlab.training import DigitsConfig, linear_on_inputs, load_task
from scripts.acceptance._row import Finding, Row, data_file

__all__ = ["ROWS", "read_vowels"]

_SPLITS = 20


def read_vowels(data: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return 12 formants in Hz and the vowel, 0 to 6, of 258 spoken tokens (Hillenbrand et al. 1995)."""
    source = "the public code of Momeni et al., Science 382, 1297 (2023), MomeniAli/PhyLL"
    with data_file(data, "hillenbrand_vowels.csv", source).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    formants = np.array([[float(value) for key, value in row.items() if key != "token"] for row in rows])
    vowels = np.unique([row["token"][-2:] for row in rows], return_inverse=True)[1]
    return formants, vowels.astype(np.int64)


def _vowels(data: Path) -> Finding:
    x, y = read_vowels(data)
    scores = []
    for split in range(_SPLITS):
        x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=split)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))
        scores.append(100 * model.fit(x_train, y_train).score(x_test, y_test))
    mean, spread = statistics.mean(scores), statistics.stdev(scores)
    return Finding(f"{mean:.1f} ± {spread:.1f} %", abs(mean - 98.5) <= 1.0)


def _digits(_: Path) -> Finding:
    found = 100 * linear_on_inputs(load_task(DigitsConfig()))
    return Finding(f"{found:.1f} %", abs(found - 94.0) <= 1.5)


ROWS = (
    Row(
        "vowels-logistic-regression",
        "98.5 ± 1.7 %: logistic regression on 12 formants, 20 stratified 80/20 splits",
        "within 1 point",
        _vowels,
    ),
    Row("digits-ridge", "94.0 %: linear ridge classifier on 64 pixels", "within 1.5 points (450 test digits)", _digits),
)
