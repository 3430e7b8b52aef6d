"""What several commands are asked with."""

from pathlib import Path
from typing import Annotated, Final

import typer
from typer import Context
from typer.core import TyperGroup

__all__ = [
    "BENCH",
    "RUNS",
    "BenchOption",
    "DeviceArgument",
    "HoldOption",
    "JsonOption",
    "ListingGroup",
    "RecipeArgument",
    "RunArgument",
    "RunsOption",
    "SetOption",
    "run_counter",
    "run_folder",
]

BENCH: Final = Path("instruments.yaml")
RUNS: Final = Path("runs")

BenchOption = Annotated[
    Path, typer.Option("--bench", "-b", metavar="FILE", envvar="PNNLAB_BENCH", help="The bench file.")
]
DeviceArgument = Annotated[str, typer.Argument(metavar="NAME", help="A device of the bench file.")]
HoldOption = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="How long an output is held; until Ctrl-C if left out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RecipeArgument = Annotated[
    str | None,
    typer.Argument(metavar="RECIPE", help="One below `training:` of the bench file; the first one if left out."),
]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="`latest`, a run's counter, its name or a beginning of it, or its folder.")
]
RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="The folder in which runs are recorded.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Replace a key of the recipe, as `batch=32` or `fit.shots=1024`; repeatable."
    ),
]


class ListingGroup(TyperGroup):
    """A group of commands that lists where no command is named: `pnnlab runs` is `pnnlab runs list`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:  # type: ignore[override]  # click's is not public
        """See `click.Command.parse_args`."""
        listed = not args or (args[0].startswith("-") and args[0] != "--help")
        return super().parse_args(ctx, ["list", *args] if listed else args)


def run_folder(root: Path, text: str) -> Path:
    """Return the folder of the run that a person means, by its name or by its path."""
    from pnnlab.runs import find_run

    path = Path(text)
    # shells complete paths, so a path is what one types
    return path if len(path.parts) > 1 and path.is_dir() else find_run(root, text)


def run_counter(run: Path) -> int:
    """Return the counter in the name of a run's folder, which is short and names it everywhere."""
    return int(run.name.split("_")[1])
