"""The commands `pnnlab runs`."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._options import RUNS, JsonOption, ListingGroup, RunArgument, RunsOption, run_counter, run_folder
from pnnlab.cli._terminal import print_facts, print_json, print_table
from pnnlab.cli._text import count, duration, number
from pnnlab.errors import RunError

if TYPE_CHECKING:
    from pnnlab.runs import JsonValue, Run, RunRecord

__all__ = ["runs"]

runs = typer.Typer(cls=ListingGroup, rich_markup_mode=None, help="Look at recorded trainings and fits.")


@runs.command("list")
def list_runs(*, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """List the runs, the newest last; what `pnnlab runs` does."""
    from pnnlab.runs import list_runs

    entries = [_entry(path) for path in list_runs(runs)]
    if as_json:
        print_json(entries)
    elif not entries:
        typer.echo(f"there are no runs in {runs}")
    else:
        columns = ["#", "started", "name", "status", "result", "shots", "bench time"]
        rows = [_row(entry) for entry in entries]
        print_table(columns, rows, folding=["name", "result"], right=["#", "shots", "bench time"])


@runs.command("show")
def show(run: RunArgument, *, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show what was executed, on what, and what came out."""
    from pnnlab.runs import Run

    found = Run.open(run_folder(runs, run))
    if as_json:
        print_json({"path": str(found.path), **asdict(found.record), "status": found.status})
        return
    for title, facts in _chapters(found).items():
        typer.secho(title, bold=True)
        print_facts({f"  {name}": fact for name, fact in facts.items()})


@runs.command("plot")
def plot(
    run: RunArgument,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="The picture; `curves.png` in the run's folder if left out.")
    ] = None,
    runs: RunsOption = RUNS,
) -> None:
    """Draw loss and validation accuracy against shots and against bench time."""
    from pnnlab.cli._curves import draw_curves
    from pnnlab.runs import Run

    found = Run.open(run_folder(runs, run))
    if found.record.kind != "train":
        raise RunError(f"{found.path.name}: it is a run of the kind {found.record.kind!r}; only trainings have curves")
    path = out or found.path / "curves.png"
    accuracy = found.record.summary.get("test_accuracy")
    draw_curves(
        found.metrics(), path, title=f"{found.path.name} ({found.status})",
        test_accuracy=accuracy if isinstance(accuracy, float) else None,
    )  # fmt: skip
    typer.echo(path)


