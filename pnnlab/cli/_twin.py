"""The commands `pnnlab twin`."""

from typing import Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._options import BENCH, RUNS, BenchOption, JsonOption, RecipeArgument, RunsOption, SetOption
from pnnlab.cli._terminal import print_facts, print_json

__all__ = ["twin"]

twin = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Learn digital twins from shots.")


@twin.callback()
def twin_command() -> None:
    """Learn digital twins from shots."""


@twin.command("fit")
def fit(
    recipe: RecipeArgument = None,
    *,
    shots: Annotated[int | None, typer.Option(metavar="N", help="Shots to spend on each system.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of everything random in the run.")] = None,
    changes: SetOption = None,
    runs: RunsOption = RUNS,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Record shots and fit the twins of a recipe to them.

    Shots, twins and a picture of the fit are kept in a run; nothing is trained.
    """
    from pnnlab.bench import BenchFile
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.training import change_recipe, fit_only

    replaced = recipe_changes({"fit.shots": shots, "seed": seed}, changes or [])
    with open_watcher(runs, resumable=False) as watcher:
        name, changed = change_recipe(BenchFile.load(bench), recipe, replaced)
        run, reports = fit_only(bench, name, changes=changed.model_dump(), root=runs, watcher=watcher)
    if as_json:
        print_json({"run": str(run), "twins": {system: report.summary() for system, report in reports.items()}})
        return
    if not reports:
        typer.echo(f"recipe {name!r} has no twin with anything to learn")
    facts: dict[str, str] = {}
    for system, report in reports.items():
        facts |= {
            f"twin of {system}": str(report),
            f"picture of {system}": str(run / f"twin-{system}.png"),
            f"shots of {system}": str(run / f"shots-{system}.nc"),
        }
    print_facts({**facts, "twins": str(run / "checkpoints" / "twins.pt"), "run": str(run)})
