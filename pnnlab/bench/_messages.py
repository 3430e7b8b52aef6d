"""What pydantic finds wrong with a section, in words for the person who wrote the file."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Final, get_args

from pydantic import BaseModel, PydanticUserError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pnnlab.bench._names import suggest
from pnnlab.bench._nodes import Path, Plain, child, shown

__all__ = ["Complaint", "complaints"]

Complaint = tuple[Path, str, str]
"""Path below the section, what was found, what is allowed."""

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "string_type": ("{it} is no text", "write text, in quotes where it looks like a number"),
    "int_type": ("{it} is no whole number", "write a whole number, without quotes"),
    "int_from_float": ("{it} is no whole number", "write a whole number"),
    "float_type": ("{it} is no number", "write a number, without quotes"),
    "bool_type": ("{it} is neither true nor false", "write true or false"),
    "none_required": ("{it} stands where nothing is due", "leave it empty"),
    "list_type": ("{it} is no list", "write a list, as [1, 2]"),
    "tuple_type": ("{it} is no list", "write a list, as [1, 2]"),
    "set_type": ("{it} is no list", "write a list, as [1, 2]"),
    "frozen_set_type": ("{it} is no list", "write a list, as [1, 2]"),
    "dict_type": ("{it} is no mapping", "write 'key: value' lines below it"),
    "model_type": ("{it} is no mapping", "write 'key: value' lines below it"),
    "model_attributes_type": ("{it} is no mapping", "write 'key: value' lines below it"),
    "dataclass_type": ("{it} is no mapping", "write 'key: value' lines below it"),
    "path_type": ("{it} is no path", "write the path of a file as text"),
    "greater_than": ("{it} is too small", "allowed is more than {gt}"),
    "greater_than_equal": ("{it} is too small", "allowed is at least {ge}"),
    "less_than": ("{it} is too large", "allowed is less than {lt}"),
    "less_than_equal": ("{it} is too large", "allowed is at most {le}"),
    "multiple_of": ("{it} is no multiple of {multiple_of}", "write a multiple of {multiple_of}"),
    "finite_number": ("{it} is not finite", "write a finite number"),
    "too_short": ("{actual_length} entries are too few", "allowed are at least {min_length}"),
    "too_long": ("{actual_length} entries are too many", "allowed are at most {max_length}"),
    "string_too_short": ("{it} is too short", "allowed are at least {min_length} characters"),
    "string_too_long": ("{it} is too long", "allowed are at most {max_length} characters"),
    "string_pattern_mismatch": ("{it} is not spelled as it must be", "allowed is what fits {pattern}"),
    "literal_error": ("{it} is no choice here", "choose {expected}"),
    "enum": ("{it} is no choice here", "choose {expected}"),
    "union_tag_invalid": ("{tag!r} is no {discriminator} here", "choose {expected_tags}"),
    "union_tag_not_found": ("{discriminator} is missing", "add it"),
}
_KINDS: Final[Mapping[str, str]] = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping",
}  # fmt: skip


def complaints(errors: Sequence[ErrorDetails], model: type[BaseModel], data: Plain) -> Iterator[Complaint]:
    """Yield one complaint a place in the file, in pydantic's order.

    Args:
        errors: What pydantic found.
        model: The model that the section was read into.
        data: The section.
    """
    places: dict[Path, list[tuple[str, str]]] = {}
    for error in errors:
        if error["type"] == "missing":
            texts = _missing(error, model)
        elif error["type"] == "extra_forbidden":
            texts = _unknown(error, model)
        else:
            texts = _texts(error)
        places.setdefault(_place(error, data), []).append(texts)
    for path, all_texts in places.items():
        # the branches of a union complain one by one about the same value
        found = dict.fromkeys(found for found, _ in all_texts)
        allowed = dict.fromkeys(allowed for _, allowed in all_texts)
        one_found = next(iter(found)) if len(found) == 1 else f"{shown(reduce(child, path, data))} is not allowed here"
        yield path, one_found, ", or ".join(allowed)


def _place(error: ErrorDetails, data: Plain) -> Path:
    """Return where in the file the error is; pydantic's location also names branches of unions and validators."""
    path: list[str | int] = []
    here = data
    for part in error["loc"]:
        try:
            here = child(here, part)
        except LookupError:
            continue
        path.append(part)
    name = error["loc"][-1] if error["loc"] else None
    if error["type"] == "missing" and isinstance(name, str):
        return (*path, name)
    return tuple(path)


def _texts(error: ErrorDetails) -> tuple[str, str]:
    it = shown(error["input"])
    context = {key: _number(value) for key, value in error.get("ctx", {}).items()}
    if error["type"] in ("value_error", "assertion_error"):
        # the models of this project write "found; allowed"; others' messages stand as they are
        found, _, allowed = str(context["error"]).partition("; ")
        if not allowed and isinstance(error["input"], dict):
            return found, "correct it"  # of several keys of a section: the section itself is no news
        return (found, allowed) if allowed else (f"{it} is not allowed", found or "correct it")
    if error["type"] in _TEXTS:
        found, allowed = _TEXTS[error["type"]]
        return found.format(it=it, **context), allowed.format(it=it, **context)
    text = error["msg"].removeprefix("Input should be ").removeprefix("Value should be ")
    if text != error["msg"]:
        return f"{it} is not allowed", f"write {text}"
    return f"{it} is not allowed", text[:1].lower() + text[1:]


def _number(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def _missing(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    name = error["loc"][-1]
    if isinstance(name, int):
        return f"entry {name + 1} of the list is missing", "add it"
    due = ""
    for candidate in _models(model, error["loc"][:-1]):
        if name in _fields(candidate):
            due = _due(candidate, name)
    return "the key is missing", f"add it: {due}" if due else "add it"


def _unknown(error: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    known = {str(name) for candidate in _models(model, error["loc"][:-1]) for name in _fields(candidate)}
    return "the key is not known", suggest(str(error["loc"][-1]), known, noun="keys")


def _fields(model: type[BaseModel]) -> dict[str | int, FieldInfo]:
    """Return the fields by their names in the file."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def _models(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """Return the models that may stand at a location; several where a union leaves it open."""
    candidates = [model]
    for part in loc:
        fields = [field for candidate in candidates if (field := _fields(candidate).get(part)) is not None]
        if fields:
            candidates = [inner for field in fields for inner in _inside(field.annotation)]
        elif named := [candidate for candidate in candidates if candidate.__name__ == part]:
            candidates = named
    return candidates


def _inside(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _inside(argument)


def _due(model: type[BaseModel], name: str) -> str:
    """Return what a field takes, as `a quantity in s, as '16.7 ms'`."""
    try:
        return _kind(model.model_json_schema()["properties"][name])
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return ""  # a driver's own type without a schema


def _kind(schema: Mapping[str, Any]) -> str:  # a JSON schema is any JSON
    if "description" in schema and schema.get("type") != "object":
        return str(schema["description"])
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " or ".join(repr(choice) for choice in schema["enum"])
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        kinds = dict.fromkeys(kind for branch in branches if (kind := _kind(branch)))
        return " or ".join(kinds)
    if "$ref" in schema:
        return "a mapping"
    return _KINDS.get(str(schema.get("type", "")), "")
