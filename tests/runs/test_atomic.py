import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from pnnlab.errors import RunError
from pnnlab.runs import previous_path, read_or_previous, write_atomically
from pnnlab.runs._atomic import remove_leftovers, replace_atomically


class PowerCutError(BaseException):
    """Stands for the end of the process: no handler of the code under test may go on after it."""


def content(text: bytes) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        file.write(text)

    return write


def whole(file: BinaryIO) -> bytes:
    text = file.read()
    if not text.endswith(b"."):
        raise EOFError("the end is missing")
    return text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_first_write_makes_one_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "last.pt", content(b"one."))
    assert names(tmp_path) == {"last.pt"}
    assert read_or_previous(tmp_path / "last.pt", whole) == (b"one.", None)


def test_the_previous_file_is_kept_and_only_one(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    for text in (b"one.", b"two.", b"three."):
        write_atomically(path, content(text))
    assert path.read_bytes() == b"three."
    assert previous_path(path) == tmp_path / "last.previous.pt"
    assert previous_path(path).read_bytes() == b"two."
    assert names(tmp_path) == {"last.pt", "last.previous.pt"}


def test_replacing_keeps_no_previous_one(tmp_path: Path) -> None:
    for text in (b"one.", b"two."):
        replace_atomically(tmp_path / "run.json", content(text))
    assert names(tmp_path) == {"run.json"}
    assert (tmp_path / "run.json").read_bytes() == b"two."


def test_a_writer_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    write_atomically(path, content(b"one."))

    def half(file: BinaryIO) -> None:
        file.write(b"tw")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, half)
    assert names(tmp_path) == {"last.pt"}
    assert path.read_bytes() == b"one."


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_the_file_has_the_permissions_of_an_ordinary_one(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_atomically(tmp_path / "last.pt", content(b"one."))
    assert (tmp_path / "last.pt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("after", range(3))
def test_killed_between_the_renames_something_whole_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = tmp_path / "last.pt"
    write_atomically(path, content(b"one."))
    write_atomically(path, content(b"two."))
    rename = os.replace
    done: list[Path] = []

    def dying(source: Path, target: Path) -> None:
        if len(done) == after:
            raise PowerCutError
        done.append(target)
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        if after < 2:
            with pytest.raises(PowerCutError):
                write_atomically(path, content(b"three."))
        else:
            write_atomically(path, content(b"three."))
    text, warning = read_or_previous(path, whole)
    assert (text, warning is None) == [(b"two.", True), (b"two.", False), (b"three.", True)][after]
    remove_leftovers(tmp_path)
    write_atomically(path, content(b"four."))
    assert read_or_previous(path, whole) == (b"four.", None)
    assert previous_path(path).read_bytes() in (b"two.", b"three.")
    assert names(tmp_path) == {"last.pt", "last.previous.pt"}


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, rename = os.fsync, os.replace

    def synced(handle: int) -> None:
        events.append("fsync")
        sync(handle)

    def renamed(source: Path, target: Path) -> None:
        events.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write_atomically(tmp_path / "last.pt", content(b"one."))
    folder = [] if os.name == "nt" else ["fsync"]
    assert events == ["fsync", "rename", *folder]


@pytest.mark.parametrize("torn", [b"", b"tw", None])
def test_a_torn_file_gives_the_previous_one_and_a_warning(tmp_path: Path, torn: bytes | None) -> None:
    path = tmp_path / "last.pt"
    for text in (b"one.", b"two."):
        write_atomically(path, content(text))
    path.unlink() if torn is None else path.write_bytes(torn)
    text, warning = read_or_previous(path, whole)
    assert text == b"one."
    assert warning is not None
    reason = "it is missing" if torn is None else "EOFError: the end is missing"
    assert warning == f"last.pt does not read ({reason}); the previous one, last.previous.pt, was taken instead"


def test_where_both_are_torn_the_error_says_why(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(b"tw")
    with pytest.raises(
        RunError, match=r"last\.pt does not read \(EOFError.*nor does last\.previous\.pt \(it is missing"
    ):
        read_or_previous(path, whole)


def test_leftovers_of_a_killed_writer_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".last.pt.0123abcd.writing", "last.pt", "writing", ".lock"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {"last.pt", "writing", ".lock"}