@runs.command("diff")
def diff(a: RunArgument, b: RunArgument, *, runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Show in which keys of recipe, bench and code two runs differ."""
    from pnnlab.cli._difference import differences
    from pnnlab.runs import Run

    records = [Run.open(run_folder(runs, name)).record for name in (a, b)]
    found = differences(*(_decided(record) for record in records))
    if as_json:
        print_json({key: {"a": left, "b": right} for key, (left, right) in found.items()})
    elif not found:
        typer.echo("no differences in recipe, bench and code")
    else:
        print_table(["key", a, b], [[key, *texts] for key, texts in found.items()], folding=["key", a, b])


def _entry(path: Path) -> dict[str, object]:
    """Return one line of the list; a record that does not read is a line, too."""
    from pnnlab.runs import Run

    try:
        run = Run.open(path)
    except RunError as error:
        return {
            "run": path.name, "counter": run_counter(path), "name": path.name, "kind": None, "status": "unreadable",
            "started": None, "ended": None, "seed": None, "summary": {}, "error": str(error),
        }  # fmt: skip
    record = run.record
    return {
        "run": path.name, "counter": run_counter(path), "name": record.name, "kind": record.kind,
        "status": run.status, "started": record.started, "ended": record.ended, "seed": record.seed,
        "summary": record.summary, "error": record.error,
    }  # fmt: skip


def _row(entry: Mapping[str, object]) -> list[str]:
    summary = entry["summary"]
    known = summary if isinstance(summary, Mapping) else {}
    started, shots, bench_s = entry["started"], known.get("shots"), known.get("bench_s")
    return [
        str(entry["counter"]),
        _local(started) if isinstance(started, str) else "-",
        str(entry["name"]),
        str(entry["status"]),
        _result(known),
        count(shots) if isinstance(shots, int) else "-",
        duration(bench_s) if isinstance(bench_s, float) else "-",
    ]


def _result(summary: Mapping[str, object]) -> str:
    """Return what came out in one word: of a training its accuracy, of a fit how well each twin fits."""
    if "test_accuracy" in summary:
        return number(summary["test_accuracy"])
    fits = {name: fit for name, fit in summary.items() if isinstance(fit, Mapping) and "r2_total" in fit}
    return ", ".join(f"R² {number(fit['r2_total'])} {name}" for name, fit in fits.items()) or "-"


def _chapters(run: "Run") -> dict[str, dict[str, str]]:
    from pnnlab.cli._difference import flatten

    record = run.record
    chapters = {
        run.path.name: _life(run),
        "result": flatten(record.summary) if record.summary else {},
        "last step": _last_step(run),
        "recipe": flatten(record.configuration.get("recipe")),
        "bench": {"hash": record.bench_hash or "-", **_devices(record)},
        "calibrations": _calibrations(record),
        "code": flatten(_code(record)),
    }
    return {title: facts for title, facts in chapters.items() if facts}


def _life(run: "Run") -> dict[str, str]:
    record = run.record
    life = {
        "folder": str(run.path),
        "kind": record.kind,
        "status": run.status,
        "started": _local(record.started),
        "ended": "-" if record.ended is None else _local(record.ended),
        "resumed": ", ".join(_resumed(entry) for entry in record.resumed),
        "error": record.error or "",
        "go on": f"pnnlab train --resume {run.path.name}"
        if record.kind == "train" and run.status not in ("running", "finished")
        else "",
    }
    return {name: fact for name, fact in life.items() if fact}


def _last_step(run: "Run") -> dict[str, str]:
    lines = run.metrics()
    if not lines:
        return {}
    last = lines[-1]
    metrics = {name: f"{value:.4g}" for name, value in last["metrics"].items()}
    return {
        "step": count(last["step"]), "epoch": count(last["epoch"]), "shots": count(last["shots"]),
        "bench time": duration(last["bench_s"]), "wall time": duration(last["wall_s"]), **metrics,
    }  # fmt: skip


def _devices(record: "RunRecord") -> dict[str, str]:
    found = {}
    for name, device in record.devices.items():
        identity = device.get("identity") if isinstance(device, Mapping) else None
        if isinstance(identity, Mapping):
            found[name] = " ".join(str(identity[key]) for key in ("vendor", "model", "serial") if identity.get(key))
    return found


def _calibrations(record: "RunRecord") -> dict[str, str]:
    """Return what the run went by instead of data sheets, with each record's beginning of the id and its date."""
    found = {}
    for entry in record.calibrations:
        if isinstance(entry, Mapping):
            found[f"{entry['kind']} of {entry['subject']}"] = f"{str(entry['id'])[:8]}, {_local(str(entry['created']))}"
    return found


def _code(record: "RunRecord") -> dict[str, "JsonValue"]:
    """Return the part of the provenance that decides about the numbers."""
    return {key: record.provenance[key] for key in ("pnnlab", "python", "git", "packages") if key in record.provenance}


def _decided(record: "RunRecord") -> dict[str, "JsonValue"]:
    """Return everything that decides about a run's numbers; other recipes of its bench file do not."""
    bench = {section: value for section, value in record.bench_snapshot.items() if section != "training"}
    return {
        "recipe": record.configuration.get("recipe"), "bench": bench, "calibrations": dict(_calibrations(record)),
        "code": _code(record),
    }  # fmt: skip


def _resumed(entry: "JsonValue") -> str:
    at = entry.get("at") if isinstance(entry, Mapping) else None
    return _local(at) if isinstance(at, str) else "-"


def _local(time: str) -> str:
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M")
