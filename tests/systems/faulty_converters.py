"""A DAC and an ADC that misbehave as real ones do, on a board that knows the truth."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.systems import DacAdc, Facilities
from tests.drivers.sim.circuits import RATE_HZ, Bench

FAULTS = ("miss", "late", "spurious", "drop", "repeat", "swap", "incomplete", "stall")
STAMP_ERROR_S = 2e-6
REST = 30
"""Samples after which this circuit's slowest oscillation has fallen by more than 1e-6."""
SETTLE_S = 2 * REST / RATE_HZ
_FAST: dict[str, Any] = {"quality": 0.4, "cubic": 0.0, "substeps": 1, "oscillators": 3, "gain": 2.0}


@dataclass
class FaultyConverters:
    """Three channels through a circuit into two; every record tells which voltages it is of.

    Attributes:
        seed: Of what goes wrong, and when.
        faults: Probability of each of `FAULTS`, per record.
        latency_s: Least and most time until the outputs follow a call.
        dac: Other options of the DAC.
        adc: Other options of the ADC.
        mode: Of the system.
        retakes: How often shots are taken again.
    """

    seed: int = 0
    faults: dict[str, float] = field(default_factory=dict)
    latency_s: tuple[float, float] = (0.0, 0.0)
    dac: dict[str, Any] = field(default_factory=dict)
    adc: dict[str, Any] = field(default_factory=dict)
    mode: str = "waveform"
    retakes: int = 6

    def __post_init__(self) -> None:
        faults = self.faults | {"late_by_s": (0.1e-3, 6e-3), "stall_by_s": 50e-3}
        adc = {"stamp_error_s": STAMP_ERROR_S, "counter_modulus": 32, "restarts_counter": True, "quantised": False}
        self.bench = Bench(
            board={"precision": "float64"}, network=_FAST, seed=self.seed,
            dac_options={"latency_s": self.latency_s, "quantised": False, **self.dac},
            adc_options={**adc, "faults": faults, **self.adc},
        )  # fmt: skip
        rest, steps = (REST, 2) if self.mode == "waveform" else (0, 1)
        config = DacAdc.Config.model_validate({
            "dac": "dac", "adc": "adc", "mode": self.mode, "rate_hz": RATE_HZ, "precision": "float64",
            "settle_s": SETTLE_S, "retakes": self.retakes,
            "encoder": {
                "input_channels": (0, 1), "control_channels": (2,), "steps": steps, "hold": 3, "rest": rest,
                "amplitude_v": 4.0, "control_amplitude_v": 2.0,
            },
            "decoder": {"windows": steps, "full_scale_v": 2.0},
        })  # fmt: skip
        devices = {"dac": self.bench.dac, "adc": self.bench.adc}
        self.circuit = DacAdc("circuit", config, devices, Facilities(self.bench.clock))

    def truth(self, x: npt.NDArray[np.floating], theta: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return what shots from rest give, shape `(batch, n_out)`."""
        drive = self.circuit.encode(torch.as_tensor(x), torch.as_tensor(theta))
        return np.asarray(self.circuit.expected(*drive).numpy())
