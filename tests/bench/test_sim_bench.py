"""The shipped simulated instruments on a bench."""

from pathlib import Path

import numpy as np
import pytest

from pnnlab.bench import Bench

pytest.importorskip("pnnlab_drivers.sim.camera")

TEXT = """
bench: {name: sim, clock: simulated}
plants:
  table:
    driver: "pnnlab_drivers.sim.optical_table:OpticalTable"
    seed: 3
    options: {medium: {kind: transmission-matrix, input_modes: [4, 4], output_modes: [4, 4]}}
devices:
  slm:
    driver: "pnnlab_drivers.sim.slm:SimSlm"
    plant: table
    options: {shape: [16, 16]}
  camera:
    driver: "pnnlab_drivers.sim.camera:SimCamera"
    plant: table
    options: {sensor: [16, 16]}
systems:
  optics:
    kind: slm-camera
    slm: slm
    camera: camera
    exposure: 1 ms
    encoder: {macropixels: [4, 4]}
    decoder: {bins: [4, 4]}
"""


def test_a_resumed_bench_measures_the_same(tmp_path: Path) -> None:
    path = tmp_path / "instruments.yaml"
    path.write_text(TEXT)
    x, theta = np.linspace(0, 1, 48).reshape(3, 16), np.linspace(0, 1, 16)
    with Bench.from_file(path) as bench:
        first = bench.systems["optics"].measure(x, theta).y
        state = bench.state()
        second = bench.systems["optics"].measure(x, theta).y
    with Bench.from_file(path) as resumed:
        resumed.restore(state)
        again = resumed.systems["optics"].measure(x, theta).y
    assert np.array_equal(again, second)
    assert not np.array_equal(first, second), "noise goes on"
