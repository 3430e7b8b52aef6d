"""Draw how gradients that a mesh of interferometers measures of itself degrade, beside what theory predicts.

    python scripts/show_gradient_mesh.py --plot gradient_mesh.png
    python scripts/show_gradient_mesh.py --sweeps loss nonreciprocity --seeds 20

One sample crosses a chip of 8 ports with random phases and hidden couplers and phase offsets; the gradient of a squared
error by all 64 phases is held against autograd through the same chip, in double precision, as 1 - cosine. Predictions
know the knob, the size of the mesh, and of specimens the fields of one perfect forward and backward run.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from pnnlab.methods import InSitu, InSituOptions
from pnnlab.physics import InterferometerMesh
from pnnlab.systems import FieldReading, FloatArray, Side
from scripts.setups.mesh_bench import MeshBench

PORTS: Final = 8
ComplexArray = npt.NDArray[np.complexfloating]
FLOOR: Final = 1e-16
COLOURS: Final = {"intensity": "C0", "field": "C1"}


def of_noise(relative: float) -> float:
    """Return 1 - cosine of a vector and itself with errors of this relative size that do not depend on it."""
    return 1 - 1 / math.sqrt(1 + relative**2)


def of_loss(loss_db: float) -> float:
    """Return 1 - cosine where components shrink evenly with depth: each by the power that reaches its place."""
    x = PORTS * loss_db * math.log(10) / 10
    return 1 - (1 - math.exp(-x)) / x / math.sqrt((1 - math.exp(-2 * x)) / (2 * x))


def of_nonreciprocity(phase_rad: float, read_out: str) -> float:
    """Return 1 - cosine where light that comes back has met phases of its own.

    Every second guide has a shifter, so light meets one a column. Of a field behind m of them a part `exp(-σ² m / 2)`
    is where it should be. Errors of phase turn the overlap of both fields, of which the gradient is one quadrature.
    Read as fields, light has met the shifters between the outputs and the place; read as intensities, all of them. That
    errors of neighbouring places are alike is left out, which makes the prediction up to three times too high.
    """
    met = np.array([PORTS + 1 - (column if read_out == "field" else 0) for column in range(PORTS)])
    other, variance = statistics.mean(quadratures(seed) for seed in range(3)), phase_rad**2 * met
    kept = np.exp(-2 * variance)
    size = math.sqrt(float(np.mean((1 + kept) / 2 + other * (1 - kept) / 2)))
    return 1 - float(np.mean(np.exp(-variance / 2))) / size


def of_crosstalk(part: float) -> float:
    """Return 1 - cosine where each component lacks that part of those of its neighbours."""
    mesh = InterferometerMesh(PORTS)
    around = ((0, 2), (0, -2), (2, 0), (-2, 0))
    neighbours = [sum((c + dc, p + dp) in mesh.places for dc, dp in around) for c, p in mesh.places]
    return of_noise(part * math.sqrt(statistics.mean(neighbours)))


@dataclass(frozen=True)
class Sample:
    """One forward and one backward run of a specimen, without noise.

    Attributes:
        bench: The specimen.
        turns: Its phases.
        entering: Fields of the inputs.
        there: What the forward run read.
        slope: Derivative of the loss by the outputs.
        error: Fields that are sent back, in their true size.
        back: What they have become at the inputs.
        inside: What they are at the places.
    """

    bench: MeshBench
    turns: FloatArray
    entering: ComplexArray
    there: FieldReading
    slope: FloatArray
    error: ComplexArray
    back: ComplexArray
    inside: ComplexArray


@cache
def sample(seed: int) -> Sample:
    """Return the runs that `MeshBench.gradients` makes."""
    bench = MeshBench(ports=PORTS, taps="field", seed=seed)
    (layer,) = bench.layers()
    turns = layer.controls.detach().numpy()
    generator = torch.Generator().manual_seed(seed + 7)
    x, target = torch.rand(2, 1, PORTS, generator=generator, dtype=torch.float64).numpy()
    y, there = bench.mesh.look(x, turns)
    assert there.out is not None  # noqa: S101 (the chip reads it)
    error = bench.mesh.error_field(there.out, y - target)
    size = largest(error)
    run = bench.mesh.send(error / size, turns, side=Side.OUT)
    assert run.out is not None and run.inside is not None  # noqa: S101 (as above)
    back, inside = size * run.out, np.asarray(size * run.inside, np.complex128)
    return Sample(bench, turns, bench.mesh.entering(x), there, y - target, error, back, inside)


def quadratures(seed: int) -> float:
    """Return the power of the overlap's other quadrature over that of the gradient."""
    run = sample(seed)
    overlap = 1j * np.asarray(run.there.inside) * run.inside
    return float(np.square(overlap.imag).sum() / np.square(overlap.real).sum())


