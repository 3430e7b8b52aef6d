"""Draw how gradients that a network of conductances measures of itself degrade, beside what theory predicts.

    python scripts/show_gradient_resistors.py --plot docs/images/gradient_resistors.png
    python scripts/show_gradient_resistors.py --panels nudge noise --seeds 10

20 nodes joined by cubic elements, 3 inputs, 3 outputs, 4 samples: equilibrium propagation and coupled learning through
simulated converters in double precision, against autograd through the same board, as relative error of the gradient.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pnnlab.methods import EquilibriumPropagationOptions
from pnnlab.methods.coupled_learning import ClampedAdjoint
from pnnlab.methods.equilibrium_propagation import NudgedAdjoint
from pnnlab.nn import Adjoint
from pnnlab.systems import ResistorNetworkSystem
from scripts.setups.resistors import EXACT, cosine, gradients, random_edges, relative, resistor_system, sample

FLOOR: Final = 1e-14
BETA: Final = 0.3
"""Of panels that do not sweep it."""
RANGE_V: Final = 10.0
"""Of the converter whose steps are swept, from end to end."""

Maker = Callable[[ResistorNetworkSystem], Adjoint]


def network(seed: int, *, copies: bool = False, linear: bool = False, **changes: Any) -> ResistorNetworkSystem:
    """Return a network of 20 nodes."""
    law: dict[str, Any] = {} if linear else {"design": {"cubic_per_v2": 0.5}, "wiring": {"cubic_per_v2": 0.5}}
    return resistor_system(20, 3, 3, random_edges(20, 0.3, seed), copies=copies, **law, **changes)


def nudges(nudge: str, beta: float) -> Maker:
    """Return what makes equilibrium propagation of a system."""
    options = EquilibriumPropagationOptions.model_validate({"nudge": nudge, "beta": beta, "normalise": False})
    return lambda system: NudgedAdjoint(system, options)


def read_noise(noise_rms_v: float) -> dict[str, Any]:
    """Return converters of which the ADC is noisy."""
    return {"converters": EXACT, "reader": {**EXACT, "noise_rms_v": noise_rms_v}}


def read_steps(bits: float) -> dict[str, Any]:
    """Return converters of which the ADC has steps."""
    return {"converters": EXACT, "reader": {"bits": int(bits), "range_v": (-RANGE_V / 2, RANGE_V / 2)}}


def of_noise(seed: int, noise_v: float, beta: float) -> float:
    """Return the relative error that independent errors of node voltages make of a centred contrast.

    A drop carries √2 times the noise of a node, its square's half the drop times that, and half the difference of two
    such over β the same: `|ΔV| σ / β` for each sample and element.
    """
    system = network(seed)
    x, theta, _ = sample(system, seed=seed)
    squares = 2 * network(seed, linear=True).relax(x, theta).local.mean(0)
    _, exact = gradients(system, nudges("centred", 0.01), seed=seed)
    return noise_v / beta * math.sqrt(float(squares.sum()) / len(x)) / float(np.linalg.norm(exact))


@dataclass(frozen=True)
class Curve:
    """What one way to the gradient does as a knob is turned.

    Attributes:
        label: In the legend.
        measure: Relative error of a specimen at a setting of the knob.
        predicted: The same by theory; where only its slope is told, the exponent of a power law, drawn through one of
            the larger values that were measured; `None` where there is no theory.
        has_floor: Whether the law adds to what is there without the knob, the first value.
    """

    label: str
    measure: Callable[[int, float], float]
    predicted: Callable[[int, float], float] | float | None
    has_floor: bool = False


@dataclass(frozen=True)
class Panel:
    """One knob."""

    label: str
    values: Sequence[float]
    curves: Sequence[Curve]


def error(system: ResistorNetworkSystem, maker: Maker, seed: int) -> float:
    """Return the relative error of a gradient."""
    return relative(*gradients(system, maker, seed=seed))


def by_beta(nudge: str) -> Callable[[int, float], float]:
    """Return what measures the error of nudges of a size."""
    return lambda seed, beta: error(network(seed), nudges(nudge, beta), seed)


def by_mismatch(nudge: str) -> Callable[[int, float], float]:
    """Return what measures the error of copies that differ."""
    return lambda seed, m: error(network(seed, copies=True, board={"copy_mismatch": m}), nudges(nudge, BETA), seed)


def misses(seed: int, eta: float, outputs: int) -> float:
    """Return the sine of the angle between coupled learning's step and the gradient."""
    system = resistor_system(20, 3, outputs, random_edges(20, 0.3, seed))
    cos = cosine(*gradients(system, lambda wired: ClampedAdjoint(wired, eta), seed=seed, batch=1))
    return math.sqrt(max(1 - cos**2, 0.0))


def steps(least: float, most: float, n: int = 6) -> list[float]:
    """Return values, evenly on a logarithmic axis."""
    return [float(value) for value in np.geomspace(least, most, n)]


