"""Simulated benches for calibration: their truth, and systems that know records."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pnnlab.records import CalibrationStore
from pnnlab.systems import Facilities, SlmCamera
from tests.benches import OpticalBench

Array = NDArray[np.float64]
TAU_S = 5e-3
LYING = {"settling_s": TAU_S, "data_sheet_settle_s": 9e-3}
"""A panel three times slower than its data sheet says: the light has settled to 1 % after about 28 ms."""


def store_in(folder: Path) -> CalibrationStore:
    """Return a store whose clock runs a minute ahead, so that records that were made right before are not of now."""
    return CalibrationStore(folder, now=lambda: datetime.now(UTC) + timedelta(minutes=1))


def with_store(bench: OpticalBench, store: CalibrationStore) -> SlmCamera:
    """Return the bench's system, wired anew with the records of a store."""
    devices = {"slm": bench.panel, "camera": bench.sensor}
    return SlmCamera("optics", bench.optics.config, devices, Facilities(bench.clock, store=store))


def light(bench: OpticalBench, levels: Array) -> Array:
    """Return the noise-free counts of patterns between levels, too, shape `(n, h, w)`: phases are linear in them."""
    return np.asarray(bench.sensor.expected(torch.from_numpy(levels)).numpy(), np.float64)


def true_response(bench: OpticalBench, delay_s: float, exposure_s: float, *, n: int = 64) -> float:
    """Return what is left of a step between random patterns, by quadrature over the exposure.

    Nothing of the calibration is used: levels relax exponentially towards the new pattern, and the plant tells the
    noise-free light of each moment.
    """
    levels = np.random.default_rng(123).integers(0, 256, (n, *bench.panel.shape)).astype(np.float64)
    before = np.roll(levels, 1, axis=0)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    settled = light(bench, levels)
    times_s = delay_s + exposure_s * (nodes + 1) / 2
    frames = sum(
        w / 2 * light(bench, levels + (before - levels) * np.exp(-t / TAU_S))
        for t, w in zip(times_s, weights, strict=True)
    )
    return float(np.sqrt(((frames - settled) ** 2).mean() / ((light(bench, before) - settled) ** 2).mean()))


def true_settle_s(bench: OpticalBench, exposure_s: float, tolerance: float) -> float:
    """Return the delay at which that is the tolerance, by bisection."""
    low_s, high_s = 0.0, 20 * TAU_S
    for _ in range(30):
        middle_s = (low_s + high_s) / 2
        left = true_response(bench, middle_s, exposure_s)
        low_s, high_s = (middle_s, high_s) if left > tolerance else (low_s, middle_s)
    return low_s
