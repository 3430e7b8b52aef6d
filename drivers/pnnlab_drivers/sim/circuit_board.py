"""A board of nonlinear oscillators between a DAC and an ADC."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab.physics import OscillatorNetwork
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab_drivers.sim._circuit import RunningCircuit
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant
from pnnlab_drivers.sim._steps import TICKS, Cut, cut_steps

__all__ = ["CircuitBoard"]

_KEPT: Final = 4096
"""Waveforms and constant voltages that stay known until an ADC asks for them."""
_KEPT_ROWS: Final = 1 << 20
"""Samples in all of them; a waveform may have more."""

FloatArray = npt.NDArray[np.floating]
Transfer = Callable[[Tensor], Tensor]
Listener = Callable[[npt.NDArray[np.float64]], None]


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
    """

    network: NetworkDesign = NetworkDesign()
    component_spread: float = Field(default=0.0, ge=0)
    gain_walk_per_sqrt_s: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class _Waveform:
    """What the DAC puts out from `start_s` on: a new row every `period_s`, the last one until the next waveform."""

    start_s: float
    period_s: float
    volts: Tensor  # (n, n_in): at the output
    shown_v: FloatArray  # (n, n_in): as the DAC reports it

    def step_at(self, time_s: float) -> int:
        """Return the row that is out just after `time_s`."""
        return min(max(math.floor((time_s - self.start_s) / self.period_s + 0.5 / TICKS), 0), len(self.volts) - 1)


