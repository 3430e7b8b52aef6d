"""A small circuit between converters, for tests."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.devices import Clock, SimulatedClock, Trigger
from pnnlab.physics import OscillatorNetwork
from pnnlab_drivers.sim.adc import SimAdc
from pnnlab_drivers.sim.circuit_board import CircuitBoard, CircuitBoardOptions
from pnnlab_drivers.sim.dac import SimDac

Array = npt.NDArray[np.floating]


RATE_HZ = 8e3
DESIGN = {"seed": 3, "oscillators": 4, "inputs": 3, "outputs": 2, "quality": 1.0}
"""A small circuit: its slowest oscillation falls by exp(pi reference / 2 quality) a second, by 1e-6 in 70 samples."""
DAC_ERRORS = {"offset_v": 5e-3, "gain_error": 0.02, "inl_lsb": 2.0, "dnl_lsb": 1.0}
ADC_ERRORS = {"offset_v": 5e-3, "gain_error": 0.02, "inl_lsb": 2.0}


@dataclass
class Bench:
    """A DAC, a circuit and an ADC; opened."""

    board: dict[str, Any] = field(default_factory=dict)
    dac_options: dict[str, Any] = field(default_factory=dict)
    adc_options: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    clock: Clock = field(default_factory=SimulatedClock)

    def __post_init__(self) -> None:
        options = CircuitBoardOptions.model_validate({"network": {**DESIGN, **self.network}, **self.board})
        self.plant = CircuitBoard("board", options, clock=self.clock, seed=self.seed)
        dac, adc = (
            kind.Options.model_validate(chosen)
            for kind, chosen in ((SimDac, self.dac_options), (SimAdc, self.adc_options))
        )
        self.dac = SimDac("dac", dac, clock=self.clock, plant=self.plant).open()
        self.adc = SimAdc("adc", adc, clock=self.clock, plant=self.plant).open()

    def play(self, volts: Array, *, rate_hz: float = RATE_HZ) -> tuple[Array, Array]:
        """Play shots, shape `(batch, n_samples, n_in)`, as one waveform; return what was realised and the records."""
        self.adc.arm_records(len(volts), n_samples=volts.shape[1], rate_hz=rate_hz, trigger=Trigger.HARDWARE)
        setpoint = self.dac.arm_waveform(volts.reshape(-1, volts.shape[-1]), rate_hz=rate_hz, trigger=Trigger.INTERNAL)
        self.adc.start()
        self.dac.start()
        records = self.adc.read(len(volts), timeout_s=100.0).volts
        self.dac.wait(1.0)
        self.dac.disarm()
        self.adc.disarm()
        return np.asarray(setpoint.realised, np.float64).reshape(volts.shape), np.asarray(records, np.float64)


def exact(**changes: Any) -> Bench:
    """Return a bench in double precision without any converter error and without quantisation."""
    return Bench(
        board={"precision": "float64", **changes.pop("board", {})},
        dac_options={"quantised": False, **changes.pop("dac_options", {})},
        adc_options={"quantised": False, **changes.pop("adc_options", {})},
        **changes,
    )


def shots(batch: int, n_samples: int, *, rest: int = 0, n_in: int = 3, seed: int = 0) -> Array:
    volts = np.random.default_rng(seed).uniform(-1, 1, (batch, n_samples, n_in))
    volts[:, :rest] = 0
    return volts


def designed(**changes: Any) -> OscillatorNetwork:
    """Return the circuit as designed, in double precision."""
    design: dict[str, Any] = {**DESIGN, **changes}
    oscillators, inputs, outputs = (design.pop(key) for key in ("oscillators", "inputs", "outputs"))
    generator = torch.Generator().manual_seed(design.pop("seed"))
    return OscillatorNetwork.random(
        oscillators, inputs, outputs, generator, sample_rate_hz=RATE_HZ, dtype=torch.float64, **design
    )
