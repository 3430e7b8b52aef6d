"""Print which training method runs on which shipped simulated bench, and what is lacking elsewhere, as Markdown.

`python scripts/method_matrix.py --write` puts it into `docs/methods.md`, too.
"""

import argparse
from pathlib import Path

from pnnlab.bench import Bench, BenchFile
from pnnlab.methods import find_method, known_methods
from pnnlab.training import Opening, Openings, Openness, find_openings, read_recipe

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
INTRODUCTION = """# Training methods, and the benches that can run them

Written by `python scripts/method_matrix.py --write` from what methods need and systems declare; not to be edited by
hand. `pnnlab methods NAME` tells the options of one, `pnnlab methods --bench FILE` what your own bench allows, and
`pnnlab methods --measure --bench FILE` how exactly its physics has the symmetries that a method relies on.

"""
LEGEND = """
x runs; t runs with a digital twin of each layer, which the bench's first recipe does not have; - the physics lacks
something that the method needs. Columns are the shipped simulated benches: {benches}.
"""


def main() -> None:
    """Print the page, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    text = page({path: openings_of(path) for path in simulated_benches()})
    print(text, end="")
    if arguments.write:
        PAGE.write_text(INTRODUCTION + text, encoding="utf-8")


def simulated_benches() -> list[Path]:
    """Return the shipped bench files that need no hardware, those that measure speed only left out."""
    files = [ROOT / "instruments.yaml", *sorted((ROOT / "scripts" / "benches").glob("*.yaml"))]
    return [
        file
        for file in files
        if BenchFile.load(file).document.at(("bench", "clock")) == "simulated" and not file.stem.startswith("paced")
    ]


def openings_of(file: Path) -> Openings:
    """Return what a bench allows, by the layers of its first recipe."""
    with Bench.from_file(file) as bench:
        _, recipe = read_recipe(bench.file)
        return find_openings([bench.systems[name] for name in recipe.network.layers], recipe.twins)


def page(found: dict[Path, Openings]) -> str:
    """Return the page."""
    numbers = [str(k + 1) for k in range(len(found))]
    lines = [
        f"| method | what it does | needs | {' | '.join(numbers)} |",
        f"| --- | --- | --- | {' | '.join(['---'] * len(numbers))} |",
    ]
    for name in known_methods():
        method = find_method(name)
        needs = ", ".join([*(["a twin"] if method.needs_twin else []), *sorted(method.needs)])
        cells = [_cell(openings.methods[name]) for openings in found.values()]
        lines.append(f"| {name} | {method.summary} | {needs} | {' | '.join(cells)} |")
    benches = ", ".join(f"{k} `{file.relative_to(ROOT)}`" for k, file in zip(numbers, found, strict=True))
    return "\n".join(lines) + "\n" + LEGEND.format(benches=benches)


def _cell(opening: Opening) -> str:
    return {Openness.CLOSED: "-", Openness.TWIN: "t"}.get(opening.openness, "x")


if __name__ == "__main__":
    main()
