"""Draw how gradients that light and waves carry back degrade, beside what theory predicts.

    python scripts/show_gradient_waves.py --plot gradient_waves.png
    python scripts/show_gradient_waves.py --sweeps shift loss --seeds 10

Four phase masks of 64 random pixels (fully forward mode, in situ backpropagation), and 8 Kerr modes before a mirror
(Hamiltonian echoes). The gradient of a squared error by all controls is held against autograd through the same bench,
in double precision. Drawn is the relative error, or 1 - cosine where the size of a gradient does not matter.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pnnlab.methods import (
    FullyForward,
    HamiltonianEcho,
    HamiltonianEchoOptions,
    InSituDiffractive,
    TrainingMethod,
    mirror_asymmetry,
)
from pnnlab.systems import DiffractiveSystem
from scripts.setups.wave_benches import Gradients, diffractive, echo_lattice, gradients

FLOOR: Final = 1e-16
Measured = Callable[[float, int], float]
"""Of a knob's value and a seed."""


def of_light(method: type[TrainingMethod], knob: str) -> Measured:
    """Return the relative error of the gradient of phase masks, by a knob of the bench."""
    return lambda value, seed: gradients(masks(knob, value, seed), method(), seed=seed).error


def masks(knob: str, value: float, seed: int) -> DiffractiveSystem:
    """Return phase masks with one knob turned."""
    options: dict[str, Any] = {knob: value}
    return diffractive(seed=seed, **options)


def asymmetry(knob: str) -> Measured:
    """Return what is measured before training starts."""

    def measure(value: float, seed: int) -> float:
        system = masks(knob, value, seed)
        return mirror_asymmetry(system, np.random.default_rng(seed).random(system.n_controls))

    return measure


def echoed(estimate: str, epsilon: float, seed: int, **options: Any) -> Gradients:
    """Return gradients of 8 Kerr modes."""
    method = HamiltonianEchoOptions.model_validate({"epsilon": epsilon, "estimate": estimate, "refuse_above": 1e9})
    design = {"duration": 4.0, "steps": 200, "lattice": "random", "coupling": 0.5, "design_seed": seed}
    wave = echo_lattice(wiring={"reach": 1.0}, seed=seed, **{**design, **options})
    return gradients(wave, HamiltonianEcho(method), seed=seed)


def of_nudge(estimate: str) -> Measured:
    """Return the relative error by the size of the nudge."""
    return lambda epsilon, seed: echoed(estimate, epsilon, seed).error


def of_loss(estimate: str) -> Measured:
    """Return 1 - cosine by the energy that is lost on the way to the mirror, in the exponent."""
    return lambda loss, seed: 1 - echoed(estimate, 0.01, seed, loss=loss / 4).cosine


def of_conjugation(estimate: str) -> Measured:
    """Return 1 - cosine by the part of the field that the mirror does not conjugate."""
    return lambda part, seed: 1 - echoed(estimate, 0.01, seed, conjugation_error=part).cosine


def of_noise(estimate: str) -> Measured:
    """Return the relative error by the nudge, with noise on every reading."""
    return lambda epsilon, seed: echoed(estimate, epsilon, seed, noise_rms_v=1e-4).error


@dataclass(frozen=True)
class Sweep:
    """One knob.

    Attributes:
        label: Of the axis.
        shown: What is drawn.
        values: What the knob is set to.
        measured: Curves by their names.
        slopes: Power of the knob that theory predicts of a curve, by its name.
        anchors: Which point the predicted line passes through, the first one if not told.
    """

    label: str
    shown: str
    values: Sequence[float]
    measured: Mapping[str, Measured]
    slopes: Mapping[str, int]
    anchors: Mapping[str, int] = field(default_factory=dict)


def steps(least: float, most: float, n: int = 6) -> list[float]:
    """Return values, evenly on a logarithmic axis."""
    return [float(value) for value in np.geomspace(least, most, n)]


