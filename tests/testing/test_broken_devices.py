"""The kit bites: for a driver with one defect, the rule that is meant for it fails and says why."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.broken_devices import RULES

BROKEN = Path(__file__).with_name("broken_devices.py")
ROOT = BROKEN.parents[2]

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
code = pytest.main(["-q", "--tb=line", "-p", "no:cacheprovider", sys.argv[1]], plugins=[told])
json.dump({"code": int(code), "failures": told.failures}, open(sys.argv[2], "w"))
"""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Give, for every broken driver, how the rule that is meant for it failed."""
    found = tmp_path_factory.mktemp("broken") / "failures.json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, BROKEN, found], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.exists(), done.stderr
    result = json.loads(found.read_text())
    assert result["code"] == pytest.ExitCode.TESTS_FAILED, done.stdout
    failures: dict[str, list[str]] = result["failures"]
    return failures


@pytest.mark.parametrize("name", RULES)
def test_the_defect_is_found_by_its_rule(failures: dict[str, list[str]], name: str) -> None:
    rule, says = RULES[name]
    assert name in failures, f"{rule} passes on {name}"
    assert any(says in text for text in failures[name]), f"{rule} on {name} says: {failures[name]}"
