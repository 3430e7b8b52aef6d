"""Real data to learn from."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split
from torch import Tensor

from pnnlab.errors import RunError
from pnnlab.quantities import FrozenModel
from pnnlab.training._idx import read_idx

__all__ = ["DigitsConfig", "IrisConfig", "MnistConfig", "Task", "TaskConfig", "VowelsConfig", "load_task"]


class DigitsConfig(FrozenModel):
    """The 1797 handwritten digits of 8 x 8 pixels that come with scikit-learn (Alpaydin & Kaynak 1998, UCI).

    Attributes:
        test: How many are held out for the final test, the same for every seed.
        validation: How many are held out of the rest, to watch training.
        train: How many of what is left are learned from; `null` takes all, a slow bench can do with fewer.
    """

    kind: Literal["digits"] = "digits"
    test: int = Field(default=450, gt=0, lt=1500)
    validation: int = Field(default=100, ge=10, lt=300)
    train: int | None = Field(default=None, ge=10)


class IrisConfig(FrozenModel):
    """The 150 irises of three species that come with scikit-learn (Fisher 1936): lengths and widths of their leaves.

    A task for benches of few channels that take their time; logistic regression solves it.

    Attributes:
        features: Which are used, in their order: 0 and 1 are length and width of the sepals, 2 and 3 of the petals.
        test: How many are held out for the final test.
        validation: How many are held out of the rest.
        train: How many of what is left are learned from; `null` takes all.
    """

    kind: Literal["iris"]
    features: tuple[int, ...] = Field(default=(0, 1, 2, 3), min_length=1)
    test: int = Field(default=45, ge=3, le=90)
    validation: int = Field(default=15, ge=3, le=45)
    train: int | None = Field(default=None, ge=3)

    @field_validator("features")
    @classmethod
    def _check_features(cls, features: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(features)) != len(features) or not set(features) <= {0, 1, 2, 3}:
            raise ValueError(f"{features} are not different numbers from 0 to 3")
        return features


class VowelsConfig(FrozenModel):
    """Spoken vowels by 12 formant frequencies (Hillenbrand et al. 1995), from a CSV file.

    A task for bringing a bench up only: logistic regression solves it.

    Attributes:
        path: The file; a column `token` whose last two letters name the vowel, and formants in Hz.
        test: How many are held out for the final test.
        validation: How many are held out of the rest.
    """

    kind: Literal["vowels"]
    path: str
    test: int = Field(default=52, gt=0)
    validation: int = Field(default=30, gt=0)


class MnistConfig(FrozenModel):
    """70 000 handwritten digits of 28 x 28 pixels (LeCun et al. 1998, Proc. IEEE 86, 2278), or a successor's images.

    Attributes:
        path: Folder with the four IDX files as they are published (`train-images-idx3-ubyte` and so on, or `.gz`).
        train: How many of the 60 000 are learned from, always the same; all that are not held out if `null`.
        validation: How many of them are held out, to watch training.
        test: How many of the 10 000 others are used for the final test.
    """

    kind: Literal["mnist"]
    path: str
    train: int | None = Field(default=None, gt=0)
    validation: int = Field(default=500, ge=10)
    test: int = Field(default=10_000, gt=0)


TaskConfig = Annotated[DigitsConfig | IrisConfig | MnistConfig | VowelsConfig, Field(discriminator="kind")]


@dataclass(frozen=True)
class Task:
    """Inputs and classes, split three ways.

    Attributes:
        name: Of the data.
        grid: Rows and columns that an input is laid out in; one row where it is no image.
        n_classes: Number of classes.
        train: Inputs, shape `(n, n_in)`, each from 0 to 1, and classes, shape `(n,)`.
        validation: The same, to watch training and to stop it.
        test: The same, looked at once, at the end.
    """

    name: str
    grid: tuple[int, int]
    n_classes: int
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    def to(self, dtype: torch.dtype) -> "Task":
        """Return the task with inputs of another floating type."""
        train, validation, test = ((x.to(dtype), y) for x, y in (self.train, self.validation, self.test))
        return Task(self.name, self.grid, self.n_classes, train, validation, test)


def load_task(config: TaskConfig) -> Task:
    """Return the data of a task.

    Raises:
        RunError: Its file cannot be read.
    """
    if isinstance(config, DigitsConfig):
        pixels, classes = load_digits(return_X_y=True)
        task = _split("digits", (8, 8), pixels / 16, classes, config.test, config.validation)
        return _some(task, config.train)
    if isinstance(config, IrisConfig):
        leaves, species = load_iris(return_X_y=True)
        leaves = leaves[:, list(config.features)]
        low, high = leaves.min(0), leaves.max(0)
        grid = (1, len(config.features))
        task = _split("iris", grid, (leaves - low) / (high - low), species, config.test, config.validation, 3)
        return _some(task, config.train)
    return _mnist(config) if isinstance(config, MnistConfig) else _vowels(config)


def _some(task: Task, n: int | None) -> Task:
    """Return a task with fewer samples to learn from."""
    x, classes = (part[:n] for part in task.train)
    return replace(task, train=(x, classes))


def _mnist(config: MnistConfig) -> Task:
    folder = Path(config.path)
    parts = {}
    for name in ("train", "t10k"):
        images, classes = (
            torch.tensor(read_idx(folder, f"{name}-{kind}")) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
        )
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        parts[name] = images[order].flatten(1).to(torch.float32) / 255, classes[order].to(torch.int64)
    (x, y), (x_test, y_test) = parts["train"], parts["t10k"]
    held, wanted = config.validation, len(x) if config.train is None else config.validation + config.train
    if held >= len(x) or wanted > len(x) or config.test > len(x_test):
        raise RunError(
            f"{folder}: {config.train or 'all other'} images to learn from, {held} to watch and {config.test} to test "
            f"are asked for, there are {len(x)} and {len(x_test)}"
        )
    grid = (28, 28) if x.shape[1] == 784 else (1, x.shape[1])
    test = slice(0, config.test)
    return Task("mnist", grid, 10, (x[held:wanted], y[held:wanted]), (x[:held], y[:held]), (x_test[test], y_test[test]))


def _vowels(config: VowelsConfig) -> Task:
    path = Path(config.path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        formants = np.array([[float(v) for k, v in row.items() if k != "token"] for row in rows])
        vowels = np.array([row["token"][-2:] for row in rows])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{path}: no vowels can be read from it ({error}); it needs a column `token` and formants"
        ) from error
    low, high = formants.min(0), formants.max(0)
    names, classes = np.unique(vowels, return_inverse=True)
    inputs = (formants - low) / (high - low)
    return _split("vowels", (1, inputs.shape[1]), inputs, classes, config.test, config.validation, len(names))


def _split(
    name: str, grid: tuple[int, int], x: npt.NDArray[np.floating], y: npt.NDArray[np.integer], test: int,
    validation: int, n_classes: int = 10,
) -> Task:  # fmt: skip
    """Hold out test and validation, stratified by class and always the same: seeds vary training, not the data."""
    x_rest, x_test, y_rest, y_test = train_test_split(x, y, test_size=test, stratify=y, random_state=0)
    x_train, x_val, y_train, y_val = train_test_split(
        x_rest, y_rest, test_size=validation, stratify=y_rest, random_state=0
    )
    parts = [
        (torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.int64))
        for a, b in ((x_train, y_train), (x_val, y_val), (x_test, y_test))
    ]
    return Task(name, grid, n_classes, *parts)
