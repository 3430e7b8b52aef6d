"""Routines on static voltages through a circuit, against what the simulation hides."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.calibration import Latency, LatencyOptions, Repeatability, Settling, SettlingOptions
from pnnlab.errors import AbilityError
from pnnlab.records import Verdict
from pnnlab.systems import DacAdc, Facilities
from tests.calibration.benches import store_in
from tests.devices.test_two_roles import AloneCard
from tests.drivers.sim.circuits import RATE_HZ, Bench

SLOW: dict[str, Any] = {"quality": 0.4, "cubic": 0.0, "substeps": 1, "oscillators": 3, "gain": 2.0}
LATENCY_S = (1e-3, 3e-3)


def bench(**dac: Any) -> Bench:
    return Bench(network=SLOW, dac_options={"latency_s": LATENCY_S, **dac}, adc_options={"noise_rms_v": 1e-4})


def static(bench: Bench, store: Any = None, **changes: Any) -> DacAdc:
    config = DacAdc.Config.model_validate({
        "dac": "dac", "adc": "adc", "mode": "steps", "rate_hz": RATE_HZ,
        "encoder": {
            "input_channels": (0, 1), "control_channels": (2,), "steps": 1, "hold": 1, "amplitude_v": 0.5,
            "control_amplitude_v": 0.5,
        },
        "decoder": {"windows": 1, "full_scale_v": 1.0}, **changes,
    })  # fmt: skip
    return DacAdc("circuit", config, {"dac": bench.dac, "adc": bench.adc}, Facilities(bench.clock, store=store))


def true_settle_s(bench: Bench, tolerance: float) -> float:
    """Return when the mean squared response to random steps has fallen to a tolerance, by the linear circuit itself."""
    network = bench.plant.network
    rng = np.random.default_rng(5)
    steps = torch.as_tensor(
        rng.uniform(-0.5, 0.5, (64, 1, 3)) - rng.uniform(-0.5, 0.5, (64, 1, 3)), dtype=torch.float32
    )
    with torch.no_grad():
        # small signals: the output's tanh is linear, and a step response is that of its difference
        response = network(steps.expand(-1, 400, -1).contiguous())[0].double().numpy()
    left = np.sqrt(((response - response[:, -1:]) ** 2).mean((0, 2)) / (response[:, -1] ** 2).mean())
    return float((np.flatnonzero(left > tolerance)[-1] + 1) / RATE_HZ)


def test_settling_of_a_circuit_is_found() -> None:
    found = bench()
    record = Settling().run(static(found), SettlingOptions(longest_s=40e-3, averages=4))
    assert record.verdict is Verdict.PASS, record.reasons
    settle = record.values["settle_s"]
    assert abs(settle.value - true_settle_s(found, 0.01)) < 3 * settle.uncertainty + 4 / RATE_HZ
    assert record.conditions == {"mode": "steps"}


def test_latency_of_writing_is_told_by_records() -> None:
    found = Latency().run(static(bench()), LatencyOptions(longest_s=6e-3)).values
    least, most = found["latency_least_s"], found["latency_most_s"]
    assert least.value - 3 * least.uncertainty < 1.2e-3 and most.value + 3 * most.uncertainty > 2.8e-3
    assert abs(least.value - 1e-3) < 1e-3 and abs(most.value - 3e-3) < 1e-3


def test_a_system_of_static_voltages_goes_by_its_records(tmp_path: Path) -> None:
    """The file says nothing of settling: readings are wrong until it has been calibrated."""
    found, store = bench(), store_in(tmp_path)
    assert Repeatability().run(static(found)).verdict is Verdict.FAIL
    settling = store.add(Settling().run(static(found), SettlingOptions(longest_s=40e-3, averages=4)))
    latency = store.add(Latency().run(static(found), LatencyOptions(longest_s=6e-3)))
    system = static(found, store)
    assert system.timings["dac"].sources == (settling.id, latency.id)
    assert Repeatability().run(system).verdict is Verdict.PASS


def test_an_instrument_that_does_one_thing_at_a_time_says_so() -> None:
    found = bench()
    config = static(found).config.model_copy(
        update={"dac": "card", "adc": "card", "rate_hz": 100.0}
    )  # fmt: skip
    card = AloneCard("card", clock=found.clock).open()
    system = DacAdc("circuit", config, {"dac": card, "adc": card}, Facilities(found.clock))
    with pytest.raises(AbilityError, match="card takes no voltages while its records are armed"):
        Latency().run(system)
