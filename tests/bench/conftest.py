"""Bench files for these tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a bench file with a panel, a camera and a card, and returns its path."""

    def write(*, plant: str = "", seed: int = 1, systems: str = "", **options: str) -> Path:
        lines = [
            "bench: {name: three, clock: simulated}",
            "plants:",
            f"  table: {{driver: 'tests.bench.stand_ins:Table', seed: {seed}, options: {{{plant}}}}}",
            "devices:",
        ]
        for name, driver in {"slm": "Panel", "camera": "Eye", "card": "Card"}.items():
            own = options.get(name, "")
            lines.append(f"  {name}: {{driver: 'tests.bench.stand_ins:{driver}', plant: table, options: {{{own}}}}}")
        path = tmp_path / "instruments.yaml"
        path.write_text("\n".join([*lines, systems]), encoding="utf-8")
        return path

    return write
