"""The JSON schema of bench files, for editors that complete and check while one types."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pnnlab.bench._config import BenchSection, DeviceSection, LimitsSection, PlantSection, limitable
from pnnlab.bench._names import NAME_PATTERN, BenchLookupError
from pnnlab.bench._registry import find_driver, find_plant, installed_drivers, installed_plants
from pnnlab.devices import Device
from pnnlab.systems import system_kinds

__all__ = ["json_schema"]

Schema: TypeAlias = dict[str, Any]  # a JSON schema is any JSON

T = TypeVar("T")

_OWN_CLASS: Final[Mapping[str, str]] = {"type": "string", "pattern": "^[A-Za-z_][\\w.]*:[A-Za-z_][\\w.]*$"}
"""A driver that is not installed, as `module:Class`; the schema knows nothing of its options."""


def json_schema() -> Schema:
    """Return the schema of a bench file, from the installed drivers and plants and the kinds of systems.

    Drivers that do not import, or that two distributions claim, are left out.
    """
    drivers = _importable([driver.name for driver in installed_drivers()], find_driver)
    plants = _importable([plant.name for plant in installed_plants()], find_plant)
    kinds = {name: kind.Config for name, kind in sorted(system_kinds().items())}
    sections: list[type[BaseModel]] = [BenchSection, PlantSection, DeviceSection, LimitsSection]
    options = [*(cls.Options for cls in drivers.values()), *(cls.Options for cls in plants.values())]
    models = list(dict.fromkeys([*sections, *options, *kinds.values()]))
    refs, definitions = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    ref = {model: refs[model, "validation"] for model in models}
    defs = definitions["$defs"]

    plant_cases = [_case("driver", name, _options(cls.Options, ref, defs)) for name, cls in plants.items()]
    device_cases = [
        _case("driver", name, _options(cls.Options, ref, defs), _limits(cls, ref), _plant(cls))
        for name, cls in drivers.items()
    ]
    system_cases = [_case("kind", name, ref[config]) for name, config in kinds.items()]
    system = {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": list(kinds)}}}
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pnnlab bench file",
        "type": "object",
        "properties": {
            "bench": ref[BenchSection],
            "plants": _named({**ref[PlantSection], **_driver(plants), "allOf": plant_cases}),
            "devices": {
                **_named({**ref[DeviceSection], **_driver(drivers), "allOf": device_cases}),
                "minProperties": 1,
            },
            "systems": _named({**system, "allOf": system_cases}),
            "training": {"type": ["object", "null"]},
        },
        "required": ["bench", "devices"],
        "additionalProperties": False,
        "$defs": {name: _without_foreign_defaults(model) for name, model in defs.items()},
    }
    return {key: value for key, value in schema.items() if key != "$defs" or value}


def _importable(names: Iterable[str], find: Callable[[str], T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name in names:
        # a driver that is broken here must not take the schema of all others with it
        with suppress(BenchLookupError):
            found[name] = find(name)
    return found


def _named(entry: Schema) -> Schema:
    """Return the schema of a section that maps names to entries."""
    return {"type": ["object", "null"], "propertyNames": {"pattern": NAME_PATTERN}, "additionalProperties": entry}


def _driver(known: Iterable[str]) -> Schema:
    return {"properties": {"driver": {"anyOf": [{"enum": sorted(known)}, _OWN_CLASS]}}}


def _case(key: str, name: str, *then: Schema) -> Schema:
    """Return what else holds for the entry whose `key` is `name`."""
    return {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": {"allOf": [*then]}}


def _options(model: type[BaseModel], ref: Mapping[type[BaseModel], Schema], defs: Mapping[str, Schema]) -> Schema:
    needed = defs[ref[model]["$ref"].removeprefix("#/$defs/")].get("required", [])
    if needed:
        return {"properties": {"options": ref[model]}, "required": ["options"]}
    return {"properties": {"options": {"anyOf": [ref[model], {"type": "null"}]}}}


def _limits(driver: type[Device], ref: Mapping[type[BaseModel], Schema]) -> Schema:
    quantities = {
        quantity: {**ref[LimitsSection], "description": f"limits in {unit}" if unit else "limits, plain numbers"}
        for quantity, unit in limitable(driver).items()
    }
    limits = {"type": ["object", "null"], "properties": quantities, "additionalProperties": False}
    return {"properties": {"limits": limits}}


def _plant(driver: type[Device]) -> Schema:
    return {"required": ["plant"]} if driver.needs_plant else {"properties": {"plant": {"type": "null"}}}


def _without_foreign_defaults(schema: Schema) -> Schema:
    """Return a model's schema without defaults that a file could not hold: inside they are SI numbers, outside text."""
    properties = {
        name: {key: value for key, value in field.items() if key != "default" or _fits(value, field)}
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _fits(default: object, field: Schema) -> bool:
    kinds = {branch.get("type") for branch in field.get("anyOf", [field])}
    if isinstance(default, bool) or default is None:
        return True
    return not isinstance(default, int | float) or bool(kinds & {"number", "integer"})
