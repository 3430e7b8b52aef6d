"""Show what a panel and a camera cost the gradients of phase masks in free space.

    python scripts/show_gradient_panel.py
    python scripts/show_gradient_panel.py --seeds 10

Four masks of 64 random pixels as tiles of one panel, aligned planes, fields read on one camera's frame. The gradient of
a squared error by all controls is held against autograd through the same bench, in double precision. Printed is the
cosine of both, with one fault at a time, of the size that `scripts/benches/free_space.yaml` has, and with all of them.
"""

import argparse
import statistics
from collections.abc import Mapping
from typing import Any, Final

import torch
from rich.console import Console
from rich.table import Table

from pnnlab.methods import FullyForward, InSituDiffractive, TrainingMethod
from scripts.setups.wave_benches import free_space, gradients

PHOTONS_PER_PIXEL_S: Final = 1e7
"""As many electrons, 6000 at intensity 1, as the four sensor pixels have together that see a pixel on that bench."""
WIRING: Final[Mapping[str, Any]] = {"unit_counts": 210, "subtract_dark": True}
GAIN: Final = 210 / 6000

LEVELS: Final = {"slm": {"quantised": True}}
BITS: Final = {"camera": {"quantised": True}}
NOISE: Final = {"camera": {"noise": 1.0, "read_noise_electrons": 4.0}}
SETTLING: Final = {"slm": {"settling_s": 0.4e-3}}
FLOOR: Final = (LEVELS, BITS, NOISE, SETTLING)
BEND: Final = {"slm": {"bend_rad": 0.01}}
GAINS: Final = {"slm": {"gain_spread": 0.005}}
FLATNESS: Final = {"slm": {"flatness_rad": 0.02}}
DEAD: Final = {"slm": {"dead_fraction": 0.0005}}
ALL: Final = (*FLOOR, BEND, GAINS, FLATNESS, DEAD)

CASES: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "nothing": (),
    "256 grey levels": (LEVELS,),
    "camera of 12 bits": (BITS,),
    "shot noise and read noise": (NOISE,),
    "six time constants to settle": (SETTLING,),
    "these four: the floor": FLOOR,
    "response bent by 10 mrad": (BEND,),
    "0.5 % spread of the stroke": (GAINS,),
    "20 mrad of flatness": (FLATNESS,),
    "0.05 % dead pixels": (DEAD,),
    "all of it": ALL,
    "all, the dark not taken off": (*ALL, {"wiring": {"subtract_dark": False}}),
    "all, crosstalk of 0.3 pixels": (*ALL, {"slm": {"crosstalk_px": 0.3}}),
    "a panel without calibration": (
        *FLOOR, {"slm": {"bend_rad": 0.05, "gain_spread": 0.05, "flatness_rad": 0.38, "dead_fraction": 0.002}},
    ),
}  # fmt: skip


def cosines(faults: tuple[Mapping[str, Any], ...], method: type[TrainingMethod], seeds: int) -> list[float]:
    """Return the cosine of measured and exact gradient of each seed."""
    options: dict[str, dict[str, Any]] = {
        "slm": {}, "wiring": {**WIRING},
        "camera": {"quantum_efficiency": 0.6, "gain_counts_per_electron": GAIN, "bit_depth": 12},
    }  # fmt: skip
    for fault in faults:
        for part, changes in fault.items():
            options[part] |= changes
    found = []
    for seed in range(seeds):
        system = free_space(
            seed=seed, block=4, photons_per_pixel_s=PHOTONS_PER_PIXEL_S, slm=options["slm"], camera=options["camera"],
            wiring=options["wiring"],
        )  # fmt: skip
        found.append(gradients(system, method(), batch=8, seed=seed).cosine)
    return found


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    methods = (InSituDiffractive, FullyForward)
    table = Table("fault", *(f"cosine, {method.name}" for method in methods), "least")
    for name, faults in CASES.items():
        found = [cosines(faults, method, args.seeds) for method in methods]
        means = (f"{statistics.mean(values):.4f}" for values in found)
        table.add_row(name, *means, f"{min(map(min, found)):.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