FORWARDS, BACKWARDS, TOLD = "fully forward", "sent back", "measured asymmetry"
ONE, TWO = "one echo", "two echoes"
SWEEPS: Final[Mapping[str, Sweep]] = {
    "shift": Sweep(
        "shift of each plane (px)", "relative error", steps(1e-3, 0.3),
        {FORWARDS: of_light(FullyForward, "shift_px"), TOLD: asymmetry("shift_px"),
         BACKWARDS: of_light(InSituDiffractive, "shift_px")}, {FORWARDS: 1},
    ),
    "asymmetry": Sweep(
        "part of each space that is not symmetric", "relative error", steps(1e-3, 0.5),
        {FORWARDS: of_light(FullyForward, "asymmetry"), TOLD: asymmetry("asymmetry"),
         BACKWARDS: of_light(InSituDiffractive, "asymmetry")}, {FORWARDS: 1},
    ),
    "nonreciprocity": Sweep(
        "part of each space that is not reciprocal", "relative error", steps(1e-3, 0.5),
        {FORWARDS: of_light(FullyForward, "nonreciprocity"),
         BACKWARDS: of_light(InSituDiffractive, "nonreciprocity")}, {BACKWARDS: 1},
    ),
    "light noise": Sweep(
        "noise of the cameras (V rms)", "relative error", steps(1e-5, 1e-1),
        {FORWARDS: of_light(FullyForward, "noise_rms_v"),
         BACKWARDS: of_light(InSituDiffractive, "noise_rms_v")}, {BACKWARDS: 1},
    ),
    "nudge": Sweep(
        "largest nudge (rad)", "relative error", steps(1e-3, 0.3),
        {ONE: of_nudge("one_sided"), TWO: of_nudge("centred")}, {ONE: 1, TWO: 2},
    ),
    "noise": Sweep(
        "largest nudge (rad), noise of 0.1 mV", "relative error", steps(1e-4, 0.3),
        {ONE: of_noise("one_sided"), TWO: of_noise("centred")}, {ONE: -1, TWO: -1},
    ),
    "loss": Sweep(
        "γ T: energy lost to the mirror, in the exponent", "1 - cosine", steps(1e-4, 3),
        {ONE: of_loss("one_sided"), TWO: of_loss("centred")}, {ONE: 2, TWO: 2}, {TWO: 3},
    ),
    "conjugation": Sweep(
        "part of the wave that is not conjugated", "1 - cosine", steps(1e-5, 0.3),
        {ONE: of_conjugation("one_sided"), TWO: of_conjugation("centred")}, {ONE: 2, TWO: 2}, {ONE: 1, TWO: 3},
    ),
}  # fmt: skip
COLOURS: Final = {FORWARDS: "C0", BACKWARDS: "C1", TOLD: "C7", ONE: "C2", TWO: "C3"}


def predicted(sweep: Sweep, name: str, found: Sequence[float]) -> list[float]:
    """Return a line of the slope that theory predicts, through one of the points."""
    at, slope = sweep.anchors.get(name, 0), sweep.slopes[name]
    return [found[at] * (value / sweep.values[at]) ** slope for value in sweep.values]


def draw(results: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Draw one panel a sweep."""
    from matplotlib.figure import Figure

    n_columns = min(len(results), 4)
    n_rows = math.ceil(len(results) / n_columns)
    figure = Figure(figsize=(3.7 * n_columns, 3.2 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes in panels[len(results) :]:
        axes.set_axis_off()
    for axes, (name, found) in zip(panels, results.items(), strict=False):
        sweep = SWEEPS[name]
        for curve, values in found.items():
            axes.loglog(sweep.values, values, "o", color=COLOURS[curve], ms=4, label=curve)
            if curve in sweep.slopes:
                line = predicted(sweep, curve, values)
                axes.loglog(sweep.values, line, "--", color=COLOURS[curve], lw=1, label=f"slope {sweep.slopes[curve]}")
        axes.set(xlabel=sweep.label, ylabel=sweep.shown, ylim=(max(axes.get_ylim()[0], FLOOR / 3), 10))
        axes.grid(alpha=0.25)
        axes.legend(fontsize="x-small", frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--seeds", type=int, default=3, help="specimens")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    console, results = Console(), dict[str, dict[str, list[float]]]()
    for name in args.sweeps:
        sweep = SWEEPS[name]
        results[name] = {
            curve: [
                max(statistics.mean(of(value, seed) for seed in range(args.seeds)), FLOOR) for value in sweep.values
            ]
            for curve, of in sweep.measured.items()
        }
        table = Table(sweep.label, *results[name], title=sweep.shown)
        for k, value in enumerate(sweep.values):
            table.add_row(f"{value:.3g}", *(f"{values[k]:.1e}" for values in results[name].values()))
        console.print(table)
    if args.plot is not None:
        draw(results, args.plot)
        console.print(f"drawn: {args.plot}")


if __name__ == "__main__":
    main()
