"""The command `pnnlab profile`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._options import BENCH, RUNS, BenchOption, JsonOption, SetOption
from pnnlab.cli._terminal import print_facts, print_json, print_table
from pnnlab.cli._text import count, quantity

if TYPE_CHECKING:
    from pnnlab.systems import Lane
    from pnnlab.training import Load, Profile, Stage

__all__ = ["profile"]


def profile(
    *,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="One below `training:` of the bench file; the first one if left out."),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help="Training steps to account for.")] = 20,
    changes: SetOption = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw the timeline of two steps into this file.")
    ] = None,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Measure how busy training keeps the bench, and tell what bounds it.

    Makes some training steps with twins as designed: nothing is fitted, recorded or kept, and all outputs are made safe
    at the end. On a simulated clock the host's time is measured, the bench's is simulated, and how both would go
    together is predicted.
    """
    from pnnlab.bench import Bench
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.training import change_recipe
    from pnnlab.training import profile as profile_steps

    opened = Bench.from_file(bench)
    name, changed = change_recipe(opened.file, recipe, recipe_changes({}, changes or []))
    with open_watcher(RUNS, resumable=False) as watcher, opened:
        found = profile_steps(opened, changed, steps=steps, watcher=watcher)
    about = f"{opened.name}, {opened.file.config.clock} clock"
    if as_json:
        print_json({"bench": opened.name, "clock": str(opened.file.config.clock), "recipe": name, **_facts(found)})
    else:
        _tell(found, about, name)
    if picture is not None:
        from pnnlab.cli._timeline import draw_timeline

        draw_timeline(found, picture, title=f"{about}; {name}, {found.method}")
        typer.echo(f"picture: {picture}", err=as_json)


def _tell(found: "Profile", about: str, recipe: str) -> None:
    print_facts(_summary(found, about, recipe))
    _print_chapter("\nsystems")
    columns = ["system", "shots", "taken again", "devices alone, a shot", "shots/s at most", "devices alone"]
    rows = [_system_row(load) for load in found.account.loads if load.shots]
    print_table(columns, rows, folding=[], right=columns[1:])
    _print_chapter("\nstages")
    columns = ["lane", "stage", "calls", "time", "share", "a call", "95 % within", "a shot"]
    rows = [_stage_row(found, stage) for stage in found.account.stages]
    rows += [_idle_row(found, lane) for lane in found.account.idle_s]
    print_table(columns, sorted(rows, key=lambda row: row[0]), folding=[], right=columns[2:])
    prediction = found.prediction
    _print_chapter(f"\nwhere a step's time {'goes' if prediction is None else 'would go on a real bench (predicted)'}")
    total_s = (prediction or found.account).wall_s
    parts = (prediction or found.account).parts
    columns = ["part", "a step", "share"]
    rows = [[part, _time(time_s / len(found.steps)), _share(time_s / total_s)] for part, time_s in parts.items()]
    print_table(columns, rows, folding=[], right=columns[1:])
    typer.echo(f"\n{'' if prediction is None else 'Predicted. '}{found.diagnosis.text}")


def _summary(found: "Profile", about: str, recipe: str) -> dict[str, str]:
    account, prediction, n, hardware_s = found.account, found.prediction, len(found.steps), found.hardware_s
    at_most = account.shots / hardware_s if hardware_s else None
    limit = "the devices do not tell their limit" if at_most is None else f"the devices' own limit {at_most:,.0f}"
    facts = {
        "bench": about,
        "recipe": f"{recipe}: {found.method}, batch {found.batch}, micro_batch {found.micro_batch}; twins as designed",
        "steps": f"{n}, after {found.warm_up} to warm up; {_time(account.wall_s / n)} each on this computer",
    }
    if prediction is None:
        facts["shots"] = f"{count(account.shots)}, {account.shots / account.wall_s:,.0f} a second; {limit}"
        facts["duty"] = _duty(account.duty, hardware_s, account.wall_s, account.busy)
        return facts
    bench_s = prediction.bench_s
    return {
        **facts,
        "shots": f"{count(account.shots)}, {account.shots / bench_s:,.0f} a simulated second; {limit}",
        "simulated time": f"{_time(bench_s / n)} a step, counted by the bench's clock",
        "predicted": f"{_time(prediction.wall_s / n)} a step on a real bench of this speed, at best: the host's work "
        "overlaps with measurements, drivers and transfers take no time",
        "predicted duty": _duty(prediction.duty, hardware_s, prediction.wall_s, bench_s / prediction.wall_s),
    }


