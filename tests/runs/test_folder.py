import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pnnlab.errors import RunError
from pnnlab.runs import find_run, list_runs
from pnnlab.runs._folder import RECORD, make_folder

DAY = datetime(2026, 3, 9, 23, 59, tzinfo=UTC)


def made(root: Path, *names: str) -> list[Path]:
    folders = [make_folder(root, name, DAY) for name in names]
    for folder in folders:
        (folder / RECORD).touch()
    return folders


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("MNIST, 4 layers", "mnist-4-layers"),
        ("Größe/../x", "groe-x"),
        ("  ", "run"),
        ("Ω", "run"),
        ("con\\nul:?*", "con-nul"),
        ("a" * 200, "a" * 60),
    ],
)
def test_a_name_becomes_a_folder_that_every_system_can_read(tmp_path: Path, name: str, slug: str) -> None:
    assert make_folder(tmp_path, name, DAY).name == f"2026-03-09_0001_{slug}"


def test_counters_run_on_over_days_and_past_gaps(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01_0041_older").mkdir()
    (tmp_path / "2026-01-01_9_no-run").mkdir()
    (tmp_path / "2026-01-01_0099_a-file").touch()
    assert make_folder(tmp_path, "x", DAY).name == "2026-03-09_0042_x"
    (tmp_path / "2026-01-01_9999_x").mkdir()
    assert make_folder(tmp_path, "x", DAY).name == "2026-03-09_10000_x"


def test_missing_parents_are_made(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b", "x", DAY).is_dir()


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot be recorded in .*file"):
        make_folder(tmp_path / "file", "x", DAY)


def test_processes_that_start_at_once_get_different_folders(tmp_path: Path) -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from pnnlab.runs._folder import make_folder\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(25): make_folder(Path(sys.argv[1]), 'same', datetime.now(UTC))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "runs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=30)
        assert process.returncode == 0
    folders = sorted(path.name for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert [int(name.split("_")[1]) for name in folders] == list(range(1, 101))


def test_runs_are_listed_by_counter(tmp_path: Path) -> None:
    later = tmp_path / "2026-03-09_10001_b"
    earlier = tmp_path / "2026-03-10_9999_a"
    unborn = tmp_path / "2026-03-10_10002_c"
    for folder in (later, earlier, unborn, tmp_path / "other"):
        folder.mkdir()
    for folder in (later, earlier):
        (folder / RECORD).touch()
    assert list_runs(tmp_path) == [earlier, later]
    assert list_runs(tmp_path / "missing") == []


def test_a_run_is_found_by_name_counter_beginning_and_latest(tmp_path: Path) -> None:
    first, second, third = made(tmp_path, "one", "two", "three")
    assert find_run(tmp_path, first.name) == first
    assert find_run(tmp_path, "2") == find_run(tmp_path, "0002") == second
    assert find_run(tmp_path, "2026-03-09_0003") == third
    assert find_run(tmp_path, "latest") == third


def test_a_full_name_wins_over_a_longer_one(tmp_path: Path) -> None:
    for name in ("2026-03-09_0001_fit", "2026-03-09_0001_fit-again"):
        (tmp_path / name).mkdir()
        (tmp_path / name / RECORD).touch()
    assert find_run(tmp_path, "2026-03-09_0001_fit").name == "2026-03-09_0001_fit"
    with pytest.raises(RunError, match="'1' fits 2 runs"):
        find_run(tmp_path, "1")


@pytest.mark.parametrize("text", ["17", "four", ""])
def test_an_unknown_run_lists_what_there_is(tmp_path: Path, text: str) -> None:
    made(tmp_path, "one", "two")
    with pytest.raises(RunError, match=r"there are 2026-03-09_0002_two, 2026-03-09_0001_one$"):
        find_run(tmp_path, text)


def test_an_ambiguous_beginning_lists_the_candidates(tmp_path: Path) -> None:
    made(tmp_path, *"abcdefghij")
    with pytest.raises(RunError, match=r"fits 10 runs in .*: 2026-03-09_0010_j, .*_0003_c and 2 older; write more"):
        find_run(tmp_path, "2026-03")


def test_an_empty_root_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run in"):
        find_run(tmp_path, "latest")
