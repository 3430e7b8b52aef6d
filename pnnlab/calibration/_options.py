"""What a routine can be asked for, and how it is read."""

import json
from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field

from pnnlab.bench import Document
from pnnlab.errors import Problem, SetpointError
from pnnlab.quantities import FrozenModel

__all__ = ["RoutineOptions", "read_options"]

O = TypeVar("O", bound="RoutineOptions")  # noqa: E741 (stands for options)


class RoutineOptions(FrozenModel):
    """The options that all routines share; each declares its own.

    Attributes:
        seed: Of everything random: patterns, order, moments.
    """

    seed: int = Field(default=0, ge=0)


def read_options(kind: str, model: type[O], changes: Mapping[str, object]) -> O:
    """Return a routine's options, some of them replaced.

    Args:
        kind: The routine's kind, for messages.
        model: Its options.
        changes: New values by key, written as in a bench file: quantities with their unit.

    Raises:
        SetpointError: Something is wrong with the changes; all of it is told, and nothing was sent to a device.
    """
    if not changes:
        return model()
    # by way of a file: the same strictness, units and hints as in a bench file
    document = Document(json.dumps({"options": dict(changes)}, ensure_ascii=False), file=kind)
    problems: list[Problem] = []
    options = document.check(("options",), model, problems)
    if options is None:
        told = [f"  {p.key.removeprefix('options.')}: {p.found}; {p.allowed}" for p in problems]
        raise SetpointError("\n".join([f"{kind} cannot be calibrated with these options; nothing was sent", *told]))
    return options
