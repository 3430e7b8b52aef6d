"""What the command line writes."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["open_console", "print_facts", "print_json", "print_table", "waiting"]

_WIDE: Final = 500
"""Columns of a file or a pipe: whatever reads it is better served by long lines than by folded ones."""


def open_console(*, stderr: bool = False) -> "Console":
    """Return a console that takes texts as they are: `[1]` is no markup, and paths are not broken."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def print_json(value: object) -> None:
    """Print a value as JSON; what is not finite becomes `null`, which every reader knows."""
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, folding: Sequence[str], right: Sequence[str] = ()
) -> None:
    """Print a table.

    Args:
        columns: The heads.
        rows: One text a column; a cell may have several lines.
        folding: Heads of the columns that are folded where the terminal is too narrow.
        right: Heads of the columns that stand flush right, as numbers should.
    """
    from rich.table import Table
    from rich.text import Text

    several_lines = any("\n" in cell for row in rows for cell in row)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for column in columns:
        table.add_column(
            Text(column),
            justify="right" if column in right else "left",
            no_wrap=column not in folding,
            overflow="fold",
        )
    for k, row in enumerate(rows):
        if k and several_lines:
            table.add_row()
        table.add_row(*(Text(cell) for cell in row))
    _print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and what is known about them, one a line; a fact may have several lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(Text(name, style="bold"), Text(fact))
    _print(table)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], object]]:
    """Show on a terminal what is waited for, until the context ends; give what changes the text."""
    console = open_console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(what) as status:
        yield lambda text: status.update(text)


def _print(table: "Table") -> None:
    console = open_console()
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    # what pads the columns is of no use in a file
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | bool | None) else str(value)