def of_photons(seed: int, photons: float) -> float:
    """Return 1 - cosine by the counts of photons in one specimen: of three intensities inside, and at both ends."""
    run = sample(seed)
    mesh, unit = run.bench.mesh, run.bench.mesh.config.input_amplitude
    added = run.back.conj()
    gain = (1 - largest(run.entering)) / (math.sqrt(2) * largest(added))
    fields = [mesh.send(f, run.turns).inside for f in (gain * added, run.entering - 1j * gain * added)]
    powers = sum(float(np.square(np.abs(np.asarray(field))).sum()) for field in (*fields, run.there.inside))
    overlap = 2 * (1j * np.asarray(run.there.inside) * run.inside).real
    relative = powers / gain**2 / float(np.square(overlap).sum())
    # the error is computed of powers and fields at the outputs, and read as it comes back
    out = np.square(np.abs(np.asarray(run.there.out)))
    ends = float((out**2 / unit**8 + run.slope**2 / 2 / unit**4).sum()) + PORTS / 2 * largest(run.error) ** 2
    return of_noise(math.sqrt((relative + ends / float(np.square(np.abs(run.error)).sum())) / photons))


def largest(field: ComplexArray) -> float:
    """Return the largest quadrature."""
    return float(max(np.abs(field.real).max(), np.abs(field.imag).max()))


@dataclass(frozen=True)
class Sweep:
    """One knob of the chip.

    Attributes:
        option: Of the plant.
        label: Of the axis.
        values: What it is set to.
        read_outs: For which the gradient is measured.
        predicted: 1 - cosine by theory, of the value and the read-out; 0 where theory says that nothing happens.
    """

    option: str
    label: str
    values: Sequence[float]
    read_outs: Sequence[str]
    predicted: Callable[[float, str], float]


def steps(least: float, most: float) -> list[float]:
    """Return six values, evenly on a logarithmic axis."""
    return [float(value) for value in np.geomspace(least, most, 6)]


BOTH: Final = ("intensity", "field")
SWEEPS: Final[Mapping[str, Sweep]] = {
    "photons": Sweep(
        "photons", "photons of a reading at unit power", steps(1e2, 1e7), ("intensity",),
        lambda n, _: statistics.mean(of_photons(seed, n) for seed in range(3)),
    ),
    "loss": Sweep(
        "guide_loss_db", "loss of each column (dB)", steps(1e-2, 3), BOTH,
        lambda loss_db, read_out: of_loss(loss_db) if read_out == "intensity" else 0.0,
    ),
    "nonreciprocity": Sweep(
        "nonreciprocity_rad", "backward phases (rad rms)", steps(1e-3, 0.5), BOTH, of_nonreciprocity
    ),
    "heaters": Sweep("heater_spread", "spread of heaters", steps(1e-3, 0.2), BOTH, lambda s, _: of_noise(s)),
    "crosstalk": Sweep("crosstalk", "thermal crosstalk", steps(1e-3, 0.2), BOTH, lambda k, _: of_crosstalk(k)),
    "couplers": Sweep("coupler_error", "imbalance of couplers (rms)", steps(1e-3, 0.3), BOTH, lambda *_: 0.0),
}  # fmt: skip


def measured(sweep: Sweep, value: float, read_out: str, seeds: int) -> float:
    """Return the mean 1 - cosine over specimens."""
    method = InSitu(InSituOptions.model_validate({"read_out": read_out}))
    chips = (MeshBench({sweep.option: value}, ports=PORTS, taps=read_out, seed=seed) for seed in range(seeds))
    return max(statistics.mean(1 - chip.gradients(method).cosine for chip in chips), FLOOR)


def draw(results: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    """Draw one panel a sweep."""
    from matplotlib.figure import Figure

    n_columns = min(len(results), 3)
    n_rows = math.ceil(len(results) / n_columns)
    figure = Figure(figsize=(3.8 * n_columns, 3.1 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()[: len(results)]
    for axes, (name, found) in zip(panels, results.items(), strict=True):
        sweep = SWEEPS[name]
        for read_out in sweep.read_outs:
            colour = COLOURS[read_out]
            axes.loglog(sweep.values, found[read_out], "o", color=colour, label=f"read-out: {read_out}")
            axes.loglog(sweep.values, found[f"{read_out}, predicted"], "--", color=colour, label="as predicted")
        axes.set(xlabel=sweep.label, ylim=(FLOOR / 3, 3))
        axes.grid(alpha=0.25)
    for axes in panels[::n_columns]:
        axes.set_ylabel("1 - cosine to autograd")
    panels[min(1, len(panels) - 1)].legend(loc="center right", fontsize="small", frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Parse, measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--seeds", type=int, default=5, help="specimens")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    console, results = Console(), dict[str, dict[str, list[float]]]()
    for name in args.sweeps:
        sweep = SWEEPS[name]
        found = dict[str, list[float]]()
        for one in sweep.read_outs:
            found[one] = [measured(sweep, value, one, args.seeds) for value in sweep.values]
            found[f"{one}, predicted"] = [max(sweep.predicted(value, one), FLOOR) for value in sweep.values]
        table = Table(sweep.label, *found, title="1 - cosine to autograd")
        for k, value in enumerate(sweep.values):
            table.add_row(f"{value:.3g}", *(f"{values[k]:.1e}" for values in found.values()))
        console.print(table)
        results[name] = found
    if args.plot is not None:
        draw(results, args.plot)
        console.print(f"drawn: {args.plot}")


if __name__ == "__main__":
    main()
