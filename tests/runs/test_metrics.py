import errno
import math
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Buffer

from pnnlab.errors import RunError
from pnnlab.runs import LoggedStep
from pnnlab.runs._metrics import MetricsFile


def step(number: int, **metrics: float) -> LoggedStep:
    return {
        "step": number, "epoch": 0, "shots": 10 * number, "bench_s": 0.1 * number, "wall_s": 1.0, "metrics": metrics,
    }  # fmt: skip


STEPS = st.lists(st.integers(0, 30), max_size=12).map(sorted)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def written(path: Path, numbers: list[int]) -> list[LoggedStep]:
    """Write lines of a size that varies, so that a cut can fall anywhere in one."""
    path.unlink(missing_ok=True)
    lines = [step(number, loss=1 / (k + 1), **{f"metric{j}": float(j) for j in range(k % 3)})
             for k, number in enumerate(numbers)]  # fmt: skip
    file = MetricsFile(path)
    file.open()
    for line in lines:
        file.append(line)
    file.close()
    return lines


def test_what_is_appended_is_read_also_while_it_is_open(path: Path) -> None:
    file = MetricsFile(path)
    assert file.read() == []
    file.open()
    file.append(step(1, loss=0.1))
    assert MetricsFile(path).read() == [step(1, loss=0.1)]
    file.append(step(1, accuracy=0.5))
    assert MetricsFile(path).read() == [step(1, loss=0.1), step(1, accuracy=0.5)]
    file.close()
    file.close()


def test_nan_and_infinity_survive(path: Path) -> None:
    file = MetricsFile(path)
    file.open()
    file.append(step(1, loss=math.nan, best=-math.inf, worst=math.inf, single=np.float32(0.1)))  # type: ignore[arg-type]
    file.close()
    found = file.read()[0]["metrics"]
    assert math.isnan(found["loss"])
    assert (found["best"], found["worst"], found["single"]) == (-math.inf, math.inf, float(np.float32(0.1)))
    assert '"loss": "NaN"' in path.read_text()


@given(numbers=STEPS, cut=st.integers(0, 10_000), data=st.data())
def test_a_file_cut_anywhere_reads_up_to_the_cut_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], cut: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    lines = written(path, numbers)
    text = path.read_bytes()
    cut = cut % (len(text) + 1)
    tail = data.draw(st.sampled_from([b"", b"\0" * 7, b"\xff\xfe"]))  # what file systems leave after a power cut
    path.write_bytes(text[:cut] + tail)
    complete = text[:cut].count(b"\n")
    file = MetricsFile(path)
    assert file.read() == lines[:complete]
    file.open()
    file.append(step(99, loss=2.0))
    file.close()
    assert file.read() == [*lines[:complete], step(99, loss=2.0)]


@given(numbers=STEPS, last=st.integers(-1, 31))
def test_truncation_drops_newer_steps_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], last: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "truncated.jsonl"
    lines = written(path, numbers)
    before = path.read_bytes()
    file = MetricsFile(path)
    file.open()
    file.truncate_after(last)
    assert file.read() == [line for line in lines if line["step"] <= last]
    assert before.startswith(path.read_bytes())
    file.append(step(last + 1, loss=0.0))
    file.close()
    assert file.read()[-1] == step(last + 1, loss=0.0)


def test_steps_do_not_run_backwards(path: Path) -> None:
    written(path, [1, 5])
    file = MetricsFile(path)
    file.open()
    with pytest.raises(RunError, match=r"step 4 comes after step 5; .* truncate_after"):
        file.append(step(4))
    file.append(step(5))
    file.close()
    assert [line["step"] for line in file.read()] == [1, 5, 5]


def test_without_open_nothing_is_written(path: Path) -> None:
    file = MetricsFile(path)
    changes: list[Callable[[], None]] = [lambda: file.append(step(1)), lambda: file.truncate_after(0)]
    for change in changes:
        with pytest.raises(RunError, match="open for reading only"):
            change()
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "no logged step"),
        (b"\xff", "no logged step"),
        (b"[1]", "a list stands there"),
        (b'{"step": 1}', "no metrics"),
        (b'{"step": 1.5, "epoch": 0, "shots": 0, "bench_s": 0, "wall_s": 0, "metrics": {}}', "step is 1.5"),
        (b'{"step": 1, "epoch": 0, "shots": 0, "bench_s": "x", "wall_s": 0, "metrics": {}}', "bench_s is 'x'"),
        (b'{"step": 1, "epoch": 0, "shots": 0, "bench_s": 0, "wall_s": 0, "metrics": {"a": true}}', "a is True"),
    ],
)
def test_a_broken_complete_line_is_named_by_number(path: Path, line: bytes, said: str) -> None:
    written(path, [1])
    good = path.read_bytes()
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(RunError, match=rf"metrics\.jsonl:2: .*{said}"):
        MetricsFile(path).read()


def test_what_is_no_number_is_refused_before_it_is_written(path: Path) -> None:
    written(path, [1])
    before = path.read_bytes()
    file = MetricsFile(path)
    file.open()
    for wrong in (np.zeros(()), "0.1", True, None):
        with pytest.raises(RunError, match=r"metric 'loss' is a .*, a number is due"):
            file.append(step(2, loss=wrong))  # type: ignore[arg-type]
    file.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("taken", [0, 10, None])
def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch, taken: int | None) -> None:
    written(path, [1])
    before = path.read_bytes()
    file = MetricsFile(path)
    file.open()

    class FullDisk(FileIO):
        """A file on a disk that takes some bytes and no more."""

        def write(self, text: Buffer) -> int:
            if taken is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(text)[:taken])

    with monkeypatch.context() as patch, FullDisk(path, "ab") as full:
        patch.setattr(file, "_file", full)
        with pytest.raises((RunError, OSError), match=r"disk took|No space left"):
            file.append(step(2, loss=0.1))
    assert path.read_bytes() == before
    file.append(step(2, loss=0.2))
    file.close()
    assert [line["step"] for line in file.read()] == [1, 2]
