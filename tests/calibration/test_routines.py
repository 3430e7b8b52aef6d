"""Routines against what the simulation hides: its time constants, latencies and noise."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.calibration import ROUTINES, Latency, LatencyOptions, Repeatability, Settling, SettlingOptions
from pnnlab.calibration._view import random_patterns
from pnnlab.devices import State
from pnnlab.errors import AbilityError
from pnnlab.records import CalibrationRecord, Verdict
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.sim.camera import SimCamera
from tests.benches import OpticalBench
from tests.calibration.benches import LYING, TAU_S, light, store_in, true_settle_s, with_store
from tests.drivers.sim.circuits import RATE_HZ, Bench
from tests.drivers.sim.crossbars import crossbar
from tests.systems.test_crossbar import wired as wired_crossbar
from tests.systems.test_dac_adc import wired

SEQUENCE, DISPLAY = 4096, 0
SLOW = {"settling_s": TAU_S, "data_sheet_settle_s": 4e-3}
"""A panel seven times slower than its data sheet says."""


def settle_s(record: CalibrationRecord) -> float:
    return record.values["settle_s"].value


@pytest.mark.parametrize("memory", [SEQUENCE, DISPLAY])
@pytest.mark.parametrize("sheet_s", [9e-3, 150e-3])
def test_settling_is_found_whatever_the_data_sheet_says(sheet_s: float, memory: int) -> None:
    bench = OpticalBench(slm={"settling_s": TAU_S, "data_sheet_settle_s": sheet_s, "sequence_memory": memory})
    record = Settling().run(bench.optics)
    found = record.values["settle_s"]
    due_s = true_settle_s(bench, record.values["exposure_s"].value, 0.01)
    assert record.verdict is Verdict.PASS, record.reasons
    # three standard uncertainties; and both patterns are some of many, whose responses differ by a few percent
    assert abs(found.value - due_s) < 3 * found.uncertainty + 0.04 * TAU_S
    assert found.uncertainty < 0.1 * due_s


def test_uncertainties_of_settling_are_as_large_as_the_scatter() -> None:
    pulls = []
    for seed in range(16):
        bench = OpticalBench(slm=LYING, seed=seed)
        record = Settling().run(bench.optics, SettlingOptions(seed=seed))
        found = record.values["settle_s"]
        pulls.append((found.value - true_settle_s(bench, record.values["exposure_s"].value, 0.01)) / found.uncertainty)
    # 16 pulls tell their mean to 0.25 and their spread to 18 %; three times that
    assert abs(np.mean(pulls)) < 0.75
    assert 0.4 < np.std(pulls) < 1.6


@pytest.mark.parametrize(
    ("bench", "reason"),
    [
        ({"slm": {"settling_s": 0.1, "data_sheet_settle_s": 9e-3}}, "never settles.* set a larger `longest`"),
        ({"table": {"photons_per_pixel_s": 10}}, "do not react to slm.*look whether the light is on"),
        ({"table": {"photons_per_pixel_s": 1e8}}, "pixels saturate at an exposure of .* set a shorter `exposure`"),
        ({"camera": {"read_noise_electrons": 300}}, "noise floor .* is above the tolerance|do not react"),
    ],
)
def test_settling_that_cannot_be_told_is_a_failed_record_that_says_why(bench: dict[str, Any], reason: str) -> None:
    record = Settling().run(OpticalBench(**bench).optics)
    assert record.verdict is Verdict.FAIL
    assert np.isnan(settle_s(record))
    assert len(record.reasons) == 1
    assert re.search(reason, record.reasons[0])


def test_lost_frames_do_not_spoil_settling() -> None:
    faults = {"drop": 0.02, "incomplete": 0.02}
    bench = OpticalBench(slm=LYING, camera={"faults": faults})
    found = Settling().run(bench.optics).values["settle_s"]
    clean = Settling().run(OpticalBench(slm=LYING).optics).values["settle_s"]
    assert abs(found.value - clean.value) < 3 * np.hypot(found.uncertainty, clean.uncertainty)


def test_latency_of_sequences_is_that_of_the_pulse() -> None:
    bench = OpticalBench(slm={"latency_s": (2e-3, 6e-3), "hidden_latency_s": 3e-3})
    found = Latency().run(bench.optics).values
    least, most = found["latency_least_s"], found["latency_most_s"]
    assert 5e-3 <= least.value <= 5e-3 + 4 * least.uncertainty
    assert 9e-3 - 4 * most.uncertainty <= most.value <= 9e-3
    # thirty draws from 4 ms miss the ends by 0.13 ms on average
    assert 0.05e-3 < least.uncertainty < 0.3e-3


@pytest.mark.parametrize("seed", range(4))
def test_latency_of_writing_is_told_by_frames(seed: int) -> None:
    bench = OpticalBench(slm={"latency_s": (2e-3, 6e-3), "hidden_latency_s": 3e-3, "sequence_memory": 0}, seed=seed)
    found = Latency().run(bench.optics, LatencyOptions(seed=seed)).values
    least, most = found["latency_least_s"], found["latency_most_s"]
    # what the system goes by: two standard uncertainties on the safe side; frames come every 2 ms
    assert least.value - 2 * least.uncertainty < 5.1e-3
    assert 8.9e-3 < most.value + 2 * most.uncertainty < 12e-3
    # the light has to change before a frame can tell
    assert 5e-3 - 2e-3 < least.value < 5e-3 + 2e-3


class SilentCamera(SimCamera):
    """A camera whose queue keeps two old frames, of which its driver does not know."""

    stale_readings = 0


def test_old_frames_that_a_driver_conceals_fail_the_latency() -> None:
    bench = OpticalBench(slm={"sequence_memory": 0})
    options = SilentCamera.Options.model_validate(
        {"sensor": (8, 8), "gain_counts_per_electron": 0.17, "stale_frames": 2, "stamps": False, "counts": False}
    )
    camera = SilentCamera("camera", options, clock=bench.clock, plant=bench.plant).open()
    devices = {"slm": bench.panel, "camera": camera}
    system = SlmCamera("optics", bench.optics.config, devices, Facilities(bench.clock))
    record = Latency().run(system)
    assert record.verdict is Verdict.FAIL
    assert "hands out 2 old frames after arming, its driver declares 0" in record.reasons[0]


def test_latency_of_waveforms_is_found_to_within_a_sample() -> None:
    bench = Bench(dac_options={"latency_s": (1e-3, 3e-3)})
    found = Latency().run(wired(bench)).values
    least, most = found["latency_least_s"], found["latency_most_s"]
    assert least.value == pytest.approx(1e-3, abs=2 / RATE_HZ) and most.value == pytest.approx(3e-3, abs=2 / RATE_HZ)
    assert least.value - 3 * least.uncertainty < 1e-3 and most.value + 3 * most.uncertainty > 3e-3


def test_repeatability_tells_the_noise_of_the_sensor() -> None:
    bench = OpticalBench()
    found = Repeatability().run(bench.optics).values
    counts = light(bench, np.random.default_rng(0).integers(0, 256, (64, 8, 8)).astype(np.float64))
    # photo-electrons are Poisson: a count of K electrons has the variance K² (counts / K), plus that of rounding
    gain, full = 0.17, 1023
    due = np.sqrt((gain * counts + 1 / 12).mean()) / full
    scale = float(np.asarray(bench.optics.decode(np.full((1, 8, 8), full, np.float32))).max())
    assert found["shot_std"].value == pytest.approx(due * scale, rel=0.05)
    assert found["memory_step"].value < 0.01


def test_repeatability_sees_that_settling_is_too_short() -> None:
    record = Repeatability().run(OpticalBench(slm=SLOW).optics)
    assert record.verdict is Verdict.FAIL
    assert "readings depend on the shot before" in record.reasons[0]


def test_a_system_goes_by_its_records(tmp_path: Path) -> None:
    bench, store = OpticalBench(slm=SLOW), store_in(tmp_path)
    rng = np.random.default_rng(0)
    x, theta = rng.random((32, 64)).astype(np.float32), rng.random(64).astype(np.float32)

    def error() -> float:
        system = with_store(bench, store)
        due = system.expected(*system.encode(torch.from_numpy(x), torch.from_numpy(theta))).numpy()
        return float(np.sqrt(((system.measure(x, theta).y - due) ** 2).mean()) / due.std())

    assert error() > 0.2, "the data sheet was to be wrong"
    assert with_store(bench, store).timings["slm"].sources == ("data sheet", "data sheet")
    settling, latency = store.add(Settling().run(bench.optics)), store.add(Latency().run(bench.optics))
    timing = with_store(bench, store).timings["slm"]
    assert timing.sources == (settling.id, latency.id)
    assert timing.settle_s > settle_s(settling)
    # shot noise alone is 0.02
    assert error() < 0.05


class Interrupted:
    """A progress display at which somebody presses Ctrl-C after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def begin(self, what: str, steps: int) -> None:
        """Nothing is shown."""

    def step(self) -> None:
        self.steps -= 1
        if not self.steps:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ROUTINES)
