"""The commands `pnnlab twin`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._fidelity import draw_fidelity, tell_fidelity, tell_search
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
from pnnlab.cli._terminal import print_facts, print_json

__all__ = ["twin"]

twin = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Learn digital twins from shots, and see how far they can be trusted.",
)


@twin.callback()
def twin_command() -> None:
    """Learn digital twins from shots, and see how far they can be trusted."""


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


@twin.command("check")
def check(
    recipe: RecipeArgument = None,
    *,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Look at the twins of a run, where its training stands: `latest`, its counter."
        ),
    ] = None,
    directions: Annotated[int, typer.Option(metavar="N", min=4, help="Random directions; more are more certain.")] = 32,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Training samples that make the loss.")] = 16,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the comparison (PNG).")] = None,
    changes: SetOption = None,
    runs: RunsOption = RUNS,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Compare the gradients of twins with finite differences that the bench makes itself.

    How well training through a twin goes depends on this angle, not on the error of its outputs.
    """
    from pnnlab.bench import BenchFile
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.nn import FidelityConfig
    from pnnlab.training import change_recipe, check_twins, check_twins_of_run

    config = FidelityConfig(directions=directions, samples=samples)
    if run is not None and (recipe is not None or changes):
        raise typer.BadParameter("--run goes by the run's own recipe; leave out what would change it")
    with open_watcher(runs, resumable=False) as watcher:
        if run is not None:
            found = check_twins_of_run(run_folder(runs, run), config, watcher=watcher)
        else:
            _, changed = change_recipe(BenchFile.load(bench), recipe, recipe_changes({}, changes or []))
            found = check_twins(bench, changed, config, watcher=watcher)
    if plot is not None:
        draw_fidelity(found, plot)
    if as_json:
        print_json({"step": found.step, "shots": found.shots, "found": [asdict(one) for one in found.found]})
    else:
        tell_fidelity(found)


@twin.command("search")
def search(
    recipe: RecipeArgument = None,
    *,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose twin; the first layer's if left out.")
    ] = None,
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="Twins to try.")] = 20,
    shots: Annotated[int | None, typer.Option(metavar="N", help="Shots to learn from.")] = None,
    directions: Annotated[int, typer.Option(metavar="N", min=4, help="Derivatives to compare gradients with.")] = 32,
    changes: SetOption = None,
    runs: RunsOption = RUNS,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Search for a learned twin by held-out error and by the angle of its gradient; the bench is asked once for all."""
    from pnnlab.bench import BenchFile
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.nn import FidelityConfig
    from pnnlab.training import change_recipe, search_twins

    replaced = recipe_changes({"fit.shots": shots}, changes or [])
    with open_watcher(runs, resumable=False) as watcher:
        _, changed = change_recipe(BenchFile.load(bench), recipe, replaced)
        found = search_twins(
            bench, changed, system=system, trials=trials, config=FidelityConfig(directions=directions), watcher=watcher
        )
    if as_json:
        print_json({"system": found.system, "shots": found.shots, "found": [asdict(one) for one in found.candidates]})
    else:
        tell_search(found)
