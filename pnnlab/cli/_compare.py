"""The command `pnnlab compare`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._compare_text import COLUMNS, TITLES, cells, percent
from pnnlab.cli._options import (
    BENCH,
    RUNS,
    BenchOption,
    JsonOption,
    RecipeArgument,
    RunsOption,
    SetOption,
    run_folder,
)
from pnnlab.cli._terminal import print_json, print_table

if TYPE_CHECKING:
    from pnnlab.training import Budget, Comparison, Recipe, Trial

__all__ = ["compare"]


def compare(
    recipe: RecipeArgument = None,
    *,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,...",
            help="Training methods; `all` takes those that the recipe's layers can run, with the twins that it has.",
        ),
    ] = "all",
    seeds: Annotated[str, typer.Option(metavar="N,N,...", help="Each method trains once with each seed.")] = "0,1,2",
    shots: Annotated[int | None, typer.Option(metavar="N", help="Shots that each training may take.")] = None,
    bench_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Bench time that each training may take, as '10 min'.")
    ] = None,
    sweeps: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="KIND=F,F,...",
            help="Train each method on benches with scaled `mismatch`, `noise` or `drift` too, as mismatch=0,1,2,4.",
        ),
    ] = None,
    points: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Validations in each training, and looks at the exact gradient."),
    ] = 20,
    jobs: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings at a time, on a simulated bench.")] = 1,
    changes: SetOption = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a comparison: `latest`, its counter, name or folder.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="RUN", help="Only write the report of a comparison again.")
    ] = None,
    runs: RunsOption = RUNS,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Train by several methods on the same bench and task with the same budget, and say which serves it best.

    With both --shots and --bench-time every method is trained for each. All trainings are kept in one run, with a
    report (report.html) that opens in any browser; one that was stopped goes on with --resume.
    """
    from pnnlab.cli._compare_report import write_report
    from pnnlab.training import read_comparison

    if report is not None:
        path = run_folder(runs, report)
    elif resume is not None:
        from pnnlab.training import resume_comparison

        path = resume_comparison(run_folder(runs, resume), jobs=jobs, on_trial=_tell)
    else:
        plan = _Plan(methods, seeds, shots, bench_time, sweeps or [], points, changes or [])
        path = _compare(bench, recipe, plan, runs, jobs)
    found = read_comparison(path)
    page = write_report(found)
    if as_json:
        print_json({"run": str(path), "report": str(page), "results": [asdict(one) for one in found.results]})
    else:
        _print(found)
        typer.echo(f"report: {page}")


@dataclass(frozen=True)
class _Plan:
    """What was asked for, as it was written."""

    methods: str
    seeds: str
    shots: int | None
    bench_time: str | None
    sweeps: list[str]
    points: int
    changes: list[str]


def _compare(bench: Path, recipe: str | None, plan: _Plan, root: Path, jobs: int) -> Path:
    from pnnlab.bench import BenchFile
    from pnnlab.training import change_recipe, compare

    name, changed = change_recipe(BenchFile.load(bench), recipe, recipe_changes({}, plan.changes))
    budgets, seeds, sweeps = _budgets(plan), _seeds(plan.seeds), dict(_sweep(text) for text in plan.sweeps)
    methods = _runnable(bench, changed) if plan.methods == "all" else [part.strip() for part in plan.methods.split(",")]
    return compare(
        bench, name, methods=methods, seeds=seeds, budgets=budgets, sweeps=sweeps, changes=changed.model_dump(),
        points=plan.points, root=root, jobs=jobs, on_trial=_tell,
    )  # fmt: skip


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--seeds is {text!r}; write whole numbers with commas between, as 0,1,2") from error


def _budgets(plan: _Plan) -> list["Budget"]:
    from pnnlab.quantities import parse_quantity
    from pnnlab.training import Budget

    budgets = [] if plan.shots is None else [Budget(shots=plan.shots)]
    if plan.bench_time is not None:
        try:
            budgets.append(Budget(time_s=parse_quantity(plan.bench_time, "s")))
        except ValueError as error:
            raise typer.BadParameter(f"--bench-time: {error}") from error
    if not budgets:
        raise typer.BadParameter("give what each training may spend: --shots N, --bench-time '10 min', or both")
    return budgets


def _sweep(text: str) -> tuple[str, list[float]]:
    from pnnlab.bench import Imperfection

    kind, _, factors = text.partition("=")
    try:
        numbers = [float(part) for part in factors.split(",")]
        if min(numbers) < 0:
            raise ValueError("a factor is negative")
        return Imperfection(kind.strip()).value, numbers
    except ValueError as error:
        kinds = ", ".join(Imperfection)
        raise typer.BadParameter(f"--sweep is {text!r}; write {kinds} and factors, as mismatch=0,1,2,4") from error


def _runnable(bench: Path, recipe: "Recipe") -> list[str]:
    """Return the methods that the layers of a recipe can run, with the twins that it has."""
    from pnnlab.bench import Bench
    from pnnlab.training import find_openings

    with Bench.from_file(bench) as opened:
        systems = [opened.systems[name] for name in recipe.network.layers if name in opened.systems]
        return find_openings(systems, recipe.twins).runnable


def _tell(done: int, of: int, trial: "Trial") -> None:
    what = trial.failure.splitlines()[0] if trial.failure else ""
    if trial.result is not None:
        what = f"test accuracy {float(trial.result['test_accuracy']):.4f}"
    typer.echo(f"{done} of {of}: {trial.method}, seed {trial.seed}, equal {trial.budget.kind}: {what}", err=True)


def _print(found: "Comparison") -> None:
    for kind, title in TITLES.items():
        results = found.within(kind)
        if not results:
            continue
        best = max((one.accuracy.mean for one in results if one.accuracy.n), default=0.0)
        typer.secho(f"{found.bench}, {found.recipe}: {title}", bold=True)
        print_table(list(COLUMNS), [cells(one, best) for one in results], folding=[], right=list(COLUMNS[1:]))
        for one in results:
            for failure in one.failures:
                typer.echo(f"{one.method}: {failure.splitlines()[0]}")
    for kind, methods in found.sweeps.items():
        factors = sorted({factor for one in methods.values() for factor in one})
        typer.secho(f"{found.bench}, {found.recipe}: test accuracy, {kind} times", bold=True)
        rows = [
            [name, *(percent(one[factor]) if factor in one else "" for factor in factors)]
            for name, one in methods.items()
        ]
        print_table(["method", *(f"{factor:g}" for factor in factors)], rows, folding=[])
    typer.echo(f"a linear classifier on the inputs has {100 * found.linear:.1f} %")
    if found.left:
        typer.echo(f"{found.left} trainings are not done; go on with `pnnlab compare --resume {found.path.name}`")
