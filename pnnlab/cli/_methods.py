"""The command `pnnlab methods`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._changes import recipe_changes
from pnnlab.cli._openings import tell_matrix, tell_openings
from pnnlab.cli._options import BENCH, RUNS, JsonOption, SetOption
from pnnlab.cli._terminal import print_facts, print_json, print_table

if TYPE_CHECKING:
    from pnnlab.methods import TrainingMethod
    from pnnlab.training import Openings

__all__ = ["methods"]


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A method, to see its options.", show_default=False)
    ] = None,
    *,
    benches: Annotated[
        list[Path] | None,
        typer.Option(
            "--bench",
            "-b",
            metavar="FILE",
            show_default=False,
            help="Tell which methods this bench allows, and what it lacks for others; several make a table.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure the symmetries of the bench's physics, and how good the gradients are that it makes itself.",
        ),
    ] = False,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose network is looked at; the first one if left out.")
    ] = None,
    directions: Annotated[
        int, typer.Option(metavar="N", min=4, help="With --measure: random directions; more are more certain.")
    ] = 32,
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, help="With --measure: training samples that make the loss.")
    ] = 8,
    changes: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the training methods, one method's options, or what a bench allows.

    `pnnlab methods --measure` is for a live bench: it tells which exact methods are open on it, which are approximate,
    and how good their gradients are.
    """
    if name is not None and (benches or measure):
        raise typer.BadParameter("one method's options depend on no bench; leave out NAME, or --bench and --measure")
    if measure:
        chosen = benches or [BENCH]
        if len(chosen) > 1:
            raise typer.BadParameter("--measure looks at one bench at a time; name one")
        found = _measure(chosen[0], recipe, changes or [], directions=directions, samples=samples)
        _tell_bench({chosen[0]: found}, as_json=as_json)
    elif benches:
        _tell_bench({bench: _declared(bench, recipe, changes or []) for bench in benches}, as_json=as_json)
    else:
        _list(name, as_json=as_json)


def _list(name: str | None, *, as_json: bool) -> None:
    from pnnlab.methods import find_method, known_methods

    chosen = [find_method(one) for one in (known_methods() if name is None else [name])]
    if as_json:
        print_json([_facts(method) for method in chosen])
    elif name is None:
        rows = [[method.name, method.summary, _needs(method)] for method in chosen]
        print_table(["method", "what it does", "needs"], rows, folding=["what it does"])
    else:
        _tell(chosen[0])


# On a bench


def _declared(bench_file: Path, recipe: str | None, changes: list[str]) -> "Openings":
    from pnnlab.bench import Bench
    from pnnlab.training import change_recipe, find_openings

    with Bench.from_file(bench_file) as bench:
        if not bench.file.document.at(("training",)) and recipe is None:
            return find_openings(bench.systems.values(), None)
        _, chosen = change_recipe(bench.file, recipe, recipe_changes({}, changes))
        return find_openings([bench.systems[layer] for layer in chosen.network.layers], chosen.twins)


def _measure(
    bench_file: Path, recipe: str | None, changes: list[str], *, directions: int, samples: int
) -> "Openings":  # fmt: skip
    from pnnlab.bench import BenchFile
    from pnnlab.cli._watcher import open_watcher
    from pnnlab.nn import FidelityConfig
    from pnnlab.training import change_recipe, measure_openings

    config = FidelityConfig(directions=directions, samples=samples)
    with open_watcher(RUNS, resumable=False) as watcher:
        _, chosen = change_recipe(BenchFile.load(bench_file), recipe, recipe_changes({}, changes))
        return measure_openings(bench_file, chosen, config, watcher=watcher)


def _tell_bench(found: "Mapping[Path, Openings]", *, as_json: bool) -> None:
    if as_json:
        print_json({str(bench): asdict(openings) for bench, openings in found.items()})
    elif len(found) > 1:
        tell_matrix({_short(bench, found): openings for bench, openings in found.items()})
    else:
        tell_openings(next(iter(found.values())))


def _short(bench: Path, all_benches: Iterable[Path]) -> str:
    alike = sum(other.stem == bench.stem for other in all_benches)
    return bench.stem if alike == 1 else str(bench)


# Without a bench


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
