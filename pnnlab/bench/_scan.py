"""All installed drivers asked at once what they could open."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from pnnlab.bench._registry import InstalledDriver, installed_drivers

__all__ = ["Found", "Scan", "scan"]


@dataclass(frozen=True)
class Found:
    """An instrument that a driver could open.

    Attributes:
        driver: The driver's name.
        roles: What it can be.
        identity: Vendor, model, serial and firmware, as far as it tells them.
        options: The keys below `options:` of a bench file that open it.
        note: One line for people; may be empty.
    """

    driver: str
    roles: Sequence[str]
    identity: Mapping[str, str]
    options: Mapping[str, object]
    note: str


@dataclass(frozen=True)
class Scan:
    """What the drivers have answered.

    Attributes:
        found: The instruments, in the order of the drivers.
        asked: The drivers that have answered.
        failed: The drivers that have not, and why.
    """

    found: Sequence[Found]
    asked: Sequence[str]
    failed: Mapping[str, str]


def scan(*, timeout_s: float = 20.0, drivers: Iterable[str] | None = None) -> Scan:
    """Ask drivers what they could open, side by side and each family in a process of its own.

    A driver that hangs or that takes its process down with it keeps only its own family from answering.

    Args:
        timeout_s: How long to wait for all of them together.
        drivers: Their names; all that are installed if `None`.
    """
    installed = installed_drivers()
    names = list(dict.fromkeys(entry.name for entry in installed)) if drivers is None else list(drivers)
    workers = [_Worker(family) for family in families(names, installed)]
    deadline_s = time.monotonic() + timeout_s
    for worker in workers:
        worker.wait(deadline_s)
    answers = {answer["driver"]: answer for worker in workers for answer in worker.answers}
    failed = {
        name: str(answers[name]["error"]) if name in answers else worker.why(timeout_s)
        for worker in workers
        for name in worker.names
        if "error" in answers.get(name, {"error": ""})
    }
    found = [
        Found(name, answers[name]["roles"], entry["identity"], entry["options"], entry["note"])
        for name in names
        if name not in failed
        for entry in answers[name]["candidates"]
    ]
    return Scan(found, [name for name in names if name not in failed], failed)


class _Worker:
    """A process that asks the drivers of one family."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.answers: list[dict[str, Any]] = []  # JSON
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "pnnlab.bench.scan_worker", *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self._hung = False
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def wait(self, deadline_s: float) -> None:
        """Return when all have answered, or end the process when it is time."""
        self._reader.join(max(0.0, deadline_s - time.monotonic()))
        self._hung = self._reader.is_alive()
        if self._hung:
            self._process.kill()
            self._reader.join()
        self._process.wait()

    def why(self, timeout_s: float) -> str:
        """Return why a driver has not answered."""
        if self._hung:
            return f"has not answered within {timeout_s:g} s; look at its instruments and at its vendor's library"
        others = f", which it shares with {', '.join(self.names)}" if len(self.names) > 1 else ""
        return f"its process{others} ended with code {self._process.returncode}; look at its vendor's library"

    def _read(self, lines: IO[str] | None) -> None:
        with lines or io.StringIO() as answers:
            for line in answers:
                self.answers.append(json.loads(line))


def families(names: Sequence[str], installed: Sequence[InstalledDriver]) -> list[list[str]]:
    """Return drivers that lie in one package together: they share their vendor's library."""
    package = {entry.name: entry.target.partition(":")[0].rpartition(".")[0] for entry in installed}
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(package.get(name, name), []).append(name)
    return list(families.values())
