"""Benches with more or less of their imperfections."""

from pathlib import Path

import pytest

from pnnlab.bench import BenchFile, Imperfection, scaled_text
from pnnlab.errors import RunError

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "instruments.yaml", *sorted((ROOT / "scripts" / "benches").glob("c*.yaml"))]


@pytest.mark.parametrize("bench", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", list(Imperfection))
def test_all_factors_are_scaled_and_nothing_else(bench: Path, kind: Imperfection, tmp_path: Path) -> None:
    path = tmp_path / "scaled.yaml"
    path.write_text(scaled_text(bench, kind, 2.5), encoding="utf-8")
    before, after = BenchFile.load(bench).config, BenchFile.load(path).config
    changed = 0
    for section in ("plants", "devices"):
        for name, entry in getattr(before, section).items():
            old, new = entry.options.model_dump(), getattr(after, section)[name].options.model_dump()
            for key, value in old.items():
                if new[key] != value:
                    changed += 1
                    assert new[key] == 2.5 * value and kind.value in key
    assert changed >= 1
    assert BenchFile.load(path).snapshot()["training"] == BenchFile.load(bench).snapshot()["training"]


def test_a_bench_without_such_factors_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(
        "bench: { name: real }\ndevices: { box: { driver: 'tests.bench.stand_ins:Supply' } }\n", encoding="utf-8"
    )
    with pytest.raises(RunError, match="only simulated benches have"):
        scaled_text(path, Imperfection.NOISE, 2.0)
