"""Measure how the cost of measuring grows with shots and with pixels on simulated benches, and fit the exponents.

Clocks are simulated, so that what is left is the host's work and the computing of the physics. Each point is the best
of several repeats, because everything that disturbs a measurement makes it longer. Exponents are those of a power law
through the last three points of each curve: 1 is linear, and a Fourier transform's n log n has 1.08 there.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_scaling.py --plot docs/images/scaling.png`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pnnlab.bench import Bench
from pnnlab.systems import System

LIGHT = """
bench: {{ name: scaling, clock: simulated }}
plants:
  table:
    driver: sim-optical-table
    options:
      medium:
        kind: phase-screens
        screens: 2
        distance: "5 mm"
        strength: "1 rad"
        correlation: "40 um"
        wavelength: "532 nm"
devices:
  slm:
    driver: sim-slm
    plant: table
    options: {{ shape: [{side}, {side}], sequence_memory: 65536, settling: "0.1 ms" }}
  camera:
    driver: sim-camera
    plant: table
    options: {{ sensor: [{side}, {side}], gain_counts_per_electron: 0.17 }}
systems:
  system:
    kind: slm-camera
    slm: slm
    camera: camera
    exposure: "2 ms"
    encoder: {{ macropixels: [{side}, {side}] }}
    decoder: {{ bins: [{side}, {side}] }}
"""
CIRCUIT = """
bench: {{ name: scaling, clock: simulated }}
plants:
  board:
    driver: sim-circuit
    options:
      network:
        seed: 3
        oscillators: 48
        inputs: 16
        outputs: 16
        sample_rate: "8 kHz"
        reference: "1 kHz"
        substeps: 12
devices:
  dac: {{ driver: sim-dac, plant: board, options: {{ bits: 14, max_samples: 10000000 }} }}
  adc: {{ driver: sim-adc, plant: board, options: {{ bits: 14, noise_rms: "2 mV" }} }}
systems:
  system:
    kind: dac-adc
    dac: dac
    adc: adc
    rate: "8 kHz"
    encoder:
      input_channels: [0, 1, 2, 3]
      control_channels: [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
      steps: 16
      rest: 24
      amplitude: "0.5 V"
      control_amplitude: "0.5 V"
    decoder: {{ windows: 4, full_scale: "2 V" }}
"""
CROSSBAR = """
bench: {{ name: scaling, clock: simulated }}
plants:
  cells: {{ driver: sim-crossbar-chip, options: {{ shape: [{side}, {columns}], cells: rram-falcone-2025-2pct }} }}
devices:
  array: {{ driver: sim-crossbar, plant: cells, options: {{ row_bits: 8, column_bits: 10, full_scale: "5 mA" }} }}
systems:
  system: {{ kind: crossbar, array: array, read_voltage: "0.2 V", full_scale: "5 mA", low: "10 uS", high: "80 uS" }}
"""
"""Bench files; what is in single braces is filled in."""


@dataclass(frozen=True)
class Curve:
    """Times over sizes.

    Attributes:
        name: Of what.
        unit: What is counted.
        sizes: How many of them.
        times_s: Best time of a measurement.
    """

    name: str
    unit: str
    sizes: list[int]
    times_s: list[float]

    @property
    def exponent(self) -> float:
        """Return the exponent of a power law through the last three points."""
        slope, _ = np.polyfit(np.log(self.sizes[-3:]), np.log(self.times_s[-3:]), 1)
        return float(slope)


@contextmanager
def opened(text: str) -> Iterator[System]:
    """Open the only system of a bench file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instruments.yaml"
        path.write_text(text, encoding="utf-8")
        with Bench.from_file(path) as bench:
            yield bench.systems["system"]


def measured(system: System, n: int, repeats: int) -> float:
    """Return the best time of measuring `n` shots, in s."""
    rng = np.random.default_rng(0)
    low, high = system.input_range
    x = rng.uniform(max(low, -1), min(high, 1), (n, system.n_in)).astype(np.float32)
    theta = rng.random(system.n_controls).astype(np.float32)
    system.measure(x[:1], theta)  # programmes cells, fills caches
    best_s = np.inf
    for _ in range(repeats):
        begin_s = time.perf_counter()
        system.measure(x, theta)
        best_s = min(best_s, time.perf_counter() - begin_s)
    return float(best_s)


def over_shots(name: str, text: str, counts: list[int], repeats: int) -> Curve:
    """Measure more and more shots of one bench."""
    with opened(text) as system:
        return Curve(f"{name}", "shots", counts, [measured(system, n, repeats) for n in counts])


def over_pixels(name: str, unit: str, text: Callable[[int], str], sides: list[int], shots: int, repeats: int) -> Curve:
    """Measure a few shots of larger and larger benches."""
    times_s = []
    for side in sides:
        with opened(text(side)) as system:
            times_s.append(measured(system, shots, repeats))
    return Curve(f"{name}, {shots} shots", unit, [side**2 for side in sides], times_s)


def draw(curves: list[Curve], path: Path) -> None:
    """Draw all curves, each with a straight line beside it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axes = dict(zip(("shots", "pixels"), figure.subplots(1, 2), strict=True))
    colours = ("#1f77b4", "#d9762b", "#3a923a")
    for unit, plot in axes.items():
        chosen = [curve for curve in curves if (curve.unit == "shots") == (unit == "shots")]
        for colour, curve in zip(colours, chosen, strict=False):
            sizes, times_s = np.array(curve.sizes), np.array(curve.times_s)
            plot.loglog(sizes, times_s, "o-", color=colour, label=f"{curve.name}: exponent {curve.exponent:.2f}")
            plot.loglog(sizes, times_s[-1] * sizes / sizes[-1], ":", color=colour, linewidth=1)
        units = " or ".join(dict.fromkeys(curve.unit for curve in chosen))
        plot.set(xlabel=f"{units}", ylabel="time of a measurement (s)")
        plot.grid(which="major", color="#e4e4e4")
        plot.legend(frameon=False, loc="lower right")
        for side in ("top", "right"):
            plot.spines[side].set_visible(False)
    figure.suptitle("Cost of measuring on simulated benches; dotted: in proportion to the last point")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print a table, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    repeats = arguments.repeats
    counts = [2**k for k in range(2, 15, 2)]
    curves = [
        over_shots("light, 64² pixels", LIGHT.format(side=64), counts[:-1], repeats),
        over_shots("circuit, 40 samples", CIRCUIT.format(), counts, repeats),
        over_shots("crossbar, 64 x 128 cells", CROSSBAR.format(side=64, columns=128), counts, repeats),
        over_pixels("light", "pixels", lambda side: LIGHT.format(side=side), [32, 64, 128, 256, 512, 1024], 8, repeats),
        over_pixels(
            "crossbar", "cells", lambda side: CROSSBAR.format(side=side, columns=side), [64, 128, 256, 512, 1024], 256,
            repeats,
        ),
    ]  # fmt: skip
    print(f"{'bench':32s} {'counted':8s} {'from':>8s} {'to':>9s} {'us each at first':>17s} {'at last':>9s} exponent")
    for curve in curves:
        first, last = (
            1e6 * time_s / n
            for time_s, n in list(zip(curve.times_s, curve.sizes, strict=True))[:: len(curve.sizes) - 1]
        )
        print(f"{curve.name:32s} {curve.unit:8s} {curve.sizes[0]:8,d} {curve.sizes[-1]:9,d} {first:17.3g} {last:9.3g} "
              f"{curve.exponent:8.2f}")  # fmt: skip
    if arguments.plot is not None:
        draw(curves, arguments.plot)
        print(arguments.plot)


if __name__ == "__main__":
    main()
