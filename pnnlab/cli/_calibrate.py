"""The commands `pnnlab calibrate`."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pnnlab.cli._calibration_text import age, local_time, measured, record_facts
from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._errors import DEVICE_TROUBLE
from pnnlab.cli._options import BENCH, BenchOption, JsonOption, ListingGroup
from pnnlab.cli._terminal import open_console, print_facts, print_json, print_table
from pnnlab.cli._text import quantity, setting

if TYPE_CHECKING:
    from pnnlab.calibration import Calibration, KindStatus, Panel, Routine, SystemStatus
    from pnnlab.records import BadMark, CalibrationRecord, CalibrationStore, Departure

__all__ = ["calibrate"]

_ODD: Final = 3.0
"""A value that moved by more than so many standard uncertainties is worth a look."""
_WIDEST: Final = 100
_NARROWEST: Final = 50

calibrate = typer.Typer(
    cls=ListingGroup, rich_markup_mode=None, help="Measure what systems rely on, and look at the records of it."
)

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="What to calibrate; see `pnnlab calibrate kinds`.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A record's id or a beginning of it.")]
OptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help='Set an option, as `averages=32` or `exposure="1 ms"`; repeatable.'
    ),
]


@calibrate.command("run")
def run(
    kind: KindArgument,
    system: Annotated[
        str | None, typer.Argument(metavar="SYSTEM", help="The system; may be left out where only one fits.")
    ] = None,
    *,
    changes: OptionsOption = None,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Calibrate a system and store the record.

    The exit code is 3 where the calibration fails; the record is stored all the same.
    """
    from pnnlab.bench import Bench
    from pnnlab.calibration import calibrate as calibrate_system
    from pnnlab.calibration import choose_system, read_options
    from pnnlab.cli._calibration_progress import open_progress

    routine = _routine(kind)
    options = read_options(kind, routine.Options, recipe_changes({}, changes or []))
    with open_progress() as progress, Bench.from_file(bench) as opened:
        done = calibrate_system(opened, routine, choose_system(opened, routine, system), options, progress=progress)
    if as_json:
        print_json(record_facts(done.record, done.departures))
    else:
        _tell(done)
    _warn(done)
    if not done.record.passed:
        raise typer.Exit(DEVICE_TROUBLE)


