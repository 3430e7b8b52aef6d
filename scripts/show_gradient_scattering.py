"""Draw how gradients by scattering, and by errors reversed in time, degrade, beside the slopes that theory predicts.

    python scripts/show_gradient_scattering.py --plot gradient_scattering.png
    python scripts/show_gradient_scattering.py --sweeps nonreciprocity kerr --seeds 10

Each point is the median over specimens of the relative error of the gradient of all controls, through converters
without noise, beside autograd through the same simulated physics in double precision. A knob that breaks a symmetry a
little leaves an error of its first order; a nudge one of its first or, taken both ways, second order, and read noise
one that grows as the nudge shrinks.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pnnlab.methods import (
    PhysicalGradient,
    PhysicalMedia,
    ScatteringBackpropagation,
    ScatteringBackpropagationOptions,
    ScatteringGradient,
    ScatteringGradientOptions,
)
from pnnlab.systems import System
from scripts.setups import error, gradients
from scripts.setups.coupled_modes import kerr_for, kerr_modes, resonators
from scripts.setups.wave_media import cavity

Find = Callable[[float, int], float]
"""The relative error at a value of the knob, of the specimen of a seed."""


@dataclass(frozen=True)
class Curve:
    """One curve of a sweep.

    Attributes:
        label: For the legend.
        find: See `Find`.
        slope: Predicted power of the knob; `None` where no error but rounding is expected.
    """

    label: str
    find: Find
    slope: float | None


@dataclass(frozen=True)
class Sweep:
    """A knob and what depends on it.

    Attributes:
        title: What the panel shows.
        knob: The horizontal axis.
        values: Of the knob, all above 0.
        curves: What is drawn.
    """

    title: str
    knob: str
    values: Sequence[float]
    curves: Sequence[Curve]


def of(system: System, method: PhysicalGradient, seed: int) -> float:
    """Return the relative error of a method's gradient of the controls."""
    return error(gradients(system, method, batch=1, seed=seed)["controls"])


def scattering(*, reciprocity: bool = True, **plant: Any) -> Callable[[str], Find]:
    """Return what finds the error of the scattering gradient, by the option of the plant that is swept."""
    method = ScatteringGradient(ScatteringGradientOptions(reciprocity=reciprocity))
    return lambda knob: lambda value, seed: of(resonators(seed=seed, plant={knob: value, **plant}), method, seed)


def read_noise(value: float, seed: int) -> float:
    """Return the error of the scattering gradient with noise of every reading, in V."""
    return of(resonators(seed=seed, converters={"noise_rms_v": value}), ScatteringGradient(), seed)


def kerr(value: float, seed: int) -> float:
    """Return the error of scattering backpropagation at a largest Kerr shift over κ."""
    method = ScatteringBackpropagation(ScatteringBackpropagationOptions(nudge=1e-4, symmetric=True))
    return of(kerr_modes(seed=seed, kerr=kerr_for(value, seed=seed)), method, seed)


def nudged(*, symmetric: bool = False, noise_v: float = 0.0) -> Find:
    """Return what finds how far a nudge's gradient is from that of a vanishing one, relative to it."""

    def find(value: float, seed: int) -> float:
        def at(nudge: float, both: bool, noise: float) -> Any:
            method = ScatteringBackpropagation(ScatteringBackpropagationOptions(nudge=nudge, symmetric=both))
            system = kerr_modes(seed=seed, kerr=0.2, converters={"noise_rms_v": noise})
            return gradients(system, method, batch=1, seed=seed)["controls"][0]

        return error((at(value, symmetric, noise_v), at(1e-4, True, 0.0)))

    return find


def medium(knob: str) -> Find:
    """Return what finds the error of backpropagation through a cavity, by the option of the plant that is swept."""
    return lambda value, seed: of(cavity(seed=seed, **{knob: value}), PhysicalMedia(), seed)


def damped(value: float, seed: int) -> float:
    """Return the same with another damping of the cavity."""
    shape = {"kind": "cavity", "damping": value}
    return of(cavity(seed=seed, medium=shape), PhysicalMedia(), seed)


