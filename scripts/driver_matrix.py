"""Print the matrix of drivers and checks, from the marks and results of the drivers' own tests.

`python scripts/driver_matrix.py` runs the tests below `tests/drivers` that show something of a driver and prints the
matrix; `--write` puts it into `docs/drivers.md`, too. Tests whose peer is not installed show nothing: then the matrix
says so, and the page should not be written.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from pnnlab.bench import installed_drivers
from pnnlab.testing.evidence import Evidence, read_evidence
from pnnlab.testing.matrix import Matrix, markdown

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "drivers.md"
INTRODUCTION = """# Drivers and what is shown of them

Written by `python scripts/driver_matrix.py --write` from the marks and results of the tests below `tests/drivers`;
not to be edited by hand. A letter means that the check was shown against the peer below, with * where part of it needs
the real device; "device" that it needs the device or a hand at it, and nobody here had one; "no test" that no test
shows it (its peer may have been missing); "-" that the device has nothing of the kind; FAILED that a test of it failed
in the run that this page is of. No driver was run on real hardware: what a peer is, it says.

"""


def main() -> None:
    """Run the tests, print the matrix, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--evidence", type=Path, help="evidence of an earlier run instead of running the tests")
    arguments = parser.parse_args()
    evidence = read_evidence(arguments.evidence) if arguments.evidence else run()
    text = markdown(Matrix.of(evidence, sorted({driver.name for driver in installed_drivers()})))
    print(text, end="")
    if arguments.write:
        PAGE.write_text(INTRODUCTION + text, encoding="utf-8")


def run() -> list[Evidence]:
    """Run what shows something of a driver; failures are in the matrix."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "evidence.jsonl")
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "pnnlab_shows", "--pnnlab-evidence", found, "tests/drivers"],
            cwd=ROOT, check=False, stdout=sys.stderr,
        )  # fmt: skip
        return read_evidence(found)


if __name__ == "__main__":
    main()
