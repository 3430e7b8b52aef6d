"""The package on the page about methods of one's own, installed as it stands there."""

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pnnlab.methods import find_method, known_methods, make_method

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-method.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install what a wheel of the package holds: its module, and the entry points that its project file says."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads(block("toml"))
    (module,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]
    (site / module).write_text(block("python"), encoding="utf-8")
    name, version = project["project"]["name"], project["project"]["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = []
    for group, offered in project["project"]["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in offered.items())]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    known_methods.cache_clear()
    yield
    monkeypatch.undo()
    known_methods.cache_clear()


def test_it_is_about_forty_lines() -> None:
    assert 30 < len([line for line in block("python").splitlines() if line.strip()]) <= 45


@pytest.mark.usefixtures("installed")
def test_it_is_known_with_its_options() -> None:
    assert "hill_climb" in known_methods()
    assert find_method("hill_climb").summary == "a random step of all controls is kept if the loss falls"
    assert make_method("hill_climb", {"size": 0.1}).options.model_dump() == {"size": 0.1}


def test_it_trains_from_the_command_line(site: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(site), *sys.path])
    bench = str(ROOT / "tests" / "data" / "small.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "pnnlab", "train", "--bench", bench, "--method", "hill_climb", "--epochs", "2",
         "--set", "method_options.hill_climb.size=0.05", "--set", "batch=500", "--json"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths, "XDG_STATE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # two layers, twice the 1247 digits an epoch, 100 to validate with, 450 to test with
    assert told["shots"] == 2 * (2 * (2 * 1247 + 100) + 450)
    assert told["steps"] == 6
