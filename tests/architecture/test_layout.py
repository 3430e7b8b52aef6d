"""What the layout promises: front doors list what they export, names say what they are, listing stays light."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pnnlab

ROOT = Path(__file__).parents[2]
PACKAGES = [module.name for module in pkgutil.iter_modules(pnnlab.__path__) if module.ispkg]
REFUSED = {"utils", "helpers", "common", "misc", "manager"}


@pytest.mark.parametrize("name", PACKAGES)
def test_front_door_lists_what_it_exports(name: str) -> None:
    package = importlib.import_module(f"pnnlab.{name}")
    exported = package.__all__
    # upper-case constants first, then classes, then functions, each sorted; a single letter is a type
    assert list(exported) == sorted(exported, key=lambda n: (len(n) == 1 or not n.isupper(), not n[0].isupper(), n))
    assert all(hasattr(package, entry) for entry in exported)


def test_no_module_hides_behind_an_empty_name() -> None:
    files = [*ROOT.glob("pnnlab/**/*.py"), *ROOT.glob("drivers/**/*.py")]
    assert len(files) > 50
    assert not [file for file in files if file.stem.strip("_") in REFUSED]


@pytest.mark.parametrize("name", ["devices", "systems", "bench", "runs", "errors", "quantities", "transports"])
def test_what_touches_hardware_starts_without_torch(name: str) -> None:
    code = f"import sys, pnnlab.{name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 0


def test_readme_commands_stand_in_ci() -> None:
    readme, check = (ROOT / "README.md").read_text(encoding="utf-8"), (ROOT / ".ci" / "run").read_text()
    assert "scripts/check" in readme and "scripts/check" in check


def test_constraints_pin_every_requirement() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        requirement.split(">")[0].split("[")[0].lower().replace("_", "-")
        for requirement in [*project["dependencies"], *extras["test"], *extras["peers"], *extras["dev"]]
    } - {"pnnlab"}
    assert wanted <= pinned
