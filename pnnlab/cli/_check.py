"""The command `pnnlab check`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._options import BENCH
from pnnlab.cli._terminal import print_facts
from pnnlab.errors import BenchFileError, Problem

if TYPE_CHECKING:
    from pnnlab.bench import BenchFile

__all__ = ["check"]


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", envvar="PNNLAB_BENCH", help="The bench file.")] = BENCH,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of bench files, for editors, and check nothing.")
    ] = False,
) -> None:
    """Check a bench file and its recipes.

    Every problem is told, and no device is touched.
    """
    if schema:
        from pnnlab.training import bench_file_schema

        typer.echo(json.dumps(bench_file_schema(), indent=2))
        return
    found = _read(file)
    typer.echo(f"{file}: no problems\n")
    print_facts(_facts(found))


def _read(path: Path) -> "BenchFile":
    """Read a bench file and check its recipes; the problems of both are told together."""
    from pnnlab.bench import BenchFile, Document

    problems: list[Problem] = []
    document = Document.load(path)
    if document.at(("training",)) is not None:
        # recipes need torch: a bench that only measures is checked without
        from pnnlab.training import check_recipes

        problems += check_recipes(document)
    try:
        file = BenchFile.load(path)
    except BenchFileError as error:
        raise BenchFileError([*error.problems, *problems]) from error
    if problems:
        raise BenchFileError(problems)
    return file


def _facts(file: "BenchFile") -> dict[str, str]:
    config, document = file.config, file.document
    recipes = document.at(("training",))
    names = recipes if isinstance(recipes, dict) else {}
    return {
        "bench": f"{config.name}, {config.clock} clock",
        "plants": _listed([f"{name} ({document.at(('plants', name, 'driver'))})" for name in config.plants]),
        "devices": _listed([f"{name} ({document.at(('devices', name, 'driver'))})" for name in config.devices]),
        "systems": _listed([f"{name} ({system.config.kind})" for name, system in config.systems.items()]),
        "recipes": _listed(
            [f"{name} ({document.at(('training', name, 'method')) or 'physics_aware'})" for name in names]
        ),
        "hash": file.hash,
    }


def _listed(entries: list[str]) -> str:
    return "\n".join(entries) or "none"
