import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pnnlab.errors import RunError
from pnnlab.runs import EndStatus, Run, RunRecord, find_run, list_runs


@pytest.fixture(autouse=True)
def outside_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def log(run: Run, step: int, loss: float = 0.5) -> None:
    run.log({"loss": loss}, step=step, epoch=0, shots=10 * step, bench_s=0.1, wall_s=0.2)


def create(root: Path, name: str = "a run") -> Run:
    return Run.create(root, name, kind="train", configuration={"rate": 1e-3, "layers": [4, 2]}, seed=7)


def steps(run: Run) -> list[int]:
    return [line["step"] for line in run.metrics()]


def test_a_new_run_says_everything_at_once(tmp_path: Path) -> None:
    bench = tmp_path / "my bench.yml"
    bench.write_bytes("devices: {}  # Ω\r\n".encode())
    before = datetime.now(UTC)
    run = Run.create(
        tmp_path / "runs", "MNIST on the table", kind="train", configuration={"epochs": 3, "clip": math.inf},
        bench_file=bench, bench_snapshot={"slm": {"levels": 256}}, bench_hash="abc", seed=7,
    )  # fmt: skip
    assert run.path.name == f"{before.date().isoformat()}_0001_mnist-on-the-table"
    assert (run.path / "instruments.yaml").read_bytes() == bench.read_bytes()
    found = json.loads((run.path / "run.json").read_bytes())
    assert found["schema"] == 1
    assert found["configuration"] == {"epochs": 3, "clip": "Infinity"}
    record = Run.open(run.path).record
    assert record == run.record
    assert (record.name, record.kind, record.status) == ("MNIST on the table", "train", "running")
    assert before.timestamp() - 1e-3 <= datetime.fromisoformat(record.started).timestamp()
    assert datetime.fromisoformat(record.started).tzinfo == UTC
    assert (record.ended, record.pid, record.host, record.seed) == (None, os.getpid(), socket.gethostname(), 7)
    assert record.configuration == {"epochs": 3, "clip": math.inf}
    assert (record.bench_snapshot, record.bench_hash) == ({"slm": {"levels": 256}}, "abc")
    assert (record.devices, record.calibrations, record.resumed, record.summary) == ({}, (), (), {})
    assert record.provenance["command"] == sys.orig_argv
    run.close()


def test_without_a_bench_there_is_no_bench_file(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        assert not (run.path / "instruments.yaml").exists()
        assert run.record.bench_snapshot == {}


@pytest.mark.parametrize("name", ["", "  "])
def test_a_run_needs_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="needs a name"):
        create(tmp_path / "runs", name)