SWEEPS: Final[Mapping[str, Sweep]] = {
    "nonreciprocity": Sweep(
        "scattering gradient, 12 resonators", "difference of couplings by direction / κ",
        (0.001, 0.003, 0.01, 0.03, 0.1),
        (
            Curve("by reciprocity: 2 injections", scattering()("nonreciprocity"), 1),
            Curve("not assumed: 13 injections", scattering(reciprocity=False)("nonreciprocity"), None),
        ),
    ),
    "noise": Sweep(
        "scattering gradient, noise", "noise of a reading / V", (1e-4, 1e-3, 1e-2),
        (Curve("read noise, probe 1 V", read_noise, 1),),
    ),
    "kerr": Sweep(
        "scattering backpropagation, 10 Kerr modes", "largest Kerr shift / κ", (0.01, 0.03, 0.1, 0.2),
        (Curve("vanishing nudge", kerr, 1),),
    ),
    "nudge": Sweep(
        "scattering backpropagation: what the nudge adds", "nudge / V", (0.003, 0.01, 0.03, 0.1),
        (
            Curve("one-sided", nudged(), 1),
            Curve("symmetric", nudged(symmetric=True), 2),
            Curve("symmetric, noise 0.1 mV", nudged(symmetric=True, noise_v=1e-4), -1),
        ),
    ),
    "medium": Sweep(
        "physical media, 3 nodes in a cavity", "value of the knob", (0.001, 0.003, 0.01, 0.03),
        (
            Curve("mean flow / cells per sample", medium("flow"), 1),
            Curve("spread of the nodes", medium("node_spread"), 1),
            Curve("damping per sample", damped, None),
        ),
    ),
}  # fmt: skip


def found(sweep: Sweep, seeds: int) -> list[list[float]]:
    """Return the medians of each curve of a sweep."""
    return [
        [statistics.median(curve.find(value, seed) for seed in range(seeds)) for value in sweep.values]
        for curve in sweep.curves
    ]


def table(name: str, sweep: Sweep, values: list[list[float]]) -> Table:
    """Return a sweep for the terminal."""
    shown = Table(name, *(f"{value:g}" for value in sweep.values), "predicted slope", title=sweep.title)
    for curve, row in zip(sweep.curves, values, strict=True):
        slope = "rounding" if curve.slope is None else f"{curve.slope:g}"
        shown.add_row(curve.label, *(f"{value:.1e}" for value in row), slope)
    return shown


def draw(path: Path, results: Mapping[str, list[list[float]]]) -> None:
    """Draw the sweeps, each beside its predicted slopes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(4.2 * len(results), 4.2), squeeze=False)
    for axis, (name, curves) in zip(axes[0], results.items(), strict=True):
        sweep = SWEEPS[name]
        for k, (curve, row) in enumerate(zip(sweep.curves, curves, strict=True)):
            axis.loglog(sweep.values, row, "o", color=f"C{k}", label=curve.label)
            if curve.slope is not None:
                # a rising line is fixed to the first point, a falling one as well: that is where theory holds best
                line = [row[0] * (value / sweep.values[0]) ** curve.slope for value in sweep.values]
                axis.loglog(sweep.values, line, "--", color=f"C{k}", linewidth=1, label=f"slope {curve.slope:g}")
        axis.set(title=sweep.title, xlabel=sweep.knob)
        axis.title.set_fontsize(9)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("relative error of the gradient")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Parse, find, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--seeds", type=int, default=4, help="specimens")
    parser.add_argument("--plot", type=Path, help="file to draw to")
    args = parser.parse_args()
    console, results = Console(), {}
    for name in args.sweeps:
        results[name] = found(SWEEPS[name], args.seeds)
        console.print(table(name, SWEEPS[name], results[name]))
    if args.plot is not None:
        draw(args.plot, results)
        console.print(f"drawn to {args.plot}")


if __name__ == "__main__":
    main()