def _duty(duty: float | None, hardware_s: float | None, wall_s: float, busy: float) -> str:
    if duty is None or hardware_s is None:
        return f"not known; the bench does not wait for the host for {_share(busy)} of the time"
    return f"{duty:.3f} = {_time(hardware_s)} that the devices alone need / {_time(wall_s)}"


def _system_row(load: "Load") -> list[str]:
    known = [_time(load.shot_s), f"{1 / load.shot_s:,.0f}", _time(load.hardware_s)] if load.shot_s else ["-"] * 3
    return [load.system, count(load.shots), count(load.retaken), *known]


def _stage_row(found: "Profile", stage: "Stage") -> list[str]:
    per_shot = "-" if stage.per_shot_s is None else _time(stage.per_shot_s)
    return [
        _lane(found, stage.lane), stage.name, count(stage.calls), _time(stage.time_s),
        _share(stage.time_s / found.account.wall_s), _time(stage.mean_s), _time(stage.p95_s), per_shot,
    ]  # fmt: skip


def _idle_row(found: "Profile", lane: "Lane") -> list[str]:
    time_s = found.account.idle_s[lane]
    return [
        _lane(found, lane), "(nothing recorded)", "-", _time(time_s), _share(time_s / found.account.wall_s),
        "-", "-", "-",
    ]  # fmt: skip


def _lane(found: "Profile", lane: "Lane") -> str:
    simulated = lane == "bench" and found.prediction is not None
    return "simulation" if simulated else str(lane)


def _facts(found: "Profile") -> dict[str, object]:
    account, prediction, cost, diagnosis = found.account, found.prediction, found.cost, found.diagnosis
    facts: dict[str, object] = {
        "method": found.method, "batch": found.batch, "micro_batch": found.micro_batch,
        "steps": len(found.steps), "warm_up_steps": found.warm_up, "twins": "as designed",
        "wall_s": account.wall_s, "steps_s": account.steps_s, "shots": account.shots,
        "hardware_s": found.hardware_s, "duty": account.duty,
        "systems": [
            {"system": load.system, "shots": load.shots, "retaken": load.retaken, "shot_s": load.shot_s,
             "hardware_s": load.hardware_s}
            for load in account.loads if load.shots
        ],
        "stages": [
            {"lane": stage.lane, "stage": stage.name, "calls": stage.calls, "shots": stage.shots,
             "time_s": stage.time_s, "share": stage.time_s / account.wall_s, "mean_s": stage.mean_s,
             "p95_s": stage.p95_s, "per_shot_s": stage.per_shot_s}
            for stage in account.stages
        ],
        "nothing_recorded_s": {str(lane): time_s for lane, time_s in account.idle_s.items()},
    }  # fmt: skip
    if prediction is None:
        waited = {stage or "nothing recorded": time_s for stage, time_s in account.waited_for.items()}
        facts |= {"parts_s": account.parts, "bench_waited_while_host_s": waited, "predicted": None}
    else:
        facts["predicted"] = {
            "bench_s": prediction.bench_s, "wall_s": prediction.wall_s, "duty": prediction.duty,
            "parts_s": prediction.parts,
        }  # fmt: skip
    return {
        **facts,
        "host_cost": cost and {"backward_call_s": cost.backward_call_s, "backward_shot_s": cost.backward_shot_s,
                               "other_s": cost.other_s},
        "diagnosis": {key: getattr(diagnosis, key)
                      for key in ("bound", "share", "now", "possible", "micro_batch", "text")},
    }  # fmt: skip


def _print_chapter(title: str) -> None:
    typer.secho(title, bold=True)


def _time(time_s: float) -> str:
    return quantity(float(f"{round(time_s, 9) + 0.0:.3g}"), "s")  # no negative zero


def _share(part: float) -> str:
    return f"{round(part, 3) + 0.0:.1%}"
