"""Print the acceptance table: figures of the literature, found again with the classes that pnnlab ships.

    python scripts/show_acceptance.py --list                  # what there is, and how long it takes
    python scripts/show_acceptance.py                         # everything, row by row
    python scripts/show_acceptance.py reservoir spsa-cosine   # groups, and rows
    python scripts/show_acceptance.py --data FOLDER           # where data are that no package carries

A row is one claim: the figure to be met and where it comes from, when it passes, and what was found. Rows stand in
`scripts/acceptance`, one module a group; the set-ups of the literature that they use stand in `scripts/setups`. Ends
with 1 if a row does not pass; rows whose data are not there are told and do not count.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from scripts.acceptance import MissingFileError, Row, groups


@dataclass(frozen=True)
class Result:
    """What came of a row.

    Attributes:
        name: Of the row.
        found: The figure, or what is missing.
        passed: `None` where data are missing.
        time_s: How long it took.
    """

    name: str
    found: str
    passed: bool | None
    time_s: float

    @property
    def verdict(self) -> str:
        """Return the verdict for people, coloured."""
        if self.passed is None:
            return "[yellow]no data[/]"
        return "[green]pass[/]" if self.passed else "[bold red]FAIL[/]"


def run(name: str, data: Path) -> Result:
    """Find one row's figure; runs in a process of its own."""
    torch.set_num_threads(1)
    (row,) = (row for rows in groups().values() for row in rows if row.name == name)
    begin = time.perf_counter()
    try:
        finding = row.find(data)
    except MissingFileError as missing:
        return Result(name, str(missing), None, time.perf_counter() - begin)
    return Result(name, finding.text, finding.passed, time.perf_counter() - begin)


def chosen(known: Mapping[str, Sequence[Row]], wanted: Sequence[str]) -> list[Row]:
    """Return the rows that are named, or whose group is; all if nothing is."""
    names = {row.name for rows in known.values() for row in rows}
    if strange := [name for name in wanted if name not in names and name not in known]:
        sys.exit(f"show_acceptance: {', '.join(strange)} is neither a row nor a group; see --list")
    return [row for group, rows in known.items() for row in rows if not wanted or group in wanted or row.name in wanted]


def listing(known: Mapping[str, Sequence[Row]]) -> Table:
    """Return a table of what there is."""
    table = Table("group", Column("row", no_wrap=True), "expected", "passes if", Column("minutes", justify="right"))
    for group, rows in known.items():
        for row in rows:
            table.add_row(group, row.name, escape(row.expected), escape(row.threshold), f"{row.minutes:g}")
    return table


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows, or groups of rows; all if none is named")
    parser.add_argument("--list", action="store_true", help="list what there is, and run nothing")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data that no package carries")
    parser.add_argument("--json", type=Path, help="file to write what was found to")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    console, known = Console(), groups()
    if args.list:
        console.print(listing(known))
        return
    rows, results = chosen(known, args.rows), []
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        # in their order, each as soon as it is there
        for row, result in zip(rows, pool.map(partial(run, data=args.data), [row.name for row in rows]), strict=True):
            results.append(result)
            told = f"{result.verdict}  [bold]{row.name}[/]: {escape(result.found)}  [dim]({result.time_s:.0f} s)"
            console.print(told, soft_wrap=True)
            console.print(f"      [dim]{escape(row.expected)}; passes if {escape(row.threshold)}", soft_wrap=True)
    failed = [result.name for result in results if result.passed is False]
    passed = sum(result.passed is True for result in results)
    lacking = len(results) - passed - len(failed)
    console.print(f"{len(results)} rows: {passed} pass, {len(failed)} fail, {lacking} lack data")
    if args.json is not None:
        args.json.write_text(json.dumps([vars(result) for result in results], indent=1), encoding="utf-8")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
