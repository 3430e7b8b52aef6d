"""A board of nonlinear oscillators between a DAC and an ADC."""

import math
from typing import ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import OscillatorNetwork
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab_drivers.sim._circuit import RunningCircuit
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.board import Board

__all__ = ["CircuitBoard"]


class NetworkDesign(FrozenModel):
    """The board's design: `pnnlab.physics.OscillatorNetwork.random` with these numbers.

    Attributes:
        seed: The design's seed, known to whoever knows the design.
        oscillators: Number of oscillators.
        inputs: Number of DAC channels.
        outputs: Number of ADC channels.
        sample_rate_hz: Rate that DAC and ADC are meant for; waveforms may have another one.
        reference_hz: See `pnnlab.physics.OscillatorNetwork`.
        bandwidth_hz: See there.
        saturation_v: See there.
        quality: See there.
        cubic: See there.
        coupling: See there.
        gain: See there.
        substeps: Integration steps in a sample at `sample_rate`; a slower sample gets more, a faster one fewer.
    """

    seed: int = 0
    oscillators: int = Field(default=16, gt=0)
    inputs: int = Field(default=4, gt=0)
    outputs: int = Field(default=2, gt=0)
    sample_rate_hz: Hertz = Field(default=8e3, gt=0)
    reference_hz: Hertz = Field(default=1e3, gt=0)
    bandwidth_hz: Hertz = Field(default=3e3, gt=0)
    saturation_v: Volts = Field(default=5.0, gt=0)
    quality: float = Field(default=5.0, gt=0)
    cubic: float = 0.2
    coupling: float = Field(default=0.5, ge=0)
    gain: float = 0.5
    substeps: int = Field(default=8, gt=0)


class CircuitBoardOptions(PlantOptions):
    """The options of the plant `sim-circuit`.

    Attributes:
        network: The design.
        component_spread: Relative standard deviation of the components from the design, times `mismatch`.
        gain_walk_per_sqrt_s: Temperature drift: the outputs' common gain walks at random, by a standard deviation of
            this times the root of the seconds that pass from reading to reading; 0 switches it off.
        drift: Scales that walk.
    """

    network: NetworkDesign = NetworkDesign()
    component_spread: float = Field(default=0.0, ge=0)
    gain_walk_per_sqrt_s: float = Field(default=0.0, ge=0)
    drift: float = Field(default=1.0, ge=0)


class CircuitBoard(Board):
    """The circuit between `sim-dac` and `sim-adc`: it rings down while the bench is idle."""

    Options: ClassVar[type[PlantOptions]] = CircuitBoardOptions
    options: CircuitBoardOptions

    def __init__(self, name: str, options: CircuitBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self._gain, self._gain_s = 1.0, self._begin_s

    def _make_physics(self) -> RunningCircuit:
        design = self.options.network
        nominal = OscillatorNetwork.random(
            design.oscillators, design.inputs, design.outputs, torch.Generator().manual_seed(design.seed),
            reference_hz=design.reference_hz, sample_rate_hz=design.sample_rate_hz, bandwidth_hz=design.bandwidth_hz,
            saturation_v=design.saturation_v, quality=design.quality, cubic=design.cubic, coupling=design.coupling,
            gain=design.gain, substeps=design.substeps, dtype=self.dtype,
        )  # fmt: skip
        spread = self.options.component_spread * self.options.mismatch
        self._network = nominal.perturbed(spread, self.specimen("components")).to(self.torch_device)
        return RunningCircuit(self._network, substep_s=1 / (design.sample_rate_hz * design.substeps))

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return self.options.network.inputs

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return self.options.network.outputs

    @property
    def network(self) -> OscillatorNetwork:
        """Return the circuit that was made of the design, with its hidden components: the truth."""
        return self._network

    @property
    def sample_rate_hz(self) -> float:
        """See `Board.sample_rate_hz`."""
        return self.options.network.sample_rate_hz

    def disturbed(self, volts: Tensor, time_s: float) -> Tensor:
        """See `Board.disturbed`: the outputs' common gain walks on to a moment."""
        walk = self.options.gain_walk_per_sqrt_s * self.options.drift
        if walk:
            passed_s = max(time_s - self._gain_s, 0.0)
            self._gain += walk * math.sqrt(passed_s) * float(self.noise("gain").standard_normal())
            self._gain_s = time_s
        return self.drifted(volts)

    def drifted(self, volts: Tensor) -> Tensor:
        """See `Board.drifted`."""
        return volts * self._gain

    def state(self) -> dict[str, object]:
        """See `pnnlab.devices.Plant.state`."""
        return super().state() | {"gain": self._gain, "gain_s": self._gain_s}

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        super().restore(state)
        self._gain, self._gain_s = cast(float, state["gain"]), cast(float, state["gain_s"])
