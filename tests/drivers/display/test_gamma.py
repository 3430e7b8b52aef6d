import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab_drivers.display._gamma import gamma_flaw

LEVELS = np.arange(256)
STRAIGHT = (LEVELS * 257).tolist()


@pytest.mark.parametrize(
    "table", [[], [0] * 256, STRAIGHT, (LEVELS * 256).tolist(), np.rint(np.linspace(0, 65535, 1024)).tolist()]
)
def test_tables_that_change_nothing_are_no_flaw(table: list[int]) -> None:
    assert gamma_flaw(table, table, table) == ""


@given(st.integers(0, 2), st.integers(0, 255), st.sampled_from([-1, 1]))
def test_one_level_that_is_changed_by_one_is_a_flaw(channel: int, level: int, by: int) -> None:
    tables = [list(STRAIGHT) for _ in range(3)]
    changed = (level + by) * 257
    if 0 <= changed <= 65535:
        tables[channel][level] = changed
        assert "gamma" in gamma_flaw(*tables)


@pytest.mark.parametrize("gamma", [0.9, 1.01, 2.2])
def test_a_curve_is_a_flaw(gamma: float) -> None:
    curve = np.rint(65535 * (LEVELS / 255) ** gamma).astype(int).tolist()
    assert "night light" in gamma_flaw(STRAIGHT, STRAIGHT, curve)
