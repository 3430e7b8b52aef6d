"""Optical backpropagation through saturable absorbers."""

import tempfile
from pathlib import Path
from typing import Final

import torch
from torch import nn

from pnnlab.physics import SaturableAbsorber
from pnnlab.training import train
from scripts.acceptance._row import Finding, Row

__all__ = ["ROWS"]

BENCH: Final = Path(__file__).parents[1] / "benches" / "absorber.yaml"
DEPTHS: Final = (1.0, 3.0, 10.0, 30.0)


def _probe(_: Path) -> Finding:
    told, cosines = [], []
    for depth in DEPTHS:
        found = []
        for reach in (0.5, 1.0):
            field = torch.linspace(0, min(3.0, reach * depth**0.5), 400, dtype=torch.float64)
            cells = SaturableAbsorber(depth)
            seen, due = cells.transmission(field.square()), cells.slope(field)
            found.append((float(nn.functional.cosine_similarity(seen, due, dim=0)), float(seen @ due / (seen @ seen))))
        cosines += [cosine for cosine, _ in found]
        told.append(f"{min(found)[0]:.3f} to {max(found)[0]:.3f} (OD {depth:g}, scale {max(s for _, s in found):.1f})")
    return Finding(", ".join(told), min(cosines) > 0.98)


def _accuracy(_: Path) -> Finding:
    found = {}
    for method in ("saturable_absorption", "physics_aware"):
        with tempfile.TemporaryDirectory() as folder:
            scores = [
                100 * train(BENCH, changes={"method": method, "seed": seed}, root=Path(folder)).test_accuracy
                for seed in (0, 1)
            ]
        found[method] = sum(scores) / len(scores)
    probe, exact = found.values()
    return Finding(f"{probe:.1f} % by the probe, {exact:.1f} % by exact gradients (digits)", probe > exact - 1)


ROWS = (
    Row(
        "sa-probe", "cosine of transmission and slope 0.997-0.999 (OD 1), 0.987-0.996 (3), 0.988-0.999 (10), 0.992-"
        "0.994 (30), scale 1.1 to 4.7", "above 0.98 for OD 1 to 30", _probe,
    ),
    Row(
        "sa-accuracy", "as with exact gradients (Guo et al. 2021); digits, 64-32-10, on the shipped bench with its "
        "mismatch and noise, two seeds", "at most 1 point below exact gradients", _accuracy, minutes=5,
    ),
)  # fmt: skip
