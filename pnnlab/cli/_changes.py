"""Changes to a recipe, as the options of a command give them."""

from collections.abc import Mapping, Sequence

import typer

__all__ = ["recipe_changes"]


def recipe_changes(given: Mapping[str, object], assignments: Sequence[str]) -> dict[str, object]:
    """Return new values of a recipe's keys.

    Args:
        given: Options with a name of their own, by the recipe's key; `None` where an option was not given.
        assignments: What `--set` was given, `key=value`; the value is read as in a bench file.

    Raises:
        BadParameter: One of them is no assignment, or a key is given twice.
    """
    changes = {key: value for key, value in given.items() if value is not None}
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        key = key.strip()
        if not sign or not all(key.split(".")):
            raise typer.BadParameter(
                f"--set is given {assignment!r}; write a key of the recipe and its value, as batch=32"
            )
        if key in changes:
            raise typer.BadParameter(f"{key} is given twice; give it once")
        changes[key] = _value(key, text)
    return changes


def _value(key: str, text: str) -> object:
    from pnnlab.bench import Document
    from pnnlab.errors import BenchFileError

    try:
        return Document(f"value: {text}", file="--set").at(("value",))
    except BenchFileError as error:
        reason = f"{error.problems[0].found}; {error.problems[0].allowed}"
        raise typer.BadParameter(f"--set {key} is given {text!r}: {reason}") from error
