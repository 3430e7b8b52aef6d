"""The start of the command line: quick, without what only some commands need, in every encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pnnlab.runs import Run

HEAVY = ("torch", "numpy", "scipy", "pydantic", "matplotlib", "sklearn", "ignite", "pint", "ruamel", "xarray", "rich")
# as the installed command does, whether installed or not
COMMAND = "import sys; from pnnlab.cli import main; main(sys.argv[1:])"


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, which finds the packages where this one does."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=env, timeout=60)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = f"""
import sys, time
from pnnlab.cli import main
try:
    main(["--help"])
finally:
    print([name for name in {HEAVY} if name in sys.modules], time.process_time())
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    imported, cpu_s = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert imported == "[]"
    # processor time, which other loads do not stretch much; 0.07 s when this was written
    assert float(cpu_s) < 0.5


def test_runs_are_listed_without_torch(tmp_path: Path) -> None:
    Run.create(tmp_path, "digits twin", kind="fit", configuration={}).finish("finished")
    code = f"""
import sys
from pnnlab.cli import main
try:
    main(["runs", "--runs", {str(tmp_path)!r}])
finally:
    print([name for name in {HEAVY} if name in sys.modules and name not in ("pydantic", "rich")])
"""
    # rich draws the table, and typer reads options with pydantic where that is installed
    assert python(code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp1252:strict", "utf-8:strict"])
def test_every_encoding_of_a_terminal_will_do(tmp_path: Path, encoding: str) -> None:
    root = tmp_path / "Ω"
    run = Run.create(root, "φ-Träume", kind="fit", configuration={})
    run.finish("finished", {"optics": {"r2_total": 0.98}})
    listed = python(COMMAND, "runs", "--runs", str(root), PYTHONIOENCODING=encoding)
    assert listed.returncode == 0, listed.stderr
    assert "0.9800 optics" in listed.stdout  # the table holds R² and φ
    refused = python(COMMAND, "runs", "show", "99", "--runs", str(root), PYTHONIOENCODING=encoding)
    assert refused.returncode == 2
    assert "is named '99'" in refused.stderr  # the message holds Ω


def test_the_module_is_the_command() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-m", "pnnlab", "--version"], capture_output=True, env=env, check=True)
    assert done.stdout.startswith(b"pnnlab ")