def test_what_cannot_be_recorded_makes_no_folder(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with pytest.raises(RunError, match=r"the bench file .* does not read"):
        Run.create(root, "x", kind="fit", configuration={}, bench_file=tmp_path / "missing.yaml")
    with pytest.raises(RunError, match=r"configuration\.where: a .*Path is no JSON value"):
        Run.create(root, "x", kind="fit", configuration={"where": tmp_path})  # type: ignore[dict-item]
    assert not root.exists()


def test_metrics_are_read_back_while_the_run_goes_on(tmp_path: Path) -> None:
    run = create(tmp_path)
    log(run, 1, math.nan)
    log(run, 2)
    reader = Run.open(run.path)
    assert math.isnan(reader.metrics()[0]["metrics"]["loss"])
    assert reader.metrics()[1] == {
        "step": 2, "epoch": 0, "shots": 20, "bench_s": 0.1, "wall_s": 0.2, "metrics": {"loss": 0.5},
    }  # fmt: skip
    run.close()


def test_update_replaces_what_is_given_and_keeps_the_rest(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.update(devices={"slm": {"serial": "1", "settings": {"levels": 256}}})
    run.update(calibrations=["phase 2026-03-09"])
    run.update(summary={"loss": -math.inf})
    found = Run.open(run.path).record
    assert found.devices == {"slm": {"serial": "1", "settings": {"levels": 256}}}
    assert found.calibrations == ("phase 2026-03-09",)
    assert found.summary == {"loss": -math.inf}
    run.update(calibrations=[])
    assert Run.open(run.path).record.calibrations == ()
    assert Run.open(run.path).record.devices == found.devices
    run.close()


@pytest.mark.parametrize("status", ["finished", "stopped", "failed", "interrupted"])
def test_finish_says_how_it_ended_and_lets_go(tmp_path: Path, status: EndStatus) -> None:
    run = create(tmp_path)
    run.update(summary={"loss": 0.5})
    run.finish(status, error="why")
    found = Run.open(run.path)
    assert (found.status, found.record.summary, found.record.error) == (status, {"loss": 0.5}, "why")
    assert found.record.ended is not None
    assert found.record.ended >= found.record.started
    changes: list[Callable[[], None]] = [
        lambda: log(run, 1), lambda: run.finish("failed"), run.update, lambda: run.truncate_after(0),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(RunError, match=r"open for reading only; open it with Run\.resume"):
            change()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (ValueError("x"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(), "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_leaving_the_context_finishes_the_run(tmp_path: Path, error: BaseException | None, status: str) -> None:
    def work() -> None:
        with create(tmp_path) as run:
            log(run, 1)
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    found = Run.open(find_run(tmp_path, "latest"))
    assert found.status == status
    assert found.record.error == (None if error is None else f"{type(error).__name__}: {error}")
    assert steps(found) == [1]


def test_a_run_that_was_finished_inside_its_context_stays_so(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        run.finish("stopped", {"loss": 1})
    assert Run.open(run.path).record.status == "stopped"


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    create(tmp_path).finish("finished")
    path = find_run(tmp_path, "latest")
    before = (path / "run.json").read_bytes()
    with Run.open(path) as reader:
        changes: list[Callable[[], None]] = [lambda: log(reader, 1), lambda: reader.finish("failed"), reader.update]
        for change in changes:
            with pytest.raises(RunError, match="open for reading only"):
                change()
    assert (path / "run.json").read_bytes() == before


def test_an_unfinished_run_is_running_only_while_somebody_writes_it(tmp_path: Path) -> None:
    run = create(tmp_path)
    reader = Run.open(run.path)
    assert run.status == reader.status == "running"
    run.close()
    for known in (run, reader):
        assert known.status == "interrupted"
    assert reader.record.status == "running"


def test_resuming_goes_on_and_says_so(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        for step in range(5):
            log(run, step)
    with Run.resume(run.path) as again:
        assert again.status == "running"
        assert (again.record.ended, again.record.error) == (None, None)
        again.truncate_after(2)
        log(again, 3, 0.25)
        again.update(summary={"loss": 0.25})
    found = Run.open(run.path)
    assert steps(found) == [0, 1, 2, 3]
    assert found.record.started == run.record.started
    assert found.record.summary == {"loss": 0.25}
    (entry,) = found.record.resumed
    assert isinstance(entry, dict)
    assert entry["at"] >= run.record.started
    assert entry["provenance"]["command"] == sys.orig_argv


def test_one_run_is_written_once_at_a_time(tmp_path: Path) -> None:
    run = create(tmp_path)
    with pytest.raises(RunError, match=rf"being written by process {os.getpid()} on {socket.gethostname()}; wait"):
        Run.resume(run.path)
    log(run, 1)
    run.finish("stopped")
    with Run.resume(run.path) as again:
        assert steps(again) == [1]


def test_another_process_is_told_by_its_number(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pnnlab.runs import Run\n"
        "run = Run.create(Path(sys.argv[1]), 'x', kind='fit', configuration={})\n"
        "print(run.path, flush=True); sys.stdin.readline(); run.finish('finished')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        path = Path(child.stdout.readline().strip())
        assert Run.open(path).status == "running"
        with pytest.raises(RunError, match=f"being written by process {child.pid} "):
            Run.resume(path)
        child.communicate("\n", timeout=20)
    assert Run.open(path).status == "finished"
    Run.resume(path).finish("stopped")


def test_checkpoints_lie_in_their_folder(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        assert run.checkpoint_path() == run.path / "checkpoints" / "last.pt"
        assert run.checkpoint_path("best-of_3").name == "best-of_3.pt"
        assert run.checkpoint_path().parent.is_dir()
        for wrong in ("", "../x", "last.previous", "a/b", "a b"):
            with pytest.raises(RunError, match="a checkpoint is to be named"):
                run.checkpoint_path(wrong)


def test_what_a_killed_writer_left_is_swept_on_resuming(tmp_path: Path) -> None:
    run = create(tmp_path)
    log(run, 1)
    run.close()
    leftovers = [run.path / ".run.json.00.writing", run.path / "checkpoints" / ".last.pt.00.writing"]
    for leftover in leftovers:
        leftover.touch()
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "ep')
    assert steps(Run.open(run.path)) == [1]
    with Run.resume(run.path) as again:
        log(again, 2)
    assert not [leftover for leftover in leftovers if leftover.exists()]
    assert steps(Run.open(run.path)) == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "holds no run.json"),
        ('{"schema": 1', "is no JSON"),
        ("[]", "no schema number"),
        ('{"schema": "1"}', "no schema number"),
        ('{"schema": 2}', "has schema 2, this pnnlab reads up to 1; upgrade pnnlab"),
        ('{"schema": 1}', "name is None, a str is due"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    for way in (Run.open, Run.resume):
        with pytest.raises(RunError, match=said):
            way(tmp_path)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run folder"):
        Run.open(tmp_path / "nowhere")


@pytest.mark.parametrize("entry", [entry.name for entry in fields(RunRecord)])
def test_a_record_with_a_wrong_entry_names_it(tmp_path: Path, entry: str) -> None:
    with create(tmp_path) as run:
        pass
    found = json.loads((run.path / "run.json").read_bytes())
    assert entry in found
    found[entry] = {"wrong": 1} if isinstance(found[entry], list) else [[]]
    (run.path / "run.json").write_text(json.dumps(found))
    with pytest.raises(RunError, match=rf"run\.json: {entry} is "):
        Run.open(run.path)


def test_an_unknown_status_names_the_allowed_ones(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        pass
    text = (run.path / "run.json").read_text().replace('"finished"', '"done"')
    (run.path / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"status is 'done', allowed are running, finished, stopped"):
        Run.open(run.path)


def test_runs_are_listed_also_where_one_is_broken(tmp_path: Path) -> None:
    for name in "abc":
        create(tmp_path, name).finish("finished")
    (list_runs(tmp_path)[1] / "run.json").write_text("{")
    assert [path.name[-1] for path in list_runs(tmp_path)] == ["a", "b", "c"]


def test_the_representation_says_name_kind_and_status(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        assert repr(run) == f"<Run '{run.path.name}' (train), running>"
    assert repr(run).endswith("finished>")
