"""The conformance kit by pytest's own command line, on devices of a bench file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pnnlab.bench import BenchFile
from pnnlab.devices import RealClock
from pnnlab.errors import SetpointError
from pnnlab.testing.evidence import who
from pnnlab.testing.on_bench import suites_of

ROOT = Path(__file__).parents[2]
BENCH = Path(__file__).with_name("memory_bench.yaml")


def run(tmp_path: Path, *arguments: str) -> tuple[str, dict[str, dict[str, object]]]:
    """Run pytest on the bench of these tests, apart from this project; return what it says and the evidence by rule."""
    (tmp_path / "pytest.ini").write_text("[pytest]", encoding="utf-8")
    found = tmp_path / "evidence.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-c", tmp_path / "pytest.ini",
         "--noconftest", "--bench", BENCH, "--pnnlab-evidence", found, *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    lines = found.read_text(encoding="utf-8").splitlines() if found.exists() else []
    entries = [json.loads(line) for line in lines]
    return done.stdout + done.stderr, {entry["rule"]: entry for entry in entries}


def test_the_suite_of_the_role_is_run_and_what_it_shows_is_kept(tmp_path: Path) -> None:
    _, rules = run(tmp_path, "--pnnlab-device", "camera")
    assert {(entry["driver"], entry["peer"]) for entry in rules.values()} == {
        ("tests.testing.memory_devices:MemoryCamera", "the device of the bench file")
    }
    assert "failed" not in {entry["outcome"] for entry in rules.values()}
    told = rules["test_the_identity_is_told"]
    assert (told["checks"], told["outcome"]) == (["identity"], "shown")
    gone = rules["test_an_instrument_that_is_gone_is_told_in_time"]
    assert (gone["checks"], gone["outcome"], gone["reason"]) == (
        ["unplugged"], "needs the device", "a hand that unplugs it"
    )  # fmt: skip
    assert rules["test_readings_go_on_where_the_counter_begins_again"]["outcome"] == "shown"


def test_live_outputs_move_only_where_that_is_asked_for(tmp_path: Path) -> None:
    said, rules = run(tmp_path, "--pnnlab-device", "dac", "-k", "limits or expected or second")
    assert "not shown: moves live outputs; say where it may: --pnnlab-outputs 'voltage=LOW to HIGH'" in said
    assert rules["test_values_up_to_the_limits_are_accepted"]["outcome"] == "not shown"
    assert rules["test_the_expected_instrument_is_taken"]["outcome"] == "shown"
    assert rules["test_a_second_client_is_refused_before_a_byte_is_sent"]["outcome"] == "shown"
    said, rules = run(tmp_path, "--pnnlab-device", "dac", "--pnnlab-outputs", "voltage=0 V to 5 V", "-k", "limits")
    assert rules["test_values_up_to_the_limits_are_accepted"]["outcome"] == "shown"


def test_a_wrong_name_is_told_in_one_line(tmp_path: Path) -> None:
    said, _ = run(tmp_path, "--pnnlab-device", "dca")
    assert "did you mean 'dac'?" in said and "Traceback" not in said


def test_a_missing_bench_file_is_told_in_one_line(tmp_path: Path) -> None:
    said, _ = run(tmp_path, "--pnnlab-device", "dac", "--bench", "none.yaml")
    assert "none.yaml; name yours with --bench FILE" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("asked", "says"), [("volts=0 V to 1 V", "has the quantities voltage"), ("voltage=0 to 1", "write it as")]
)
def test_a_range_that_does_not_fit_is_refused(asked: str, says: str) -> None:
    with pytest.raises(SetpointError, match=says):
        suites_of(BenchFile.load(BENCH), "dac", [asked])


def test_outputs_stay_within_the_range_and_the_bench_file() -> None:
    suite = suites_of(BenchFile.load(BENCH), "dac", ["voltage=0 V to 5 V"])["TestDAC"]
    with suite().make(clock=RealClock()) as device:
        limits = device.limits("voltage")
        assert (limits.low, limits.high) == (0.0, 2.0)


def test_a_simulated_device_has_its_plant_and_its_neighbours() -> None:
    suite = suites_of(BenchFile.load(ROOT / "tests/cli/bench.yaml"), "camera", [])["TestCamera"]()
    with suite.make(clock=suite.clock()) as device:
        suite.begin(device, 2)
        assert len(suite.read(device, 2, 1.0)[0]) == 2
    assert who(type(suite)) == ("sim-camera", "simulated physics")
