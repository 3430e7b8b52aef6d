"""The kit bites: for a driver with one defect, the rule that is meant for it fails and says why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing import (  # noqa: F401 (each enters its drivers into BITES)
    broken_camera,
    broken_converters,
    broken_crossbar,
    broken_facts,
    broken_life,
    broken_runs,
    broken_setpoints,
    broken_slm,
    broken_trouble,
)
from tests.testing.broken import BITES, SUITES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# a plugin in a process of its own: a test run inside a test run would share pytest's own state
RUN = """
import json, sys
import pytest

class Told:
    def __init__(self):
        self.failures = {}
    def pytest_exception_interact(self, node, call, report):
        name = report.nodeid.split("::")[1]
        self.failures.setdefault(name, []).append(f"{call.excinfo.typename}: {call.excinfo.value}")

told = Told()
code = pytest.main(["-q", "--tb=line", "-p", "no:cacheprovider", *sys.argv[2:]], plugins=[told])
json.dump({"code": int(code), "failures": told.failures}, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Give, for every broken driver, how the rule that is meant for it failed."""
    found = tmp_path_factory.mktemp("broken") / "failures.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, found, *sorted(HERE.glob("broken_*.py"))], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.exists(), done.stderr
    result = json.loads(found.read_text())
    assert result["code"] == pytest.ExitCode.TESTS_FAILED, done.stdout
    failures: dict[str, list[str]] = result["failures"]
    return failures


@pytest.mark.parametrize("name", BITES)
def test_the_defect_is_found_by_its_rule(failures: dict[str, list[str]], name: str) -> None:
    _, rule, says = BITES[name]
    assert name in failures, f"{rule} passes on {name}"
    assert any(says in text for text in failures[name]), f"{rule} on {name} says: {failures[name]}"


def test_every_rule_of_the_kit_is_shown_to_bite() -> None:
    rules = {getattr(suite, name).__qualname__ for suite in SUITES.values() for name in dir(suite) if "test_" in name}
    bitten = {getattr(suite, rule).__qualname__ for suite, rule, _ in BITES.values()}
    assert rules - bitten == set()