@pytest.mark.parametrize("memory", [SEQUENCE, DISPLAY])
def test_ctrl_c_leaves_devices_as_they_were(kind: str, memory: int) -> None:
    bench = OpticalBench(slm=LYING | {"sequence_memory": memory})
    before = bench.sensor.settings(), bench.panel.settings()
    with pytest.raises(KeyboardInterrupt):
        ROUTINES[kind].run(bench.optics, progress=Interrupted(1))
    assert (bench.sensor.settings(), bench.panel.settings()) == before
    assert bench.sensor.state is State.OPEN and bench.panel.state is State.OPEN
    assert Settling().run(bench.optics).values["settle_s"].is_finite


def test_patterns_are_legal_and_differ() -> None:
    bench = OpticalBench()
    patterns = random_patterns(bench.optics, 3, np.random.default_rng(0))
    assert patterns.shape == (3, 8, 8)
    assert patterns.min() >= 0 and patterns.max() <= 255 and not (patterns[0] == patterns[1]).all()


def test_a_routine_that_makes_no_sense_says_so() -> None:
    with pytest.raises(AbilityError, match=r"layer: latency cannot be calibrated: .* nothing can be late"):
        Latency().run(wired_crossbar(crossbar()))
    with pytest.raises(
        AbilityError, match="circuit: settling cannot be calibrated: only light behind a panel and static"
    ):
        Settling().run(wired(Bench()))
