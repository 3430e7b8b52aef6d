"""A board of nonlinear oscillators between a DAC and an ADC."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import OscillatorNetwork
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab_drivers.sim._circuit import RunningCircuit
from pnnlab_drivers.sim._course import Course
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant
from pnnlab_drivers.sim._steps import TICKS, Cut
from pnnlab_drivers.sim._triggered_run import TriggerInput
from pnnlab_drivers.sim._waveforms import UNNUMBERED, FloatArray, Waveform

__all__ = ["CircuitBoard", "SampledRecord"]

_RECORDS: Final = 100_000
"""Records whose truth is kept; older ones are forgotten."""

Transfer = Callable[[Tensor], Tensor]


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


@dataclass(frozen=True, slots=True)
class SampledRecord:
    """What a record that came from an ADC has sampled: the truth, which no device tells.

    Attributes:
        adc: Whose record it is.
        counter: Its number, modulo the ADC's modulus, whether the ADC tells it or not.
        start_s: Bench time at which it began.
        end_s: When it ended.
        tokens: Setpoints of the DAC that were at the inputs meanwhile, in their order, each with the seconds it was
            there; -1 for voltages that are no setpoint.
        offset_s: For how long the first of them had been there when the record began: its place in a waveform.
    """

    adc: str
    counter: int
    start_s: float
    end_s: float
    tokens: tuple[tuple[int, float], ...]
    offset_s: float


class CircuitBoard(SimPlant):
    """The circuit between `sim-dac` and `sim-adc`.

    It runs when the ADC reads, over exactly the time that has passed on the bench: what one waveform leaves in the
    oscillators is there when the next one begins, and rings down while the bench is idle. A sample is what the output
    is at its moment, so a record that begins too early or too late shows another part of the waveform.
    """

    Options: ClassVar[type[PlantOptions]] = CircuitBoardOptions
    options: CircuitBoardOptions

    def __init__(self, name: str, options: CircuitBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        design = self.options.network
        nominal = OscillatorNetwork.random(
            design.oscillators, design.inputs, design.outputs, torch.Generator().manual_seed(design.seed),
            reference_hz=design.reference_hz, sample_rate_hz=design.sample_rate_hz, bandwidth_hz=design.bandwidth_hz,
            saturation_v=design.saturation_v, quality=design.quality, cubic=design.cubic, coupling=design.coupling,
            gain=design.gain, substeps=design.substeps, dtype=self.dtype,
        )  # fmt: skip
        spread = self.options.component_spread * self.options.mismatch
        specimen = nominal.perturbed(spread, self.specimen("components"))
        substep_s = 1 / (design.sample_rate_hz * design.substeps)
        self._circuit = RunningCircuit(specimen.to(self.torch_device), substep_s=substep_s)
        self._inputs: dict[TriggerInput, float] = {}
        self._transfer: Transfer | None = None
        self._driven = False
        self._begin_s = self._gain_s = clock.now_s()
        self._gain = 1.0
        rest = self._constant(np.zeros(design.inputs), np.zeros(design.inputs), self._begin_s, UNNUMBERED)
        self.course = Course(name, self._circuit, rest, clock)
        self.records: deque[SampledRecord] = deque(maxlen=_RECORDS)
        """What the records that were read have truly sampled, in the order in which they came."""

    # For the DAC

    @property
    def n_inputs(self) -> int:
        """Return the number of inputs."""
        return self.options.network.inputs

    @property
    def n_outputs(self) -> int:
        """Return the number of outputs."""
        return self.options.network.outputs

    @property
    def network(self) -> OscillatorNetwork:
        """Return the circuit that was made of the design, with its hidden components: the truth."""
        return self._circuit.network

    @property
    def sample_rate_hz(self) -> float:
        """Return the rate that the design is meant for."""
        return self.options.network.sample_rate_hz

    def attach_dac(self, transfer: Transfer) -> None:
        """Join a DAC to the inputs; before it first writes, they carry its errors at what it reports already.

        Args:
            transfer: From reported voltages to those at the outputs on the mean, shape `(..., n_in)`.
        """
        self._transfer = transfer
        if not self._driven:
            shown_v = np.zeros(self.n_inputs)
            volts = transfer(self._tensor(shown_v)).cpu().numpy()
            self.course.put(self._constant(volts, shown_v, self._begin_s, UNNUMBERED))

    def hold(self, volts: FloatArray, shown_v: FloatArray, *, start_s: float, token: int = UNNUMBERED) -> None:
        """Put constant voltages on the inputs.

        Args:
            volts: What is there, shape `(n_in,)`, in V.
            shown_v: What the DAC reports, same shape.
            start_s: From when on.
            token: The DAC's setpoint.
        """
        self._driven = True
        self.course.put(self._constant(volts, shown_v, start_s, token))

    def play(
        self, volts: FloatArray, shown_v: FloatArray, *, start_s: float, period_s: float, token: int = UNNUMBERED
    ) -> None:
        """Put a waveform on the inputs, shapes `(n, n_in)` as for `hold`, a row every `period_s`; see `listen`."""
        self._driven = True
        self.course.put(Waveform(start_s, period_s, self._tensor(volts), shown_v.copy(), token))
        for listener, every_s in tuple(self._inputs.items()):
            n_pulses = max(math.ceil(len(volts) * period_s / every_s - 1e-6), 1)
            listener.begin(np.asarray(start_s + every_s * np.arange(n_pulses), np.float64))

    def stop(self, time_s: float) -> None:
        """Abandon what is played: the inputs stay where they are then, and pulses after that do not come."""
        self.course.stop(time_s)
        for listener in tuple(self._inputs):
            listener.withdraw(time_s)

    def shown_at(self, time_s: float) -> FloatArray:
        """Return the voltages that the DAC reports at one time, shape `(n_in,)`."""
        waveform = self.course.waveform_at(time_s)
        row: FloatArray = waveform.shown_v[waveform.step_at(time_s)].copy()
        return row

    # For the ADC

    def listen(self, listener: TriggerInput, *, every_s: float) -> None:
        """Wire a trigger input to the DAC's marker output.

        Args:
            listener: Gets the times of pulses: one when a waveform starts, and one every `every_s` while it plays. They
                are told when it starts, and those that will not come after all when it is abandoned.
            every_s: What the marker is set to, the length of a record.
        """
        self._inputs[listener] = every_s

    def unlisten(self, listener: TriggerInput) -> None:
        """Undo `listen`, if it was done."""
        self._inputs.pop(listener, None)

    def pulse(self, time_s: float) -> None:
        """Make one edge on the trigger line, as from another source than the DAC."""
        for listener in tuple(self._inputs):
            listener.begin(np.array([time_s]))

    def sampled(self, adc: str, counter: int, start_s: float, duration_s: float) -> SampledRecord:
        """Return what a record has sampled; its waveforms must still be known."""
        tokens = self.course.tokens_between(start_s, start_s + duration_s)
        offset_s = start_s - self.course.waveform_at(start_s).start_s
        return SampledRecord(adc, counter, start_s, start_s + duration_s, tokens, offset_s)

    def gain_at(self, time_s: float) -> float:
        """Return the outputs' common gain, walked on to a moment."""
        walk = self.options.gain_walk_per_sqrt_s * self.options.drift
        if walk:
            passed_s = max(time_s - self._gain_s, 0.0)
            self._gain += walk * math.sqrt(passed_s) * float(self.noise("gain").standard_normal())
            self._gain_s = time_s
        return self._gain

    def settled(self, volts: Tensor, *, period_s: float, delay_s: float) -> Tensor:
        """Return the outputs of single shots from rest, differentiably.

        Args:
            volts: What the DAC reports in V, shape `(batch, n, n_in)`.
            period_s: Time from one row to the next.
            delay_s: Time from the beginning of a row to its sample, at most `period_s`.

        Returns:
            Volts, shape `(batch, n, n_out)`.
        """
        if self._transfer is None:
            raise DeviceError(f"{self.name}: nothing drives the inputs; open the sim-dac of this plant first")
        drive = self._transfer(volts.to(self.torch_device, self.dtype))
        cut = Cut.of(0, TICKS, [min(max(round(delay_s / period_s * TICKS), 1), TICKS)])
        return self._circuit.from_rest(drive, cut, period_s).squeeze(2) * self._gain

    # What a later reading depends on

    def state(self) -> dict[str, object]:
        """See `pnnlab.devices.Plant.state`."""
        return super().state() | self.course.state() | {"gain": self._gain, "gain_s": self._gain_s}

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        super().restore(state)
        self.course.restore(state)
        self._gain, self._gain_s = cast(float, state["gain"]), cast(float, state["gain_s"])
        self._driven = True

    # Arrays

    def _constant(self, volts: FloatArray, shown_v: FloatArray, start_s: float, token: int) -> Waveform:
        period_s = 1 / self.sample_rate_hz
        return Waveform(start_s, period_s, self._tensor(volts[None]), shown_v[None].copy(), token)

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.torch_device)
