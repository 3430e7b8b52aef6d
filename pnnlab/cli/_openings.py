"""What benches allow: tables of methods."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from pnnlab.cli._terminal import print_table
from pnnlab.cli._text import count

if TYPE_CHECKING:
    from pnnlab.training import Opening, Openings

__all__ = ["tell_matrix", "tell_openings"]


def tell_openings(found: "Openings") -> None:
    """Print what one bench allows, with what was measured."""
    if found.conditions:
        rows = [
            [
                one.system, one.name, f"{one.value:.2g} ± {one.error:.1g}", one.says,
                one.bears_on or "", one.means,
            ]
            for one in found.conditions
        ]  # fmt: skip
        print_table(["system", "condition", "measured", "says", "bears on", "what it is"], rows, folding=["what it is"])
        typer.echo("")
    rows = [
        [one.method, str(one.openness), _cosine(one), one.reason] for one in sorted(found.methods.values(), key=_order)
    ]  # fmt: skip
    measured = any(one.agreements for one in found.methods.values())
    columns = ["method", "here", "cosine", "why"]
    if not measured:
        columns.remove("cosine")
        rows = [[row[0], row[1], row[3]] for row in rows]
    print_table(columns, rows, folding=["why"])
    if measured:
        typer.echo(
            f"\ncosine: of the method's gradient and the bench's own finite differences, the smallest over the layers; "
            f"{count(found.shots)} shots in all"
        )


def tell_matrix(found: "Mapping[str, Openings]") -> None:
    """Print methods against benches, and in sentences what each bench lacks."""
    benches = list(found)
    names = list(next(iter(found.values())).methods)
    letters: dict[str, str] = {}
    rows = []
    for name in names:
        row = [name]
        for bench in benches:
            opening = found[bench].methods[name]
            row.append(_cell(opening, letters))
        rows.append(row)
    print_table(["method", *benches], rows, folding=[])
    for reason, letter in letters.items():
        typer.echo(f"{letter}  lacks {reason}")


def _cell(opening: "Opening", letters: dict[str, str]) -> str:
    from pnnlab.training import Openness

    if opening.openness is not Openness.CLOSED:
        return "twin" if opening.openness is Openness.TWIN else "runs"
    # of "system 'a' (mesh) lacks nudge, relaxes" what is lacking
    lacks = sorted({what for part in opening.reason.split("; ") for what in part.rpartition(" lacks ")[2].split(", ")})
    return letters.setdefault(", ".join(lacks), str(len(letters) + 1))


def _order(opening: "Opening") -> tuple[int, str]:
    from pnnlab.training import Openness

    return list(Openness).index(opening.openness), opening.method


def _cosine(opening: "Opening") -> str:
    if not opening.agreements:
        return ""
    worst = min(opening.agreements, key=lambda one: one.cosine if math.isfinite(one.cosine) else -2.0)
    return f"{worst.cosine:.3f} ± {worst.cosine_error:.3f}" if math.isfinite(worst.cosine) else "lost in noise"
