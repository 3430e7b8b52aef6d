"""Outputs are safe after a signal: tried on real processes."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.conftest import Write

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

SCRIPT = """
import os, signal, sys, time
from pnnlab.bench import Bench

# a shell may start a job in the background with signals ignored, which is inherited and which the bench respects
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

previous = signal.getsignal(signal.SIGTERM)
bench = Bench.from_file(sys.argv[1])
{body}
"""
WITH = """
with bench:
    print("ready", flush=True)
    time.sleep(60)
"""
WITHOUT = """
bench.open()
print("ready", flush=True)
time.sleep(60)
"""
SWALLOWING = """
with bench:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except SystemExit:
        # a script that will not end: the outputs are safe already
        print(open(sys.argv[2]).read().split(), flush=True)
        raise
"""
FORKING = """
with bench:
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(told, b"x")
        time.sleep(60)
    os.read(heard, 1)  # a signal that comes while the child is being made is lost
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status), os.path.exists(sys.argv[2]), flush=True)
"""
FORKING_AND_LEAVING = """
with bench:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    print(os.path.exists(sys.argv[2]), flush=True)
"""
HANGING = """
with bench:
    device = bench.devices["card"]
    device._make_safe = lambda: (print("hangs", flush=True), time.sleep(60))
    print("ready", flush=True)
    time.sleep(60)
"""
SLOW = """
with bench:
    device = bench.devices["card"]
    make_safe = device._make_safe

    def slowly():
        print("begins", flush=True) if not os.path.exists(sys.argv[2]) else None
        time.sleep(0.3)
        make_safe()
        print("is-safe", flush=True)

    device._make_safe = slowly
    print("ready", flush=True)
    time.sleep(60)
"""
RESTORING = """
with bench:
    during = signal.getsignal(signal.SIGTERM)
print(during != previous, signal.getsignal(signal.SIGTERM) == previous, flush=True)
"""
FORGETTING = """
bench.open()
"""


@contextmanager
def started(body: str, bench: Path, marker: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT.format(body=body), str(bench), str(marker)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def bench(write: Write, marker: Path) -> Path:
    return write(slm=f"marker: '{marker}'", card=f"marker: '{marker}'")


@pytest.mark.parametrize("body", [WITH, WITHOUT], ids=["with", "without"])
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -signal.SIGINT)],
    ids=["SIGTERM", "SIGHUP", "Ctrl-C"],
)
def test_a_signal_ends_the_process_with_safe_outputs(
    bench: Path, marker: Path, body: str, number: signal.Signals, status: int
) -> None:
    with started(body, bench, marker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == status
    # after SIGTERM the safe state is sent twice: at once, and again when nothing can be half-sent any more
    times = 1 if number == signal.SIGINT else 2
    assert marker.read_text().split() == ["card", "slm"] * times


def test_outputs_are_safe_before_the_script_can_object(bench: Path, marker: Path) -> None:
    with started(SWALLOWING, bench, marker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        told, _ = process.communicate(timeout=20)
    assert told == "['card', 'slm']\n"
    assert process.returncode == 143


def test_a_forked_worker_ends_without_a_word_to_the_instruments(bench: Path, marker: Path) -> None:
    with started(FORKING, bench, marker) as process:
        told, errors = process.communicate(timeout=20)
    assert told.splitlines()[-1] == f"{int(signal.SIGTERM)} False", errors
    assert marker.read_text().split() == ["card", "slm"], "the parent's own closing"


def test_a_forked_worker_that_leaves_closes_nothing(bench: Path, marker: Path) -> None:
    with started(FORKING_AND_LEAVING, bench, marker) as process:
        told, errors = process.communicate(timeout=20)
    assert told == "False\n", errors


def test_a_second_signal_leaves_a_hanging_device_behind(bench: Path, marker: Path) -> None:
    with started(HANGING, bench, marker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        for told in process.stdout:
            assert told == "hangs\n"
            time.sleep(1.1)  # what comes at once is the same demand, see below
            process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 143
    assert set(marker.read_text().split()) == {"slm"}


def test_a_signal_that_comes_twice_at_once_leaves_no_device_behind(bench: Path, marker: Path) -> None:
    """As by `timeout`, which tells the process and then its group."""
    with started(SLOW, bench, marker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "begins\n"
        process.terminate()
        told, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert told.split() == ["is-safe"] * 2 and marker.read_text().split() == ["card", "slm"] * 2


def test_the_previous_handler_is_restored(bench: Path, marker: Path) -> None:
    with started(RESTORING, bench, marker) as process:
        told, errors = process.communicate(timeout=20)
    assert told == "True True\n", errors


def test_a_forgotten_bench_is_closed_when_the_interpreter_ends(bench: Path, marker: Path) -> None:
    with started(FORGETTING, bench, marker) as process:
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert marker.read_text().split() == ["card", "slm"]
