"""A real firmware on a simulated chip, for tests."""

from typing import Any

import pytest
import torch

from pnnlab.devices import RealClock
from pnnlab.physics import OscillatorNetwork
from pnnlab_drivers.firmata.board import FirmataBoard
from scripts.plants.avr_board import AvrBoard, BoardCircuit, NotHereError

PEER = "StandardFirmata on simavr"
LSB_V = 5 / 1024


def circuit(noise_rms_v: float = 0.0) -> BoardCircuit:
    """Return six pins on six: low-passes, and a network that settles within 10 ms."""
    network = OscillatorNetwork.random(
        8, 6, 6, torch.Generator().manual_seed(3), reference_hz=200.0, sample_rate_hz=1e3, bandwidth_hz=300.0,
        saturation_v=2.4, quality=0.5, gain=0.5, dtype=torch.float64,
    )  # fmt: skip
    return BoardCircuit(network, noise_rms_v=noise_rms_v)


def started(**changes: Any) -> AvrBoard:
    """Return a board that is to be entered; skip the test where it cannot be had."""
    try:
        return AvrBoard(changes.pop("circuit", None) or circuit(), **changes)
    except NotHereError as why:
        pytest.skip(f"no firmware to talk to: {why}")


def device(board: AvrBoard, **changes: Any) -> FirmataBoard:
    """Return a closed device at a board's port."""
    # a busy computer executes the firmware more slowly than in real time
    options = FirmataBoard.Options.model_validate({"resource": str(board.port), "quick": "20 s", **changes})
    return FirmataBoard("board", options, clock=RealClock())
