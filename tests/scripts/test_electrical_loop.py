"""Training end to end through a real firmware: its pins, a circuit, and back through its converter."""

from pathlib import Path

import pytest
import torch

from scripts.plants.avr_board import NotHereError
from scripts.plants.electrical_loop import BENCH, circuit_of, simulated_bench
from scripts.show_electrical_loop import run_loop


def test_both_benches_have_one_circuit(tmp_path: Path) -> None:
    simulated = simulated_bench(BENCH, tmp_path)
    one, other = circuit_of(simulated).network, circuit_of(simulated).network
    assert torch.equal(one.input_gain, other.input_gain) and (one.n_in, one.n_out) == (6, 6)


@pytest.mark.slow
def test_training_through_a_firmware_is_what_simulated_converters_predict(tmp_path: Path) -> None:
    changes = {
        "epochs": 2, "batch": 12,
        "task": {"kind": "iris", "features": (2, 3), "test": 30, "validation": 3, "train": 36},
    }  # fmt: skip
    try:
        real, simulated, agreement = run_loop(tmp_path, changes=changes, runs=tmp_path / "runs")
    except NotHereError as why:
        pytest.skip(f"no firmware to train through: {why}")
    assert real.steps == simulated.steps == 6
    # 30 samples of 18 outputs tell it to 3 %, and the simulation's steps of integration add 3 %
    assert agreement.error_v == pytest.approx(agreement.error_due_v, rel=0.12)
    assert agreement.differing <= agreement.explained
