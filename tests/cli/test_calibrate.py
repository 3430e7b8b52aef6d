"""`pnnlab calibrate`."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def record(pnnlab) -> dict:
    """Calibrate the settling; return its facts."""
    answer = pnnlab("calibrate", "run", "settling", "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "calibrations").rglob("*.nc"))


def test_a_run_tells_what_it_found_and_keeps_it(pnnlab, folder) -> None:
    answer = pnnlab("calibrate", "run", "settling")
    assert answer.code == 0
    assert answer.out.startswith("settling of optics: PASS\n")
    # a panel of 5 ms: 26.5 ms leave half a percent of a step's phase
    assert " ms" in answer.out and "settle_s     (27." in answer.out
    assert "looking closely where the light settles" in answer.err
    (file,) = files(folder)
    assert file.stem.rsplit("-", 1)[1] == answer.out.split()[-1]


def test_every_kind_runs_on_the_only_system_it_fits(pnnlab, folder) -> None:
    for kind in ("settling", "latency", "repeatability"):
        assert pnnlab("calibrate", "run", kind, "--set", "seed=3").code == 0
    assert len(files(folder)) == 3


def test_a_second_run_is_compared_with_the_first(pnnlab, record) -> None:
    answer = pnnlab("calibrate", "run", "settling", "--set", "seed=5")
    assert "before" in answer.out and "moved by" in answer.out
    listed = json.loads(pnnlab("calibrate", "list", "--json").out)
    assert [entry["supersedes"] for entry in listed] == [None, record["id"]]
    assert pnnlab("calibrate", "list").out.count("superseded") == 1


def test_records_are_listed_shown_and_drawn(pnnlab, folder, record) -> None:
    listed = pnnlab("calibrate", "list")
    assert record["id"][:8] in listed.out and "latest" in listed.out
    shown = pnnlab("calibrate", "show", record["id"][:6], "--plot", "curves.png")
    for text in (record["id"], "simulated phase SLM SIM-SLM-1", "mode  sequence", "What is left of a step"):
        assert text in shown.out
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    answer = pnnlab("calibrate", "show", "nosuch")
    assert answer.code == 2 and "begins with 'nosuch'" in answer.err and record["id"] in answer.err
    facts = json.loads(pnnlab("calibrate", "show", record["id"], "--json").out)
    assert facts["values"]["settle_s"] == record["values"]["settle_s"]


def test_nothing_is_listed_before_anything_is_calibrated(pnnlab) -> None:
    answer = pnnlab("calibrate", "list")
    assert answer.code == 0 and "there are no calibration records in" in answer.out


def test_status_tells_what_systems_go_by(pnnlab) -> None:
    before = pnnlab("calibrate", "status")
    assert "settles in 30 ms (data sheet)" in before.out
    record = json.loads(pnnlab("calibrate", "run", "settling", "--json").out)
    after = json.loads(pnnlab("calibrate", "status", "--json").out)
    (system,) = after
    assert system["kinds"]["settling"]["id"] == record["id"] and system["kinds"]["latency"]["id"] is None
    timing = system["timings"]["slm"]
    assert timing["settle_from"] == record["id"] and timing["latency_from"] == "data sheet"
    found = record["values"]["settle_s"]
    assert timing["settle_s"] == pytest.approx(found["value"] + 2 * found["uncertainty"])


def test_another_panel_is_not_calibrated_by_this_one(pnnlab, edit, record) -> None:
    edit("{ shape: [16, 16], bend:", "{ shape: [16, 16], serial: SIM-SLM-2, bend:")
    answer = pnnlab("calibrate", "status")
    assert "settles in 30 ms (data sheet)" in answer.out
    assert "SIM-SLM-1" in " ".join(answer.out.split())


def test_a_bad_record_counts_no_more_but_stays(pnnlab, folder, record) -> None:
    answer = pnnlab("calibrate", "mark-bad", record["id"][:8], "--reason", "the door was open")
    assert answer.code == 0
    assert "the door was open" in pnnlab("calibrate", "list").out
    assert "data sheet" in pnnlab("calibrate", "status").out
    assert len(files(folder)) == 1
    assert pnnlab("calibrate", "mark-bad", record["id"][:8]).code == 2, "a reason is asked for"


def test_a_failed_calibration_is_kept_and_told_by_the_exit_code(pnnlab, edit, folder) -> None:
    edit("medium_mismatch: 0.1", "medium_mismatch: 0.1\n      photons_per_pixel_s: 1")
    answer = pnnlab("calibrate", "run", "settling")
    assert answer.code == 3
    assert "FAIL" in answer.out and "look whether the light is on" in answer.out
    assert len(files(folder)) == 1
    assert "data sheet" in pnnlab("calibrate", "status").out


def test_damaged_files_are_told_and_left_alone(pnnlab, folder, record) -> None:
    (file,) = files(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for command in (("list",), ("status",)):
        answer = pnnlab("calibrate", *command)
        assert answer.code == 0 and "Traceback" not in answer.err
    assert "1 file is no record" in pnnlab("calibrate", "list").err
    assert "data sheet" in pnnlab("calibrate", "status").out
    assert pnnlab("calibrate", "show", record["id"]).code != 0
    assert file.read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("run", "focus"), 2, "kinds are settling, latency, repeatability"),
        (("run", "settling", "nosuch"), 2, "no system is named 'nosuch'; systems are optics"),
        (("run", "settling", "--set", "averages=-1"), 2, "averages: -1 is too small; allowed is at least 2"),
        (("run", "settling", "--set", "colour=red"), 2, "colour"),
        (("show", "123"), 2, "there is no calibration record in"),
        (("list", "--bench", "nosuch.yaml"), 2, "there is no such file"),
    ],
)
def test_mistakes_are_told_and_nothing_is_stored(pnnlab, folder, arguments, code, told) -> None:
    answer = pnnlab("calibrate", *arguments)
    assert answer.code == code
    assert told in answer.err and "Traceback" not in answer.err
    assert not files(folder)


def test_kinds_are_listed_with_their_options(pnnlab) -> None:
    answer = pnnlab("calibrate", "kinds")
    assert "from the hand-over of a setpoint to its first effect" in " ".join(answer.out.split())
    kinds = {entry["kind"]: entry for entry in json.loads(pnnlab("calibrate", "kinds", "--json").out)}
    assert kinds["settling"]["options"]["tolerance"] == 0.01
