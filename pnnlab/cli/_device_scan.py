"""The command `pnnlab devices scan`."""

from dataclasses import asdict
from typing import Annotated

import typer

from pnnlab.cli._errors import DEVICE_TROUBLE
from pnnlab.cli._options import JsonOption
from pnnlab.cli._terminal import print_json, waiting

__all__ = ["scan_devices"]


def scan_devices(
    drivers: Annotated[
        list[str] | None, typer.Argument(metavar="DRIVER...", help="Ask these drivers only.", show_default=False)
    ] = None,
    *,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long to wait for all.")] = "20 s",
    as_json: JsonOption = False,
) -> None:
    """Ask every installed driver what it could open, and print a bench file of what was found.

    The drivers are asked side by side, each vendor's in a process of its own. No output is changed, and no instrument
    is taken away from who is using it. `pnnlab devices scan > instruments.yaml` is a bench file to start from.
    """
    from pnnlab.bench import bench_text, scan
    from pnnlab.quantities import parse_quantity

    try:
        timeout_s = parse_quantity(timeout, "s")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from error
    with waiting("asking the installed drivers"):
        result = scan(timeout_s=timeout_s, drivers=drivers or None)
    if as_json:
        print_json(asdict(result))
    elif result.found:
        typer.echo(bench_text(result.found), nl=False)
    asked = ", ".join(result.asked) or "none"
    typer.echo(f"# {len(result.found)} instruments found; asked: {asked}", err=True)
    for name, why in result.failed.items():
        typer.echo(f"# {name}: {why}", err=True)
    if result.failed:
        raise typer.Exit(DEVICE_TROUBLE)
