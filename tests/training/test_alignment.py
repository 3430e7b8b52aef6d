"""The angle between a method's step and the exact gradient is looked at without disturbing the training."""

import json
from pathlib import Path

import pytest

from pnnlab.training import train

BENCHES = Path(__file__).parents[2] / "scripts" / "benches"


@pytest.mark.parametrize("method", ["contrastive_local_learning", "coupled_learning"])
def test_it_is_told_and_changes_nothing(tmp_path: Path, method: str) -> None:
    """`contrastive_local_learning` moves controls of which it knows no gradient; the exact one exists all the same."""
    bench = BENCHES / "resistor_copies.yaml"
    changes = {"method": method, "epochs": 1, "batch": 15}
    plain = train(bench, changes=changes, root=tmp_path / "plain")
    looked = train(bench, changes=changes | {"align_every": 2}, root=tmp_path / "looked")
    assert (looked.test_loss, looked.shots) == (plain.test_loss, plain.shots)
    lines = [json.loads(line) for line in (looked.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    told = [line["metrics"]["alignment"] for line in lines if "alignment" in line["metrics"]]
    assert len(told) == 3  # of six steps
    assert all(-1 <= cosine <= 1 for cosine in told)
    assert sum(told) > 0