NOISE_V: Final = 3e-5
PANELS: Final[Mapping[str, Panel]] = {
    "nudge": Panel("nudge β", steps(0.01, 1), [
        Curve("one-sided", by_beta("one_sided"), 1), Curve("centred", by_beta("centred"), 2),
        Curve("holomorphic, 4 points", by_beta("holomorphic"), 4),
    ]),
    "noise": Panel("read noise of a node (V rms)", steps(1e-6, 1e-2), [
        Curve(
            "centred, β = 0.3", lambda k, v: error(network(k, **read_noise(v)), nudges("centred", BETA), k),
            lambda k, v: of_noise(k, v, BETA),
        ),
    ]),
    "tradeoff": Panel(f"nudge β, read noise {1e6 * NOISE_V:.0f} uV", steps(0.003, 3, 7), [
        Curve(
            "one-sided", lambda k, b: error(network(k, **read_noise(NOISE_V)), nudges("one_sided", b), k), None
        ),
        Curve(
            "centred", lambda k, b: error(network(k, **read_noise(NOISE_V)), nudges("centred", b), k),
            lambda k, b: math.hypot(of_noise(k, NOISE_V, b), error(network(k), nudges("centred", b), k)),
        ),
    ]),
    "steps": Panel("bits of the ADC, ±5 V", [8, 10, 12, 14, 16, 18], [
        Curve(
            "centred, β = 0.3", lambda k, n: error(network(k, **read_steps(n)), nudges("centred", BETA), k),
            lambda k, n: of_noise(k, RANGE_V / 2**n / math.sqrt(12), BETA),
        ),
    ]),
    "copies": Panel("mismatch of the copies", steps(1e-5, 1e-1), [
        Curve("free against nudged copy, β = 0.3", by_mismatch("one_sided"), 1, has_floor=True),
        Curve("nudged copy alone, β = 0.3", by_mismatch("centred"), 1, has_floor=True),
    ]),
    "gyration": Panel("gyrators beside conductances", steps(1e-5, 1e-1), [
        Curve(
            "centred, β = 0.3", lambda k, g: error(network(k, board={"gyration": g}), nudges("centred", BETA), k), 1,
            has_floor=True,
        ),
    ]),
    "coupled": Panel("coupled learning: η", steps(1e-3, 1), [
        Curve("one output", lambda k, eta: misses(k, eta, 1), 1),
        Curve("three outputs", lambda k, eta: misses(k, eta, 3), None),
    ]),
}  # fmt: skip


def by_theory(curve: Curve, values: Sequence[float], found: Sequence[float], seeds: int) -> list[float] | None:
    """Return the prediction, `None` where there is none."""
    if curve.predicted is None:
        return None
    if callable(curve.predicted):
        return [statistics.median(curve.predicted(seed, value) for seed in range(seeds)) for value in values]
    floor = found[0] if curve.has_floor else 0.0
    return [math.hypot(floor, found[-2] * (value / values[-2]) ** curve.predicted) for value in values]


def draw(results: Mapping[str, Mapping[str, tuple[list[float], list[float] | None]]], path: Path) -> None:
    """Draw one panel a knob."""
    from matplotlib.figure import Figure

    n_columns = min(len(results), 4)
    n_rows = math.ceil(len(results) / n_columns)
    figure = Figure(figsize=(3.7 * n_columns, 3.2 * n_rows), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for k_panel, (axes, (name, curves)) in enumerate(zip(grid, results.items(), strict=False)):
        panel = PANELS[name]
        for k, (label, (found, theory)) in enumerate(curves.items()):
            axes.plot(panel.values, [max(value, FLOOR) for value in found], "o", color=f"C{k}", label=label)
            if theory is not None:
                axes.plot(panel.values, [max(value, FLOOR) for value in theory], "--", color=f"C{k}")
        axes.set(xlabel=panel.label, yscale="log", xscale="linear" if name == "steps" else "log")
        if name == "coupled":
            axes.set_ylabel("sine of the angle")
        elif k_panel % n_columns == 0:
            axes.set_ylabel("relative error of the gradient")
        axes.grid(alpha=0.25)
        axes.legend(fontsize="small", frameon=False)
    for axes in grid[len(results) :]:
        axes.set_axis_off()
    figure.suptitle("Gradients that a network of conductances measures of itself, against autograd; dashed: theory")
    figure.savefig(path, dpi=90)


def main() -> None:
    """Parse, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--panels", nargs="+", choices=PANELS, default=list(PANELS))
    parser.add_argument("--seeds", type=int, default=5, help="networks, of which the median is shown")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    console, results = Console(), dict[str, dict[str, tuple[list[float], list[float] | None]]]()
    for name in args.panels:
        panel = PANELS[name]
        results[name] = {}
        for curve in panel.curves:
            found = [statistics.median(curve.measure(k, value) for k in range(args.seeds)) for value in panel.values]
            theory = by_theory(curve, panel.values, found, args.seeds)
            results[name][curve.label] = found, theory
            table = Table(panel.label, "measured", "predicted", title=curve.label)
            for k, value in enumerate(panel.values):
                table.add_row(f"{value:.3g}", f"{found[k]:.1e}", "" if theory is None else f"{theory[k]:.1e}")
            console.print(table)
    if args.plot is not None:
        draw(results, args.plot)
        console.print(f"drawn: {args.plot}")


if __name__ == "__main__":
    main()
