"""The matrix of drivers and checks, from what tests have shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pnnlab.testing._checks import Check
from pnnlab.testing.evidence import Evidence

__all__ = ["Cell", "Matrix", "markdown"]

_TITLES: Final = {Check.ACCEPTED: "out of range accepted by the device"}


@dataclass(frozen=True)
class Cell:
    """What tests have shown of one driver and one check.

    Attributes:
        shown: The peers against which it was shown.
        needs: What of it needs the device, and why.
        failed: How it failed; a matrix of a green run has none.
        applies: Whether the device has what is checked at all.
    """

    shown: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    applies: bool = True

    @classmethod
    def of(cls, evidence: Iterable[Evidence]) -> "Cell":
        """Return the cell of what tests of one driver have shown of one check."""
        found = list(evidence)
        done = {each.rule for each in found if each.outcome == "shown"}
        # what one peer could not show, another one may have
        left = [each for each in found if each.rule not in done]
        return cls(
            _unique(each.peer for each in found if each.outcome == "shown"),
            _unique(each.reason for each in left if each.outcome == "needs the device"),
            _unique(each.reason for each in left if each.outcome == "failed"),
            not found or any(each.outcome != "does not apply" for each in found),
        )

    def text(self, letters: dict[str, str]) -> str:
        """Return it in a few letters; see `markdown`."""
        if self.failed:
            return "FAILED"
        peers = "".join(letters.setdefault(peer, chr(ord("a") + len(letters))) for peer in self.shown)
        if peers:
            return peers + "*" * bool(self.needs)
        if self.needs:
            return "device"
        return "no test" if self.applies else "-"


@dataclass
class Matrix:
    """What tests have shown of drivers: a cell for each driver and check.

    Attributes:
        cells: By driver, then by check; a driver without tests has empty cells.
    """

    cells: dict[str, dict[Check, Cell]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Sequence[Evidence], drivers: Iterable[str] = ()) -> "Matrix":
        """Return the matrix of a run of tests.

        Args:
            evidence: What the tests have shown.
            drivers: The rows, in their order; those that were tested and that bench files name if empty.
        """
        rows = list(drivers) or _unique(each.driver for each in evidence if ":" not in each.driver)
        return cls({driver: _row([each for each in evidence if each.driver == driver]) for driver in rows})


def _row(evidence: Sequence[Evidence]) -> dict[Check, Cell]:
    """Return the cells of one driver; a check that no rule of its roles asks for does not apply to it."""
    asked = {check for each in evidence for check in each.checks}
    return {
        check: Cell.of(each for each in evidence if check in each.checks)
        if check in asked or not evidence
        else Cell(applies=False)
        for check in Check
    }


def markdown(matrix: Matrix) -> str:
    """Return a table in Markdown, what its letters mean, and what needs the device."""
    letters: dict[str, str] = {}
    heads = ["driver", *(_TITLES.get(check, str(check)) for check in Check)]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " :-: |" * len(Check)]
    for driver, row in matrix.cells.items():
        cells = [row[check].text(letters) for check in Check]
        lines.append("| " + " | ".join([f"`{driver}`", *cells]) + " |")
    lines += ["", "Shown against:", ""]
    lines += [f"- **{letter}** {peer}" for peer, letter in letters.items()]
    lines += ["", "What needs the device:", ""]
    for driver, row in matrix.cells.items():
        needs = [f"{check}: {'; '.join(row[check].needs)}" for check in Check if row[check].needs]
        if needs:
            lines.append(f"- `{driver}`: {'. '.join(needs)}.")
    return "\n".join(lines) + "\n"


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
