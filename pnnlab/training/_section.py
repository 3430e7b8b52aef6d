"""The section `training` of a bench file."""

import copy
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pnnlab.bench import BenchFile, Document, json_schema
from pnnlab.errors import Problem, RunError
from pnnlab.methods import find_method, known_methods
from pnnlab.training._build import build_method
from pnnlab.training._experiment import read_recipe
from pnnlab.training._recipe import Recipe

__all__ = ["bench_file_schema", "change_recipe", "check_recipes"]


def check_recipes(document: Document) -> list[Problem]:
    """Return everything that is wrong with the recipes of a bench file, as far as no device is needed to see it.

    Args:
        document: The bench file; its other sections may be wrong.
    """
    section = document.at(("training",))
    if section is None:
        return []
    if not isinstance(section, dict):
        return [
            document.problem(("training",), "the section is no mapping", "write a recipe's name and its keys below")
        ]
    systems = _keys(document, "systems")
    return [problem for name in section for problem in _check(document, name, systems)]


def change_recipe(file: BenchFile, name: str | None, changes: Mapping[str, object]) -> tuple[str, Recipe]:
    """Return a recipe of a bench file with some keys replaced, as if they stood in the file.

    Args:
        file: The bench file.
        name: One below its `training:`; the first if `None`.
        changes: New values, as the file would hold them, by key; dots reach deeper, as in `fit.shots`. A section that
            the recipe leaves out is made.

    Returns:
        The recipe's name and the recipe.

    Raises:
        BenchFileError: There is no such recipe, or something is wrong with it as it stands in the file.
        RunError: Something is wrong with the changes; all of it is told.
    """
    name, recipe = read_recipe(file, name)
    if not changes:
        return name, recipe
    section = copy.deepcopy(file.document.at(("training", name)))
    for key, value in changes.items():
        _replace(section, key, value)
    # by way of a file again: the same strictness, units and hints as if it had been written there
    text = json.dumps({"training": {name: section}}, ensure_ascii=False)
    document = Document(text, file=f"recipe {name!r}")
    problems = _check(document, name, _keys(file.document, "systems"))
    if problems:
        prefix = f"training.{name}."
        told = [f"  {p.key.removeprefix(prefix)}: {p.found}; {p.allowed}" for p in problems]
        raise RunError("\n".join([f"recipe {name!r} cannot be changed like this", *told]))
    return name, document.read(("training", name), Recipe)


def bench_file_schema() -> dict[str, Any]:
    """Return the JSON schema of a bench file with its recipes; see `pnnlab.bench.json_schema`."""
    schema = json_schema()
    recipe = Recipe.model_json_schema(ref_template="#/$defs/{model}")
    definitions = {**recipe.pop("$defs", {}), "Recipe": recipe}
    schema["properties"]["training"] = {
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/Recipe"},
    }
    options = {
        name: find_method(name).Options.model_json_schema(ref_template="#/$defs/{model}") for name in known_methods()
    }
    for one in options.values():
        definitions.update(one.pop("$defs", {}))
    recipe["properties"]["method_options"] = {
        "type": "object", "properties": options, "additionalProperties": False,
    }  # fmt: skip
    schema["$defs"] = {**schema.get("$defs", {}), **definitions}
    return schema


def _check(document: Document, name: str, systems: list[str]) -> list[Problem]:
    """Return what is wrong with one recipe; names are looked up even where other keys are wrong."""
    path = ("training", name)
    problems: list[Problem] = []
    recipe = document.check(path, Recipe, problems)
    method = document.at((*path, "method"))
    known = known_methods()
    if isinstance(method, str) and method not in known:
        problems.append(
            document.problem((*path, "method"), f"no method is named {method!r}", _suggest(method, known, "methods"))
        )
    options = _check_options(document, (*path, "method_options"))
    problems += options
    layers, twins = document.at((*path, "network", "layers")), document.at((*path, "twins"))
    named: list[tuple[tuple[str | int, ...], object]] = []
    if isinstance(layers, list):
        named += [((*path, "network", "layers", k), layer) for k, layer in enumerate(layers)]
    named += [((*path, "twins", twin), twin) for twin in twins] if isinstance(twins, dict) else []
    problems += [
        document.problem(where, f"no system is named {system!r}", _suggest(system, systems, "systems"))
        for where, system in named
        if isinstance(system, str) and system not in systems
    ]
    if recipe is not None and recipe.method in known and not options and _wants_twin(recipe):
        lacking = [system for system in dict.fromkeys(recipe.network.layers) if system not in recipe.twins]
        problems += [
            document.problem(
                (*path, "twins"), f"the method {recipe.method!r} needs a twin of {system!r}", "describe it below twins"
            )
            for system in lacking
            if system in systems
        ]
    return problems


def _wants_twin(recipe: Recipe) -> bool:
    method = build_method(recipe)
    return method.wants_twin(method.options)


def _check_options(document: Document, path: tuple[str | int, ...]) -> list[Problem]:
    """Return what is wrong with the options of methods."""
    section, known = document.at(path), known_methods()
    problems: list[Problem] = []
    for name in section if isinstance(section, dict) else ():
        if name in known:
            document.check((*path, name), find_method(name).Options, problems)
        else:
            found = f"no method is named {name!r}"
            problems.append(document.problem((*path, name), found, _suggest(str(name), known, "methods")))
    return problems


def _replace(section: Any, key: str, value: object) -> None:
    *above, last = key.split(".")
    for depth, part in enumerate(above):
        if section.get(part) is None:
            section[part] = {}
        section = section[part]
        if not isinstance(section, dict):
            raise RunError(f"{key}: {'.'.join(above[: depth + 1])} of the recipe has no keys; replace it as a whole")
    section[last] = value


def _keys(document: Document, section: str) -> list[str]:
    entries = document.at((section,))
    return list(entries) if isinstance(entries, dict) else []


def _suggest(wrong: str, known: Iterable[str], noun: str) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{noun} are {', '.join(names) or 'none'}"
