"""The acceptance table is found, named without a doubt, and a row that fails is told."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pnnlab.nn import PhysicalLayer
from scripts.acceptance import Finding, MissingFileError, Row, data_file, groups
from scripts.setups import FunctionSystem
from scripts.show_acceptance import chosen

ROOT = Path(__file__).parents[2]


def test_rows_are_found_and_say_what_they_want() -> None:
    rows = [row for found in groups().values() for row in found]
    assert {"vowels-logistic-regression", "digits-ridge"} <= {row.name for row in rows}
    assert all(row.expected and row.threshold and row.minutes > 0 for row in rows)
    assert all(row.name == row.name.lower() and " " not in row.name for row in rows)


def test_rows_and_groups_are_chosen_by_name() -> None:
    known = {"a": (Row("a-one", "1", "1", find), Row("a-two", "2", "2", find)), "b": (Row("b-one", "3", "3", find),)}
    assert [row.name for row in chosen(known, ["a-two", "b"])] == ["a-two", "b-one"]
    assert len(chosen(known, [])) == 3
    with pytest.raises(SystemExit, match="a-three is neither a row nor a group"):
        chosen(known, ["a-three"])


def find(_: Path) -> Finding:
    return Finding("0", passed=False)


def test_missing_data_are_told_with_their_source(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"vowels\.csv is not in .*; it comes from a paper"):
        data_file(tmp_path, "vowels.csv", "a paper")


def test_the_script_runs_rows_from_anywhere(tmp_path: Path) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "show_acceptance.py"), "--jobs", "1"]
    done = subprocess.run(
        [*script, "digits-ridge", "vowels-logistic-regression"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 rows: 1 pass, 0 fail, 1 lack data" in done.stdout


@pytest.mark.parametrize("shared", [True, False])
def test_a_set_up_is_measured_as_its_function_says(shared: bool) -> None:
    def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        y = (x * theta).sum(-1, keepdim=True)
        return y if noise is None else y + 0.01 * torch.randn(y.shape, generator=noise)

    system = FunctionSystem(physics, (3, 3, 1), shares_controls=shared)
    layer = PhysicalLayer(system, system.twin(), controls=torch.tensor([0.2, 0.5, 0.9]))
    x = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    wanted = (x * layer.controls).sum(-1, keepdim=True)
    assert 0.008 < float((y - wanted).detach().std()) < 0.012  # 500 samples: ± 3 %
    y.sum().backward()
    slope = layer.controls.detach() * (1 - layer.controls.detach())
    torch.testing.assert_close(layer.raw_controls.grad, x.sum(0) * slope)
    assert system.n_shots == 500 and system.clock.now_s() == pytest.approx(0.5)
    np.testing.assert_allclose(system.expected(*system.encode(x.numpy(), np.float32([0.2, 0.5, 0.9]))), wanted.detach())
