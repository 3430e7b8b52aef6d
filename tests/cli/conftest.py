"""The command line in this process, in a folder that holds a small bench."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pnnlab.cli import main

BENCH = Path(__file__).parent / "bench.yaml"


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str


PnnlabCommand = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a fresh folder with `instruments.yaml`."""
    shutil.copy(BENCH, tmp_path / "instruments.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PNNLAB_BENCH", raising=False)
    return tmp_path


@pytest.fixture
def pnnlab(folder: Path, capsys: pytest.CaptureFixture[str]) -> PnnlabCommand:
    """Return a function that runs the command line with arguments."""

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str], None]:
    """Return a function that replaces a text in the bench file, which must stand there once."""
    path = folder / "instruments.yaml"

    def replace(old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace
