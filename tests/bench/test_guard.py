"""Outputs are safe when a program is killed, where nothing in it can act any more."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pnnlab.bench import Bench
from pnnlab.testing import SerialInstrument, TcpInstrument, WireInstrument
from tests.bench.guarded import Source

ROOT = Path(__file__).parents[2]
WITHIN_S = 20.0
"""A loaded machine takes its time to start a process."""


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def fake(request: pytest.FixtureRequest, source: Source) -> Iterator[WireInstrument]:
    with getattr(request, "param", TcpInstrument)(source) as fake:
        yield fake


@pytest.fixture
def bench(fake: WireInstrument, tmp_path: Path) -> Path:
    path = tmp_path / "instruments.yaml"
    path.write_text(
        "bench: {name: killed}\ndevices:\n"
        f"  source: {{driver: 'tests.bench.guarded:SourceDac', options: {{resource: '{fake.address}'}}}}\n",
        encoding="utf-8",
    )
    return path


def begin(bench: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.guarded", bench, how], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "live\n"
    return process


def eventually(what: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + WITHIN_S
    while not what() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return what()


@pytest.mark.parametrize(
    ("fake", "how"),
    [(TcpInstrument, "kill"), *([(SerialInstrument, "fork")] if hasattr(os, "fork") else [])],
    indirect=["fake"],
)
def test_a_killed_program_leaves_its_outputs_safe(bench: Path, source: Source, how: str) -> None:
    with begin(bench, how) as process:
        assert source.volts == 3.0
        process.kill()
        process.wait()
        assert eventually(lambda: source.volts == 0.0), "nobody made the output safe"


def test_a_program_that_ends_well_takes_its_guard_with_it(bench: Path, source: Source, fake: WireInstrument) -> None:
    with begin(bench, "well") as process:
        process.wait(WITHIN_S)
    assert source.volts == 0.0
    heard = len(fake.heard)
    time.sleep(1.5)
    assert len(fake.heard) == heard, "somebody else has spoken to the instrument"


def test_a_guard_that_ends_is_told(bench: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Bench.from_file(bench) as opened:
        process = opened._guard._process
        assert process is not None
        process.kill()
        assert eventually(lambda: "outputs are not guarded any more" in caplog.text)


def test_simulated_devices_need_no_guard(tmp_path: Path) -> None:
    with Bench.from_file(ROOT / "tests/cli/bench.yaml") as opened:
        assert opened._guard._process is None


def test_a_driver_that_cannot_be_imported_elsewhere_is_told(bench: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = Bench.from_file(bench)
    driver = opened.file.config.devices["source"].cls
    name, driver.__qualname__ = driver.__qualname__, "main.<locals>.SourceDac"
    try:
        with opened:
            assert opened._guard._process is None
    finally:
        driver.__qualname__ = name
    assert "source: its outputs are not guarded" in caplog.text
