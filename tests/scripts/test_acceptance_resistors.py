"""The acceptance rows of resistor networks that are quick."""

from pathlib import Path

import pytest

from scripts.acceptance import Row
from scripts.acceptance.resistors import ROWS

SLOW = ("frequency-propagation", "resistors-coupled-several-outputs", "resistors-ngspice")


@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in SLOW], ids=lambda row: row.name)
def test_it_passes(row: Row, tmp_path: Path) -> None:
    finding = row.find(tmp_path)
    assert finding.passed, finding.text
