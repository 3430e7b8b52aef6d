"""What stands between a simulated DAC and a simulated ADC."""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from pnnlab.devices import Clock, Device
from pnnlab.errors import DeviceError
from pnnlab_drivers.sim._course import Course, Running
from pnnlab_drivers.sim._plant import PlantOptions, SimPlant, plant_of
from pnnlab_drivers.sim._steps import TICKS, Cut
from pnnlab_drivers.sim._triggered_run import TriggerInput
from pnnlab_drivers.sim._waveforms import UNNUMBERED, FloatArray, Waveform

__all__ = ["Board", "BoardPhysics", "SampledRecord", "board_of"]

_RECORDS: Final = 100_000
"""Records whose truth is kept; older ones are forgotten."""

Transfer = Callable[[Tensor], Tensor]


class BoardPhysics(Running, Protocol):
    """A system that goes on from where it is, and can also be asked for single shots."""

    def from_rest(self, volts: Tensor, cut: Cut, period_s: float) -> Tensor:
        """Return the outputs of single shots that begin at rest, differentiably; `state_v` stays.

        Args:
            volts: Shape `(batch, n, n_in)`, in V.
            cut: How each step is cut.
            period_s: Length of a step in s.

        Returns:
            Volts, shape `(batch, n, n_samples, n_out)`.
        """
        ...


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


class Board(SimPlant, ABC):
    """Physics between `sim-dac` and `sim-adc`.

    It runs when the ADC reads, over exactly the time that has passed on the bench: what one waveform leaves behind is
    there when the next one begins, and decays while the bench is idle. A sample is what the output is at its moment, so
    a record that begins too early or too late shows another part of the waveform.
    """

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self._physics = self._make_physics()
        self._inputs: dict[TriggerInput, float] = {}
        self._transfer: Transfer | None = None
        self._driven = False
        self._begin_s = clock.now_s()
        rest = self._constant(np.zeros(self.n_inputs), np.zeros(self.n_inputs), self._begin_s, UNNUMBERED)
        self.course = Course(name, self._physics, rest, clock)
        self.records: deque[SampledRecord] = deque(maxlen=_RECORDS)
        """What the records that were read have truly sampled, in the order in which they came."""

    @abstractmethod
    def _make_physics(self) -> BoardPhysics:
        """Return the specimen, at rest; called once."""

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Return the number of inputs: channels of the DAC."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Return the number of outputs: channels of the ADC."""

    @property
    @abstractmethod
    def sample_rate_hz(self) -> float:
        """Return the rate that the design is meant for."""

    def disturbed(self, volts: Tensor, time_s: float) -> Tensor:
        """Return readings as the board gives them at a moment: with its present drift, and noise of its own.

        Args:
            volts: Outputs without either, shape `(n, n_outputs)`, in V.
            time_s: When the reading began.
        """
        return self.drifted(volts)

    def drifted(self, volts: Tensor) -> Tensor:
        """Return outputs, shape `(..., n_outputs)`, with the board's present drift, differentiably."""
        return volts

    # For the DAC

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
        return self.drifted(self._physics.from_rest(drive, cut, period_s).squeeze(2))

    # What a later reading depends on

    def state(self) -> dict[str, object]:
        """See `pnnlab.devices.Plant.state`."""
        return super().state() | self.course.state()

    def restore(self, state: dict[str, object]) -> None:
        """See `pnnlab.devices.Plant.restore`."""
        super().restore(state)
        self.course.restore(state)
        self._driven = True

    # Arrays

    def _constant(self, volts: FloatArray, shown_v: FloatArray, start_s: float, token: int) -> Waveform:
        period_s = 1 / self.sample_rate_hz
        return Waveform(start_s, period_s, self._tensor(volts[None]), shown_v[None].copy(), token)

    def _tensor(self, values: FloatArray) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.torch_device)


def board_of(device: Device) -> Board:
    """Return the board of a simulated converter.

    Raises:
        DeviceError: The bench file joins it to a plant of another kind.
    """
    return plant_of(device, Board)  # type: ignore[type-abstract] # any board will do
