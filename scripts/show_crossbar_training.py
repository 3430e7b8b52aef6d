"""Draw how training a crossbar in place bears the asymmetry of its cells, method by method.

    python scripts/show_crossbar_training.py --out docs/images/crossbar_training.png
    python scripts/show_crossbar_training.py --steps 1500 --asymmetries 0 0.3 0.6 --out quick.png

Linear regression of 10 x 20 weights on simulated soft-bounds cells (`scripts/setups/pulsed_regression.py`), one sample
a step; every point is a training of its own through the ordinary devices and methods. About a minute a point on
one core with the default 6000 steps.
"""

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt

from scripts.setups.pulsed_regression import OPTIONS, PulsedRegression

Case = tuple[str, str, Mapping[str, Any], float, int]

_METHODS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "analog SGD": ("analog_sgd", {}),
    "mixed precision": ("mixed_precision", {}),
    "Tiki-Taka 1": ("tiki_taka", OPTIONS[1]),
    "Tiki-Taka 2": ("tiki_taka", OPTIONS[2]),
    "Tiki-Taka 3 (chopped)": ("tiki_taka", OPTIONS[3]),
    "Tiki-Taka 4 (AGAD)": ("tiki_taka", OPTIONS[4]),
}
_PUBLISHED: Final[Mapping[str, Sequence[float]]] = {
    "analog SGD": (0.17, 0.19, 0.41, 1.55), "Tiki-Taka 1": (0.093, 0.096, 0.098, 0.140),
}  # fmt: skip
"""An independent NumPy model of the same regression, at asymmetries 0, 0.1, 0.3 and 0.6."""


def found(case: Case) -> float:
    """Return the error of one point; runs in a process of its own."""
    torch.set_num_threads(1)
    _, method, options, asymmetry, steps = case
    return PulsedRegression(asymmetry).error(method, steps=steps, options=options)


def draw(asymmetries: Sequence[float], errors: Mapping[str, Sequence[float]], steps: int, out: Path) -> None:
    """Draw errors over asymmetry."""
    figure, axes = plt.subplots(figsize=(7.2, 4.8), layout="constrained")
    for name, curve in errors.items():
        (line,) = axes.plot(asymmetries, curve, marker="o", label=name)
        if name in _PUBLISHED:
            axes.plot((0, 0.1, 0.3, 0.6), _PUBLISHED[name], ":", color=line.get_color(), linewidth=1)
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.text(asymmetries[0], 0.96, "no better than no weights at all", color="0.4", fontsize=8, va="top")
    axes.set(
        xlabel="asymmetry of up and down steps (standard deviation over cells)", ylabel="relative error of the weights",
        yscale="log", title=f"Crossbar of 10 x 20 weights trained by pulses, {steps} samples; dotted: another model",
    )  # fmt: skip
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(out, dpi=120)


def main() -> None:
    """Parse, train, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--asymmetries", type=float, nargs="+", default=[0.0, 0.1, 0.3, 0.6])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("crossbar_training.png"))
    args = parser.parse_args()
    mpl.use("Agg")
    cases: list[Case] = [
        (name, method, options, asymmetry, args.steps)
        for name, (method, options) in _METHODS.items()
        for asymmetry in args.asymmetries
    ]
    errors: dict[str, list[float]] = {}
    with ProcessPoolExecutor(max_workers=args.jobs) as pool:
        for case, error in zip(cases, pool.map(found, cases), strict=True):
            errors.setdefault(case[0], []).append(error)
            print(f"{case[0]:24s} asymmetry {case[3]:4g}: error {error:.3f}", flush=True)
    draw(args.asymmetries, errors, args.steps, args.out)


if __name__ == "__main__":
    main()
