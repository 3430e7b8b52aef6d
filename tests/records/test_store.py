"""Calibration records: append-only, content-addressed, and never used where they do not count."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray

from pnnlab.errors import RecordError
from pnnlab.records import CalibrationRecord, CalibrationStore, Value, Verdict
from pnnlab.systems import Facilities, SlmCamera
from tests.benches import OpticalBench

SLM = {"vendor": "pnnlab", "model": "panel", "serial": "1", "firmware": "1"}
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def record(
    value: float = 20e-3, *, hours: float = 0.0, verdict: Verdict = Verdict.PASS, **changes: object
) -> CalibrationRecord:
    data = xarray.Dataset(
        {"response": ("delay_s", np.exp(-np.arange(4.0)), {"units": "1"})},
        {"delay_s": ("delay_s", np.arange(4.0), {"units": "s"})},
    )
    fields: dict[str, object] = {
        "kind": "settling", "subject": "optics", "devices": {"slm": SLM}, "conditions": {"mode": "sequence"},
        "created": NOON + timedelta(hours=hours), "values": {"settle_s": Value(value, 1e-3, "s")}, "verdict": verdict,
        "reasons": ("the light never settled",) if verdict is Verdict.FAIL else (), "data": data,
    }  # fmt: skip
    return CalibrationRecord(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> CalibrationStore:
    return CalibrationStore(tmp_path / "calibrations")


def latest(store: CalibrationStore, **changes: object) -> CalibrationRecord | None:
    key: dict[str, object] = {"devices": {"slm": SLM}, "conditions": {"mode": "sequence"}, **changes}
    return store.latest("settling", "optics", **key)  # type: ignore[arg-type]


def test_a_record_comes_back_as_it_was(store: CalibrationStore) -> None:
    added = store.add(record())
    found = store.get(added.id[:6])
    assert found == added and found.values["settle_s"] == Value(20e-3, 1e-3, "s")
    xarray.testing.assert_identical(found.data, added.data)
    (file,) = store.folder.rglob("*.nc")
    with xarray.open_dataset(file, engine="h5netcdf") as plain:  # as any other tool reads it
        assert float(plain["settle_s"]) == 20e-3 and plain["settle_s"].attrs["units"] == "s"


def test_the_newest_record_that_passed_counts(store: CalibrationStore) -> None:
    store.add(record(20e-3))
    newer = store.add(record(21e-3, hours=1))
    store.add(record(90e-3, hours=2, verdict=Verdict.FAIL))
    assert latest(store) == newer
    assert newer.supersedes is not None and store.get(newer.supersedes).values["settle_s"].value == 20e-3


@pytest.mark.parametrize(
    "changes", [{"devices": {"slm": {**SLM, "serial": "2"}}}, {"conditions": {"mode": "overlapped"}}]
)
def test_a_record_of_another_device_or_condition_does_not_count(
    store: CalibrationStore, changes: dict[str, object]
) -> None:
    store.add(record())
    assert latest(store, **changes) is None and latest(store) is not None
    assert latest(store, devices={"slm": {**SLM, "firmware": "9"}}) is not None


def test_a_record_marked_bad_does_not_count_and_stays(store: CalibrationStore) -> None:
    good, bad = store.add(record()), store.add(record(40e-3, hours=1))
    store.mark_bad(bad.id, "the laser was off")
    assert latest(store) == good and bad in store.records()


def test_an_edited_or_broken_file_is_told_and_never_used(store: CalibrationStore) -> None:
    store.add(record())
    (file,) = store.folder.rglob("*.nc")
    content = bytearray(file.read_bytes())
    file.chmod(0o644)
    file.write_bytes(content[: len(content) // 2])
    assert latest(store) is None and len(store.problems()) == 1
    assert store.records() == []


def test_the_same_record_is_not_added_twice_and_none_is_overwritten(store: CalibrationStore) -> None:
    first = store.add(record())
    with pytest.raises(RecordError):
        store.add(first)
    assert store.records() == [first]


def test_copies_are_the_same_records(store: CalibrationStore, tmp_path: Path) -> None:
    first, second = store.add(record(20e-3)), store.add(record(21e-3, hours=1))
    other = CalibrationStore(tmp_path / "run" / "calibrations")
    for _ in range(2):
        store.copy([second.id], other.folder)  # what is there already stays
    assert [found.id for found in other.records()] == [second.id] and latest(other) == second
    assert other.get(second.id).supersedes == first.id and not other.problems()
    with pytest.raises(RecordError, match="no record"):
        store.copy(["0123456789abcdef"], other.folder)
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RecordError, match="is no folder"):
        store.copy([first.id], tmp_path / "taken")


def test_values_that_are_not_known_cannot_pass() -> None:
    with pytest.raises(RecordError, match="has failed"):
        record(float("nan"))


def test_a_system_takes_its_times_from_the_record_on_the_safe_side(store: CalibrationStore) -> None:
    bench = OpticalBench()
    identities = {
        name: {"vendor": d.identity.vendor, "model": d.identity.model, "serial": d.identity.serial,
               "firmware": d.identity.firmware}
        for name, d in (("slm", bench.panel), ("camera", bench.sensor))
    }  # fmt: skip
    added = store.add(record(40e-3, devices=identities))
    latency = {"latency_least_s": Value(3e-3, 1e-3, "s"), "latency_most_s": Value(8e-3, 1e-3, "s")}
    store.add(record(devices=identities, kind="latency", values=latency))
    optics = SlmCamera(
        "optics",
        bench.optics.config,
        {"slm": bench.panel, "camera": bench.sensor},
        Facilities(bench.clock, store=store),
    )
    timing = optics.timings["slm"]
    assert timing.settle_s == pytest.approx(42e-3) and timing.latency_s == pytest.approx((1e-3, 10e-3))
    assert timing.sources[0] == added.id and bench.optics.timings["slm"].sources == ("data sheet", "data sheet")
    # 42 ms to settle, 2 ms to expose, 9 ms by which the start is uncertain and the error of two stamps
    assert optics.shot_s == pytest.approx(53e-3, rel=1e-3)
