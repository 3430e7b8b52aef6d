"""MNIST from its files as they are published."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from pnnlab.errors import RunError
from pnnlab.training import MnistConfig, load_task


def written(folder: Path, *, packed: bool = False) -> Path:
    """Write a small set: 30 images to learn from whose first pixel is their number, and 12 to be judged by."""
    for name, n in (("train", 30), ("t10k", 12)):
        images = np.zeros((n, 28, 28), np.uint8)
        images[:, 0, 0] = np.arange(n)
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 10)):
            data = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
            path = folder / f"{name}-{kind}{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_images_and_classes_stay_together_and_parts_apart(packed: bool, tmp_path: Path) -> None:
    config = MnistConfig(kind="mnist", path=str(written(tmp_path, packed=packed)), train=15, validation=10, test=12)
    task = load_task(config)
    assert (task.grid, [len(x) for x, _ in (task.train, task.validation, task.test)]) == ((28, 28), [15, 10, 12])
    numbers = [(255 * x[:, 0]).round().to(torch.int64) for x, _ in (task.train, task.validation, task.test)]
    for number, (_, y) in zip(numbers, (task.train, task.validation, task.test), strict=True):
        assert torch.equal(number % 10, y)
    assert not set(numbers[0].tolist()) & set(numbers[1].tolist())
    assert load_task(config).train[1].tolist() == task.train[1].tolist()


def test_what_is_missing_or_too_much_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="train-images-idx3-ubyte: it cannot be read, with or without"):
        load_task(MnistConfig(kind="mnist", path=str(tmp_path)))
    written(tmp_path)
    with pytest.raises(RunError, match="10 to watch and 12 to test are asked for, there are 30 and 12"):
        load_task(MnistConfig(kind="mnist", path=str(tmp_path), train=25, validation=10, test=12))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0")
    with pytest.raises(RunError, match="holds no array of bytes in the IDX format"):
        load_task(MnistConfig(kind="mnist", path=str(tmp_path), validation=10, test=12))