class _SavedWaveform(TypedDict):
    start_s: float
    period_s: float
    volts: Tensor
    shown_v: Tensor


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
        self._listeners: dict[Listener, float] = {}
        self._transfer: Transfer | None = None
        self._driven = False
        self._known_s = self._gain_s = clock.now_s()
        self._gain = 1.0
        self._waveforms = [self._constant(np.zeros(design.inputs), np.zeros(design.inputs), self._known_s)]

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
            start = self._waveforms[0]
            self._waveforms = [replace(start, volts=transfer(self._tensor(start.shown_v)))]

    def hold(self, volts: FloatArray, shown_v: FloatArray, *, start_s: float) -> None:
        """Put constant voltages on the inputs; shapes `(n_in,)`, what is there and what the DAC reports, in V."""
        self._put(self._constant(volts, shown_v, start_s))

    def play(self, volts: FloatArray, shown_v: FloatArray, *, start_s: float, period_s: float) -> None:
        """Put a waveform on the inputs, shapes `(n, n_in)` as for `hold`, a row every `period_s`; see `listen`."""
        self._put(_Waveform(start_s, period_s, self._tensor(volts), shown_v.copy()))
        for listener, every_s in tuple(self._listeners.items()):
            n_pulses = max(math.ceil(len(volts) * period_s / every_s - 1e-6), 1)
            listener(np.asarray(start_s + every_s * np.arange(n_pulses), np.float64))

    def shown_at(self, time_s: float) -> FloatArray:
        """Return the voltages that the DAC reports at one time, shape `(n_in,)`."""
        for waveform in reversed(self._waveforms):
            if time_s >= waveform.start_s:
                row: FloatArray = waveform.shown_v[waveform.step_at(time_s)].copy()
                return row
        raise AcquisitionError(f"{self.name}: the inputs at {time_s:g} s are no longer known; ask sooner")

    # For the ADC

    def listen(self, listener: Listener, *, every_s: float) -> None:
        """Wire a trigger input to the DAC's marker output.

        Args:
            listener: Gets the times of pulses: one when a waveform starts, and one every `every_s` while it plays.
            every_s: What the marker is set to, the length of a record.
        """
        self._listeners[listener] = every_s

    def unlisten(self, listener: Listener) -> None:
        """Undo `listen`."""
        del self._listeners[listener]

    def pulse(self, time_s: float) -> None:
        """Make one edge on the trigger line, as from another source than the DAC."""
        for listener in tuple(self._listeners):
            listener(np.array([time_s]))

    def sample(self, times_s: npt.NDArray[np.float64]) -> Tensor:
        """Return the outputs at increasing times in V, shape `(n, n_out)`.

        Raises:
            AcquisitionError: A time has been passed before.
            DeviceError: The circuit has run away.
        """
        if times_s[0] < self._known_s - 1e-9:
            raise AcquisitionError(
                f"{self.name}: samples from {times_s[0]:g} s on are asked for, the circuit has been followed to "
                f"{self._known_s:g} s already and does not run backwards; read records in the order of time"
            )
        with torch.inference_mode():
            samples = torch.cat(list(self._follow(times_s, float(times_s[-1]))))
        if not bool(torch.isfinite(self._circuit.state_v).all()):
            raise DeviceError(
                f"{self.name}: the circuit has run away; drive it less, or choose a `cubic` of at least 0"
            )
        return samples.clone() * self._walked_gain(float(times_s[0]))

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
        waveforms = [
            {
                "start_s": w.start_s, "period_s": w.period_s, "volts": w.volts.clone(),
                "shown_v": torch.as_tensor(w.shown_v).clone(),
            }
            for w in self._waveforms
        ]  # fmt: skip
        return super().state() | {
            "circuit_v": self._circuit.state_v.clone(), "known_s": self._known_s, "waveforms": waveforms,
            "gain": self._gain, "gain_s": self._gain_s,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        super().restore(state)
        circuit = cast(Tensor, state["circuit_v"])
        if circuit.shape != self._circuit.state_v.shape:
            raise DeviceError(
                f"{self.name}: the saved state is that of a circuit with {circuit.shape[-1]} variables, this one "
                f"has {self._circuit.state_v.shape[-1]}; start a new run"
            )
        self._circuit.state_v = circuit.to(self._circuit.state_v).clone()
        self._known_s = cast(float, state["known_s"])
        self._gain, self._gain_s = cast(float, state["gain"]), cast(float, state["gain_s"])
        self._waveforms = [
            _Waveform(w["start_s"], w["period_s"], self._tensor(w["volts"]).clone(), w["shown_v"].numpy().copy())
            for w in cast("list[_SavedWaveform]", state["waveforms"])
        ]
        self._driven = True

    # The circuit

    def _put(self, waveform: _Waveform) -> None:
        self._waveforms.append(waveform)
        while len(self._waveforms) > _KEPT or sum(len(w.volts) for w in self._waveforms[:-1]) > _KEPT_ROWS:
            with torch.inference_mode():
                list(self._follow(np.empty(0), self._waveforms[1].start_s))
            del self._waveforms[0]
        self._driven = True

    def _constant(self, volts: FloatArray, shown_v: FloatArray, start_s: float) -> _Waveform:
        return _Waveform(start_s, 1 / self.sample_rate_hz, self._tensor(volts[None]), shown_v[None].copy())

    def _tensor(self, values: FloatArray | Tensor) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.torch_device)

    def _walked_gain(self, time_s: float) -> float:
        if self.options.gain_walk_per_sqrt_s:
            passed_s = max(time_s - self._gain_s, 0.0)
            step = self.options.gain_walk_per_sqrt_s * math.sqrt(passed_s)
            self._gain += step * float(self.noise("gain").standard_normal())
            self._gain_s = time_s
        return self._gain

    def _follow(self, times_s: npt.NDArray[np.float64], end_s: float) -> Iterator[Tensor]:
        """Run the circuit to `end_s` and yield the outputs at times up to then, in pieces of shape `(n, n_out)`."""
        taken = 0
        while self._known_s < end_s or taken < len(times_s):
            waveform = self._waveforms[0]
            last = len(self._waveforms) == 1 or self._waveforms[1].start_s >= end_s
            stop_s = end_s if last else self._waveforms[1].start_s

            def ticks(moments_s: npt.NDArray[np.float64], waveform: _Waveform = waveform) -> npt.NDArray[np.int64]:
                return np.rint((moments_s - waveform.start_s) / waveform.period_s * TICKS).astype(np.int64)

            begin, end = (int(t) for t in ticks(np.array([max(self._known_s, waveform.start_s), stop_s])))
            # a sample that rounding has put onto the very beginning is taken one tick later
            samples = np.maximum(ticks(times_s[taken:]), begin + 1)
            samples = samples if last else samples[: np.searchsorted(samples, end, side="right")]
            taken += len(samples)
            for step, n_steps, cut in cut_steps(begin, max(end, int(samples[-1])) if len(samples) else end, samples):
                rows = (step, step + n_steps)
                yield self._circuit.run(waveform.volts, rows, cut, waveform.period_s).flatten(0, 1)
            self._known_s = max(self._known_s, stop_s)
            if not last:
                self._waveforms.pop(0)
