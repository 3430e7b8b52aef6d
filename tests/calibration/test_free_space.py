"""Panels in tiles are calibrated as any other panel before a camera."""

from pathlib import Path

import numpy as np
import torch

from pnnlab.calibration import Latency, Settling
from pnnlab.calibration._view import random_patterns
from pnnlab.records import Verdict
from pnnlab.systems import Facilities, FreeSpaceSystem
from pnnlab_drivers.sim.camera import SimCamera
from scripts.setups.wave_benches import free_space
from tests.calibration.benches import store_in

TAU_S, TOLERANCE = 5e-3, 0.01


def masks() -> FreeSpaceSystem:
    """Return a panel that settles three times slower than its data sheet says, and comes late."""
    slow = {"quantised": True, "settling_s": TAU_S, "data_sheet_settle_s": 9e-3, "latency_s": (1e-3, 3e-3)}
    seen = {"quantised": True, "noise": 1.0, "gain_counts_per_electron": 0.02}
    return free_space(
        (4, 4), 2, photons_per_pixel_s=1e8, slm=slow, camera=seen, wiring={"unit_counts": 2000, "precision": "float32"}
    )


def left(system: FreeSpaceSystem, delay_s: float, exposure_s: float) -> float:
    """Return what is left of a step between random patterns, by the plant's own truth, as levels relax."""
    camera = system.devices["camera"]
    assert isinstance(camera, SimCamera)
    levels = random_patterns(system, 32, np.random.default_rng(7)).astype(np.float64)
    before = np.roll(levels, 1, axis=0)

    def outputs(shown: np.ndarray) -> np.ndarray:
        return np.asarray(system.decode(camera.expected(torch.from_numpy(shown)).numpy()))

    nodes, weights = np.polynomial.legendre.leggauss(8)
    moments_s = delay_s + exposure_s * (nodes + 1) / 2
    seen = sum(
        w / 2 * outputs(levels + (before - levels) * np.exp(-t / TAU_S))
        for t, w in zip(moments_s, weights, strict=True)
    )
    step = outputs(before) - outputs(levels)
    return float(np.sqrt(((seen - outputs(levels)) ** 2).mean() / (step**2).mean()))


def test_settling_and_latency_of_a_panel_in_tiles_are_found_and_used(tmp_path: Path) -> None:
    system, store = masks(), store_in(tmp_path)
    record = Settling().run(system)
    assert record.verdict is Verdict.PASS, record.reasons
    found = record.values["settle_s"].value
    assert 0.5 * TOLERANCE < left(system, found, record.values["exposure_s"].value) < 1.5 * TOLERANCE
    late = Latency().run(system)
    assert late.verdict is Verdict.PASS, late.reasons
    assert 0 < late.values["latency_most_s"].value < 5e-3
    for one in (record, late):
        store.add(one)
    anew = FreeSpaceSystem("masks", system.config, system.devices, Facilities(system.clock, store=store))
    assert anew.timings["slm"].sources == (record.id, late.id)
    assert anew.timings["slm"].settle_s > found > 2 * 9e-3 > system.timings["slm"].settle_s


def test_random_patterns_use_all_tiles_and_nothing_else() -> None:
    system = free_space((2, 2), 1, distance_m=5e-3)
    patterns = random_patterns(system, 40, np.random.default_rng(0))
    used = np.zeros(patterns.shape[1:], bool)
    used[:4, :12], used[4:8, :4] = True, True
    np.testing.assert_array_equal(patterns.std(0) > 0, used)
    assert system.n_cells == 4 * 16 and len(np.unique(patterns[0][used])) > 40
