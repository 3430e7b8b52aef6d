"""The commands `pnnlab devices test` and `pnnlab devices matrix`."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pnnlab.cli._errors import DEVICE_TROUBLE
from pnnlab.cli._options import BENCH, BenchOption, DeviceArgument, JsonOption
from pnnlab.cli._terminal import print_json, print_table, waiting

if TYPE_CHECKING:
    from pnnlab.testing.evidence import Evidence

__all__ = ["print_matrix", "run_self_test"]

_OTHER: Final = "everything else"


def run_self_test(
    name: DeviceArgument,
    *,
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--outputs", metavar="QUANTITY=RANGE",
            help="Allow outputs to be put anywhere in a range, as 'voltage=0 V to 1 V'; repeatable.",
        ),
    ] = None,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Hold a device against the rules that every driver keeps.

    The rules are those of `pytest --pnnlab-device NAME`. The outputs of a live device stay in their safe state, unless
    --outputs says where they may be put: with a sample connected, think of what it can stand.
    """
    _require_pytest()
    from pnnlab.testing.self_test import self_test

    with waiting(f"testing {name}") as say:
        evidence = self_test(bench, name, outputs or [], progress=lambda n: say(f"testing {name}: {n} rules done"))
    failed = [each for each in evidence if each.outcome == "failed"]
    if as_json:
        print_json([asdict(each) for each in evidence])
    else:
        print_table(["check", "result", "rules", "remarks"], _rows(evidence), folding=["remarks"], right=["rules"])
        for each in failed:
            typer.echo(f"\n{each.rule}\n  {each.reason}")
        for reason in dict.fromkeys(each.reason for each in evidence if each.outcome == "not shown"):
            # the option has another name where pytest is asked
            typer.echo(f"\nnot asked for: {reason.replace('--pnnlab-outputs', '--outputs')}")
    if failed:
        raise typer.Exit(DEVICE_TROUBLE)


def print_matrix(
    evidence: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `pytest --pnnlab-evidence FILE` has written.")
    ],
) -> None:  # fmt: skip
    """Print the matrix of drivers and checks that a run of tests has shown, as Markdown."""
    _require_pytest()
    from pnnlab.testing.evidence import read_evidence
    from pnnlab.testing.matrix import Matrix, markdown

    if not evidence.is_file():
        raise typer.BadParameter(f"there is no file {evidence}; run `pytest --pnnlab-evidence {evidence}` first")
    typer.echo(markdown(Matrix.of(read_evidence(evidence))), nl=False)


def _rows(evidence: "Sequence[Evidence]") -> list[list[str]]:
    """Return a row for each check, with the rules that show it."""
    from pnnlab.testing import Check

    rows = []
    for check in (*Check, _OTHER):
        own = [each for each in evidence if (check in each.checks if each.checks else check == _OTHER)]
        if own:
            done = sum(each.outcome == "shown" for each in own)
            reasons = dict.fromkeys(
                each.reason for each in own if each.outcome in ("needs the device", "does not apply")
            )
            rows.append([str(check), _result(own), f"{done} of {len(own)}", "; ".join(reasons)])
    return rows


def _result(evidence: "Sequence[Evidence]") -> str:
    outcomes = {each.outcome for each in evidence}
    for outcome, text in (("failed", "FAILED"), ("shown", "ok"), ("not shown", "not asked for")):
        if outcome in outcomes:
            return text
    return "needs a hand" if "needs the device" in outcomes else "does not apply"


def _require_pytest() -> None:
    if find_spec("pytest") is None:
        raise typer.BadParameter("the rules are tests: install pnnlab[test]")
