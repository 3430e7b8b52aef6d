"""The command `pnnlab methods`."""

from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._options import JsonOption
from pnnlab.cli._terminal import print_facts, print_json, print_table

if TYPE_CHECKING:
    from pnnlab.methods import TrainingMethod

__all__ = ["methods"]


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A method, to see its options.", show_default=False)
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the training methods, or one method's options."""
    from pnnlab.methods import find_method, known_methods

    chosen = [find_method(one) for one in (known_methods() if name is None else [name])]
    if as_json:
        print_json([_facts(method) for method in chosen])
    elif name is None:
        rows = [[method.name, method.summary, _needs(method)] for method in chosen]
        print_table(["method", "what it does", "needs"], rows, folding=["what it does"])
    else:
        _tell(chosen[0])


def _tell(method: "type[TrainingMethod]") -> None:
    print_facts({"method": method.name, "what it does": method.summary, "needs": _needs(method)})
    rows = [[option, kind, default] for option, kind, default in _options(method)]
    if rows:
        typer.echo(f"\nin a recipe below `method_options: {{{method.name}: ...}}`")
        print_table(["option", "type", "default"], rows, folding=["type"])
    else:
        typer.echo("it has no options")


def _options(method: "type[TrainingMethod]") -> list[tuple[str, str, str]]:
    schema = method.Options.model_json_schema()
    return [
        (option, str(entry.get("type", entry.get("anyOf", "see the schema"))), str(entry.get("default", "")))
        for option, entry in schema.get("properties", {}).items()
    ]


def _needs(method: "type[TrainingMethod]") -> str:
    return ", ".join([*(["a twin"] if method.needs_twin else []), *sorted(method.needs)]) or "nothing"


def _facts(method: "type[TrainingMethod]") -> dict[str, object]:
    return {
        "name": method.name,
        "summary": method.summary,
        "needs_twin": method.needs_twin,
        "needs": sorted(method.needs),
        "options": method.Options.model_json_schema().get("properties", {}),
    }
