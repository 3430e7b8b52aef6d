"""What a run of tests has shown of drivers."""

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from pnnlab.devices import Device
from pnnlab.testing._checks import APPLIES_NOT, NEEDS_DEVICE, NOT_SHOWN
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing.on_bench import OnBench

__all__ = ["Evidence", "EvidencePlugin", "Outcome", "read_evidence", "who"]

Outcome = Literal["shown", "failed", "needs the device", "does not apply", "not shown"]

_SIMULATED: Final = "simulated physics"
_NAMELESS: Final = "a peer without a name"


@dataclass(frozen=True)
class Evidence:
    """What one test has shown.

    Attributes:
        driver: The driver's name in bench files; a driver without one is named by its class.
        peer: What it talked to.
        checks: What the test is made to show; may be empty.
        rule: The test.
        outcome: What came of it.
        reason: Why it showed nothing, or how it failed.
    """

    driver: str
    peer: str
    checks: tuple[str, ...]
    rule: str
    outcome: Outcome
    reason: str = ""


@dataclass
class EvidencePlugin:
    """Collects what the tests show while pytest runs; mutable, for each test adds to it."""

    config: pytest.Config
    found: list[Evidence] = field(default_factory=list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep what a test has come to."""
        report = yield
        if report.when == "call" or report.outcome != "passed":
            evidence = _evidence(item, report)
            if evidence is not None:
                self._keep(evidence)
        return report

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Skip what moves live outputs where that was not asked for."""
        for item in items:
            why = getattr(getattr(item, "cls", None), "unasked", "")
            if why and not item.get_closest_marker("pnnlab_quiet"):
                item.add_marker(pytest.mark.skip(reason=why))

    def _keep(self, evidence: Evidence) -> None:
        self.found.append(evidence)
        path = self.config.getoption("pnnlab_evidence")
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(evidence)) + "\n")


def read_evidence(path: Path) -> list[Evidence]:
    """Return what `--pnnlab-evidence` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = [json.loads(line) for line in lines]
    return [Evidence(**{**entry, "checks": tuple(entry["checks"])}) for entry in entries]


def _evidence(item: pytest.Item, report: pytest.TestReport) -> Evidence | None:
    """Return what a test shows; `None` for one that is not about a driver."""
    suite, mark = getattr(item, "cls", None), item.get_closest_marker("pnnlab_driver")
    found = who(suite) if isinstance(suite, type) else None
    if mark is not None:
        found = str(mark.args[0]), str(mark.kwargs.get("peer") or (found[1] if found else _NAMELESS))
    if found is None:
        return None
    checks = [str(check) for mark in item.iter_markers("pnnlab_shows") for check in mark.args]
    outcome, reason = _outcome(report)
    return Evidence(*found, tuple(dict.fromkeys(checks)), item.name, outcome, reason)


def who(suite: type) -> tuple[str, str] | None:
    """Return the driver that a class of tests is about and what that talks to; `None` if it is no conformance class."""
    if not issubclass(suite, DeviceConformance):
        return None
    driver = suite.file.config.devices[suite.name].cls if issubclass(suite, OnBench) else _driver_of(suite)
    return _name_of(driver), suite.peer or (_SIMULATED if driver.needs_plant else _NAMELESS)


def _driver_of(suite: type) -> type[Device]:
    """Return the driver that a conformance class is written for: `DACConformance[Mine]` is for `Mine`."""
    for base in suite.__mro__:
        for parent in getattr(base, "__orig_bases__", ()):
            for argument in get_args(parent):
                if isinstance(argument, type) and issubclass(argument, Device):
                    return argument
    return Device


def _name_of(driver: type[Device]) -> str:
    target = f"{driver.__module__}:{driver.__qualname__}"
    names = [entry.name for entry in entry_points(group="pnnlab.drivers") if entry.value == target]
    return names[0] if names else target


def _outcome(report: pytest.TestReport) -> tuple[Outcome, str]:
    if report.passed:
        return "shown", ""
    text = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        return "failed", str(getattr(crash, "message", text))
    for start, outcome in ((NEEDS_DEVICE, "needs the device"), (APPLIES_NOT, "does not apply")):
        if text.startswith(start):
            return outcome, text.removeprefix(start)  # type: ignore[return-value]  # both are outcomes
    return "not shown", text.removeprefix(NOT_SHOWN)
