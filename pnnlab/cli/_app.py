"""The command `pnnlab`."""

import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import pnnlab
from pnnlab.cli._calibrate import calibrate
from pnnlab.cli._check import check
from pnnlab.cli._compare import compare
from pnnlab.cli._devices import devices
from pnnlab.cli._errors import report
from pnnlab.cli._log import show_log
from pnnlab.cli._methods import methods
from pnnlab.cli._profile import profile
from pnnlab.cli._runs import runs
from pnnlab.cli._train import train
from pnnlab.cli._twin import twin

__all__ = ["main"]

# plain help: it starts faster than boxes do, and reads well in every terminal, log and encoding
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(check)
app.add_typer(devices, name="devices")
app.add_typer(calibrate, name="calibrate")
app.add_typer(twin, name="twin")
app.command()(train)
app.command()(compare)
app.command()(profile)
app.add_typer(runs, name="runs")
app.command()(methods)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pnnlab {pnnlab.__version__}")
        raise typer.Exit


@app.callback()
def pnnlab_command(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Tell more; twice, tell everything.")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train physical neural networks on the bench that a file describes.

    Results go to stdout, progress and messages to stderr. Exit codes: 2 wrong input, 3 a device did not do what was
    asked, 130 Ctrl-C, 1 anything else.
    """
    del version
    show_log(verbose)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: Without the program's name; those of the process if `None`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that knows no Greek letter shows a question mark; it is no reason to lose a result
            stream.reconfigure(errors="replace")
    try:
        app(args=arguments, prog_name="pnnlab")
    except Exception as error:
        sys.exit(report(error))
