import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import pnnlab
from pnnlab.runs import _provenance as provenance
from pnnlab.runs import collect_provenance

POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-in for git is a script with a first line")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a program named git first on the path; `asked` is its arguments after `-C folder`."""
    folder.mkdir()
    git = folder / "git"
    git.write_text(f"#!{sys.executable}\nimport sys, time\nasked = sys.argv[3:]\n{body}\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_it_tells_code_computer_and_command(tmp_path: Path) -> None:
    found = collect_provenance(tmp_path)
    assert found["pnnlab"] == pnnlab.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["command"] == sys.orig_argv
    assert found["folder"] == str(tmp_path)
    assert found["git"] is None
    packages = found["packages"]
    assert isinstance(packages, dict)
    assert packages["numpy"] == np.__version__
    assert packages["torch"] == metadata.version("torch")
    json.dumps(found, allow_nan=False)


def test_a_missing_package_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("numpy", "a-package-nobody-has"))
    packages = collect_provenance(tmp_path)["packages"]
    assert isinstance(packages, dict)
    assert "numpy" in packages
    assert "a-package-nobody-has" not in packages


def test_packages_that_bring_drivers_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lab_drivers-3.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-drivers\nVersion: 3.1\n")
    (folder / "entry_points.txt").write_text("[pnnlab.drivers]\nour-slm = lab_drivers:OurSlm\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = collect_provenance(tmp_path)["packages"]
    assert isinstance(packages, dict)
    assert packages["lab-drivers"] == "3.1"


def test_the_run_package_imports_neither_torch_nor_what_it_reports(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import pnnlab.runs\n"
        "found = pnnlab.runs.collect_provenance(Path(sys.argv[1]))\n"
        "assert found['packages']['torch'], found\n"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules), sorted(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@POSIX
@pytest.mark.parametrize(("changes", "dirty"), [("", False), (" M train.py", True), ("?? new.py", True)])
def test_revision_and_changes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: str, dirty: bool
) -> None:
    answers = f"print({'0123abcd'!r} if asked[0] == 'rev-parse' else {changes!r})"
    stand_in(tmp_path / "bin", monkeypatch, answers)
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "deep").mkdir()
    assert collect_provenance(tmp_path / "repo" / "deep")["git"] == {"revision": "0123abcd", "dirty": dirty}


@POSIX
def test_a_run_never_writes_into_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `git status` refreshes the index unless it is told not to
    stand_in(
        tmp_path / "bin", monkeypatch, "print('x'); sys.exit('status' in asked and asked[0] != '--no-optional-locks')"
    )
    (tmp_path / ".git").mkdir()
    assert collect_provenance(tmp_path)["git"] == {"revision": "x", "dirty": True}


@POSIX
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("sys.exit(128)", None),
        ("print('0123abcd'); sys.exit('status' in asked)", {"revision": "0123abcd", "dirty": None}),
        ("time.sleep(60)", None),
    ],
    ids=["no commit yet", "status refuses", "git hangs"],
)
def test_what_git_does_not_say_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, expected: dict[str, str] | None
) -> None:
    stand_in(tmp_path / "bin", monkeypatch, body)
    monkeypatch.setattr(provenance, "_GIT_TIMEOUT_S", 1.0)
    (tmp_path / ".git").mkdir()
    assert collect_provenance(tmp_path)["git"] == expected


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert collect_provenance(tmp_path)["git"] is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_real_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init")
    assert collect_provenance(tmp_path)["git"] is None
    (tmp_path / "train.py").write_text("1")
    git("add", "train.py")
    git("commit", "-m", "first")
    revision = git("rev-parse", "HEAD")
    assert collect_provenance(tmp_path)["git"] == {"revision": revision, "dirty": False}
    (tmp_path / "train.py").write_text("2")
    assert collect_provenance(tmp_path)["git"] == {"revision": revision, "dirty": True}
