"""In situ backpropagation and subspace learning in meshes, through simulated converters in double precision."""

import math
import statistics
from pathlib import Path
from typing import Final

from pnnlab.methods import InSitu, InSituOptions, L2ight, L2ightOptions
from scripts.acceptance._row import Finding, Row
from scripts.setups.mesh_bench import Gradients, MeshBench

__all__ = ["ROWS"]

SEEDS: Final = range(5)
PORTS: Final = 8
COUPLER_DB: Final = -20 * math.log10(0.98)
"""A coupler that loses 2 % of the amplitude."""
PER_COLUMN: Final = 7
"""Couplers of the mesh, 56 of them, over its columns."""


def _gradients(read_out: str, loss: dict[str, float], *, ports: int = PORTS, **options: object) -> list[Gradients]:
    method = InSituOptions.model_validate({"read_out": read_out, **options})
    taps = "field" if read_out == "field" else "intensity"
    return [MeshBench(loss, ports=ports, taps=taps, seed=seed).gradients(InSitu(method)) for seed in SEEDS]


def _overlap(_: Path) -> Finding:
    worst = [max(one.error for one in _gradients("field", {"coupler_loss_db": db})) for db in (0.0, COUPLER_DB)]
    return Finding(f"relative error {worst[0]:.0e} without and {worst[1]:.0e} with loss", max(worst) < 1e-6)


def _intensity(_: Path) -> Finding:
    lossless = max(one.error for one in _gradients("intensity", {}))
    swept = max(one.error for one in _gradients("intensity", {}, protocol="lock_in"))
    # every coupler loses 2 % of all light, one after the other, as if there were 56 on the way
    all_db = PER_COLUMN * COUPLER_DB
    lossy = [one.cosine for one in _gradients("intensity", {"guide_loss_db": all_db})]
    known = max(one.error for one in _gradients("intensity", {"guide_loss_db": all_db}, loss_db=all_db))
    # couplers lose light that meets them: 16 are on the way
    alone = [
        statistics.mean(one.cosine for one in _gradients("intensity", {"coupler_loss_db": COUPLER_DB}, ports=ports))
        for ports in (PORTS, 2 * PORTS)
    ]
    text = (
        f"relative error {lossless:.0e} without loss, {swept:.0e} by lock-in; cosine {statistics.mean(lossy):.2f} if "
        f"each of 56 couplers takes 2 % of all, relative error {known:.0e} if that is known and corrected, cosine "
        f"{alone[0]:.3f} if light loses it in the 16 couplers that it meets, {alone[1]:.2f} with twice the ports"
    )
    return Finding(text, max(lossless, swept, known) < 1e-6 and statistics.mean(lossy) < 0.95)


def _subspace(_: Path) -> Finding:
    """Singular values of lossy chips whose bases are anything."""
    errors = []
    for seed in SEEDS:
        chip = {"matrix": "factored", "coupler_loss_db": COUPLER_DB, "phase_offset_rad": 0.0}
        bench = MeshBench(chip, {"matrix": "factored"}, ports=PORTS, taps="field", seed=seed)
        gradients = bench.gradients(L2ight(L2ightOptions(offline=0.0)))
        values = slice(PORTS**2, PORTS**2 + PORTS)
        errors.append(Gradients(gradients.found[values], gradients.exact[values]).error)
    return Finding(f"relative error {max(errors):.0e}, 2 % amplitude loss per coupler", max(errors) < 1e-6)


ROWS = (
    Row(
        "in-situ-overlap", "3e-10 (limit of finite differences), unchanged by 2 % amplitude loss per coupler: 8 ports",
        "relative error below 1e-6, with and without reciprocal loss", _overlap,
    ),
    Row(
        "in-situ-intensity", "3e-10 without loss; cosine 0.85 with 2 % amplitude loss per coupler (documented failure)",
        "relative error below 1e-6 without loss, cosine below 0.95 with", _intensity, minutes=0.3,
    ),
    Row(
        "subspace-gradient", "exact by reciprocity: dL/ds = (Uᵀ e)(V x) (Gu et al. 2021); two meshes of 8 ports",
        "relative error below 1e-6 with reciprocal loss", _subspace,
    ),
)  # fmt: skip