@calibrate.command("list")
def list_records(
    *,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only this kind.")] = None,
    system: Annotated[str | None, typer.Option(metavar="SYSTEM", help="Only this system.")] = None,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """List a bench's records, the newest last; what `pnnlab calibrate` does."""
    store = _store(bench)
    records, marks = store.records(kind, system), store.bad_marks()
    newest = {r.key.canonical: r.id for r in records if r.passed and r.id not in marks}
    unread = len(store.problems())
    if unread:
        files = "1 file is no record, or does" if unread == 1 else f"{unread} files are no records, or do"
        typer.echo(f"warning: in {store.folder} {files} not read", err=True)
    if as_json:
        print_json([record_facts(r, store.departure(r), marks.get(r.id)) for r in records])
    elif not records:
        typer.echo(f"there are no calibration records in {store.folder}")
    else:
        columns = ["date", "kind", "system", "verdict", "values", "id", "state"]
        rows = [
            [
                local_time(r.created), r.kind, r.subject, str(r.verdict),
                "\n".join(f"{name} {text}" for name, text in _shown(r).items()),
                r.id[:8],
                _state(r, newest, marks),
            ]
            for r in records
        ]  # fmt: skip
        print_table(columns, rows, folding=["values", "state"])


@calibrate.command("show")
def show(
    record: IdArgument,
    *,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curves into a picture, as `curves.png`.")
    ] = None,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Show all of a record, with its curves."""
    from pnnlab.cli._calibration_plot import draw_panels, panel_lines

    store = _store(bench)
    found = store.get(record)
    departures, mark = store.departure(found), store.bad_marks().get(found.id)
    panels = _panels(found)
    if plot is not None:
        draw_panels(panels, plot, title=f"{found.kind} of {found.subject}, {local_time(found.created)}, {found.id}")
    if as_json:
        print_json(record_facts(found, departures, mark))
        return
    for title, facts in _chapters(found, departures, mark).items():
        typer.secho(title, bold=True)
        print_facts({f"  {name}": fact for name, fact in facts.items()})
    width = min(open_console().width, _WIDEST)
    for panel in panels if width >= _NARROWEST else ():
        typer.echo("\n" + "\n".join(panel_lines(panel, width)))
    if plot is not None:
        typer.echo(f"\n{plot}")


@calibrate.command("status")
def status(*, bench: BenchOption = BENCH, as_json: JsonOption = False) -> None:
    """Open a bench and show what of it is calibrated, how long ago, and what its systems go by."""
    from pnnlab.bench import Bench
    from pnnlab.calibration import ROUTINES, status_of

    with Bench.from_file(bench) as opened:
        found = status_of(opened, tuple(ROUTINES.values()))
    if as_json:
        print_json([_status_facts(entry) for entry in found])
        return
    if not found:
        typer.echo(f"bench {opened.name!r} has no systems")
        return
    rows = [
        [entry.system, kind.kind, *_standing(kind)] for entry in found for kind in entry.kinds
    ]  # fmt: skip
    print_table(["system", "kind", "calibrated", "id", "what counts"], rows, folding=["what counts"])
    timings = {f"{entry.system}, {actuator}": text for entry in found for actuator, text in _timings(entry).items()}
    if timings:
        typer.secho("\nin use now", bold=True)
        print_facts({f"  {name}": text for name, text in timings.items()})


@calibrate.command("kinds")
def kinds(*, as_json: JsonOption = False) -> None:
    """List what can be calibrated, with the options of each."""
    from pnnlab.calibration import ROUTINES

    options = {kind: routine.Options().model_dump(by_alias=True) for kind, routine in ROUTINES.items()}
    if as_json:
        print_json([{"kind": k, "summary": r.summary, "options": options[k]} for k, r in ROUTINES.items()])
        return
    rows = [
        [kind, routine.summary, "\n".join(f"{key}={_option(value)}" for key, value in options[kind].items())]
        for kind, routine in ROUTINES.items()
    ]
    print_table(["kind", "what it finds out", "options and their defaults"], rows, folding=["what it finds out"])


@calibrate.command("mark-bad")
def mark_bad(
    record: IdArgument,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it must not be used any more.")],
    bench: BenchOption = BENCH,
) -> None:
    """Mark a record as bad: from now on the one before it counts; nothing is removed."""
    mark = _store(bench).mark_bad(record, reason)
    typer.echo(f"{mark.id} is {mark}")


def _routine(kind: str) -> "Routine":
    from pnnlab.calibration import ROUTINES

    if kind not in ROUTINES:
        raise typer.BadParameter(f"KIND is {kind!r}; kinds are {', '.join(ROUTINES)}")
    return ROUTINES[kind]


def _store(bench: Path) -> "CalibrationStore":
    """Return a bench's records; no device is touched."""
    from pnnlab.bench import BenchFile
    from pnnlab.records import CalibrationStore

    return CalibrationStore(BenchFile.load(bench).calibrations)


def _tell(done: "Calibration") -> None:
    """Print what a calibration has found."""
    record, departures = done.record, done.departures
    typer.secho(f"{record.kind} of {record.subject}: {record.verdict.upper()}", bold=True)
    for reason in record.reasons:
        typer.echo(f"  {reason}")
    rows = [[name, value, *_moved(departures.get(name))] for name, value in _shown(record).items()]
    columns = ["value", "result", "before", "moved by"]
    print_table(columns if departures else columns[:2], [row[: 4 if departures else 2] for row in rows], folding=[])
    typer.echo(f"stored as {record.id}")


def _warn(done: "Calibration") -> None:
    """Tell on stderr what moved further than chance moves it."""
    for name, departure in done.departures.items():
        if abs(departure.sigmas) > _ODD:
            typer.echo(
                f"warning: {name} moved by {departure.sigmas:+.1f} standard uncertainties since record "
                f"{departure.former_id[:8]}: a mistake, a fluke or the new normal; calibrate again, and mark the one "
                "that is wrong with `pnnlab calibrate mark-bad`",
                err=True,
            )


def _moved(departure: "Departure | None") -> list[str]:
    if departure is None or departure.former is None:
        return ["-", "-"]
    moved = "-" if math.isnan(departure.sigmas) else f"{departure.sigmas:+.1f} u"
    return [measured(departure.former), moved]


def _shown(record: "CalibrationRecord") -> dict[str, str]:
    return {name: measured(value) for name, value in record.values.items()}


def _state(record: "CalibrationRecord", newest: Mapping[str, str], marks: Mapping[str, "BadMark"]) -> str:
    if record.id in marks:
        return str(marks[record.id])
    if not record.passed:
        return "failed"
    return "latest" if newest.get(record.key.canonical) == record.id else "superseded"


def _panels(record: "CalibrationRecord") -> "tuple[Panel, ...]":
    """Return a record's curves; none of a kind that a later version makes."""
    from pnnlab.calibration import ROUTINES

    return ROUTINES[record.kind].panels(record) if record.kind in ROUTINES else ()


def _chapters(
    record: "CalibrationRecord", departures: Mapping[str, "Departure"], mark: "BadMark | None"
) -> dict[str, dict[str, str]]:
    data = record.data
    life = {
        "id": record.id,
        "date": local_time(record.created),
        "verdict": str(record.verdict) + (f", {mark}" if mark else ""),
        "reasons": "\n".join(record.reasons),
        "supersedes": record.supersedes or "",
        "pnnlab": record.pnnlab_version,
    }
    curves = {str(name): f"{_sizes(data[name].sizes)}, {data[name].attrs['units']}" for name in data.variables}
    chapters = {
        f"{record.kind} of {record.subject}": {name: fact for name, fact in life.items() if fact},
        "values": _shown(record),
        "moved since the record before": {name: str(departure) for name, departure in departures.items()},
        "devices": {role: " ".join(filter(None, who.values())) for role, who in record.devices.items()},
        "conditions": {name: str(value) for name, value in record.conditions.items()},
        "measured with": {str(name): setting(str(name), value) for name, value in data.attrs.items()},
        "curves": curves,
    }
    return {title: facts for title, facts in chapters.items() if facts}


def _sizes(sizes: Mapping[object, int]) -> str:
    return " x ".join(f"{size} {name}" for name, size in sizes.items()) or "one number"


def _standing(kind: "KindStatus") -> list[str]:
    if kind.record is None or kind.age_s is None:
        return ["no", "-", kind.explanation]
    return [age(kind.age_s), kind.record.id[:8], kind.explanation]


def _timings(entry: "SystemStatus") -> dict[str, str]:
    found = {}
    for actuator, timing in entry.timings.items():
        settle, latency = (source if " " in source else source[:8] for source in timing.sources)
        least, most = (quantity(time_s, "s") for time_s in timing.latency_s)
        found[actuator] = (
            f"settles in {quantity(timing.settle_s, 's')} ({settle}), latency {least} to {most} ({latency})"
        )
    return found


def _status_facts(entry: "SystemStatus") -> dict[str, object]:
    return {
        "system": entry.system,
        "kinds": {
            kind.kind: {
                "id": None if kind.record is None else kind.record.id,
                "created": None if kind.record is None else kind.record.created.isoformat(),
                "age_s": kind.age_s,
                "explanation": kind.explanation,
            }
            for kind in entry.kinds
        },
        "timings": {
            actuator: {
                "settle_s": timing.settle_s, "settle_from": timing.sources[0],
                "latency_s": list(timing.latency_s), "latency_from": timing.sources[1],
            }
            for actuator, timing in entry.timings.items()
        },
    }  # fmt: skip


def _option(value: object) -> str:
    return "automatic" if value is None else f"{value}"
