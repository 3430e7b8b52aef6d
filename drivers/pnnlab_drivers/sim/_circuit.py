"""An oscillator network that goes on from where it is."""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from pnnlab.physics import OscillatorNetwork
from pnnlab_drivers.sim._steps import TICKS, Cut
from pnnlab_drivers.sim._sweeps import run_in_segments

__all__ = ["RunningCircuit"]

_FINEST: Final = 16
"""Into so many equal parts a step may be cut, rather than run piece by piece."""
_CALL: Final = 80.0
"""Time of a substep of a batch of one over what each further one adds, for few oscillators: 5 us over 0.06 us."""
_PRODUCT: Final = 2e-4
"""Part of those 0.06 us that each product of the substep's matrix adds; both figures are those of one core of a server,
with 4 to 96 oscillators."""
_AT_REST: Final = 1e-3
"""What moves less than the tolerance times this part of the saturation voltage is at rest."""


class RunningCircuit:
    """A network and its state, run over stretches of time of any length.

    Mutable: `run` moves `state_v` on.

    Args:
        network: The circuit.
        substep_s: Longest integration step in s.

    Attributes:
        network: The circuit.
        state_v: The network's state, shape `(1, state_size)`, in V.
    """

    def __init__(self, network: OscillatorNetwork, *, substep_s: float) -> None:
        self.network, self._substep_s = network, substep_s
        self.state_v = torch.zeros(1, network.state_size).to(network.frequency)
        self._tolerance = 1e-10 if self.state_v.dtype is torch.float64 else 1e-6
        slowest = float(network.damping.min()) / 2 * 2 * math.pi * network.reference_hz
        # the longest time in which a free oscillation falls to the tolerance
        self._memory_s = -math.log(self._tolerance) / slowest
        self._price = _CALL / (1 + _PRODUCT * network.state_size * (network.state_size + network.n_oscillators))
        self._sampled_every = lru_cache(maxsize=128)(self._network_for)

    def run(self, volts: Tensor, steps: tuple[int, int], cut: Cut, period_s: float) -> Tensor:
        """See `pnnlab_drivers.sim._course.Running.run`."""
        first, stop = steps
        memory_steps = self._memory_s / period_s
        # without samples nobody sees how the circuit comes to rest
        silent = 0 if cut.n_samples else max(stop - max(len(volts), first), 0)
        samples = volts.new_empty(0, cut.n_samples, self.network.n_out)
        if stop - silent > first:
            rows = torch.arange(first, stop - silent, device=volts.device).clamp(max=len(volts) - 1)
            samples, self.state_v = run_in_segments(
                lambda drive, state: self._advance(drive, state, cut, period_s),
                volts[rows], self.state_v, memory_steps=memory_steps, price=self._price,
                tolerance=self._tolerance,
            )  # fmt: skip
        # over a quarter of the memory what moves falls by a factor of thirty, so a small change means that all is over
        size = max(math.ceil(memory_steps / 4), 1)
        for left in range(silent, 0, -size):
            before = self.state_v
            _, self.state_v = self._advance(volts[-1].expand(1, min(size, left), -1), before, cut, period_s)
            floor = _AT_REST * self.network.saturation_v
            if float((self.state_v - before).abs().max()) <= self._tolerance * max(float(before.abs().max()), floor):
                break
        return samples

    def from_rest(self, volts: Tensor, cut: Cut, period_s: float) -> Tensor:
        """See `pnnlab_drivers.sim.board.BoardPhysics.from_rest`."""
        rest = volts.new_zeros(len(volts), self.network.state_size)
        return self._advance(volts, rest, cut, period_s)[0]

    def _advance(self, drive: Tensor, state: Tensor, cut: Cut, period_s: float) -> tuple[Tensor, Tensor]:
        """See `pnnlab_drivers.sim._sweeps.Advance`."""
        ends = np.cumsum(cut.lengths)
        common = math.gcd(*cut.lengths)
        n_parts = int(ends[-1]) // common
        if n_parts <= _FINEST:
            fine = drive if n_parts == 1 else drive.repeat_interleave(n_parts, 1)
            outputs, state = self._sampled_every(common, period_s)(fine, state)
            return outputs.unflatten(1, (-1, n_parts))[:, :, ends[: cut.n_samples] // common - 1], state
        pieces: list[Tensor] = []
        for row in drive.unbind(1):
            for length in cut.lengths:
                output, state = self._sampled_every(length, period_s)(row.unsqueeze(1), state)
                pieces.append(output)
        outputs = torch.cat(pieces, 1).unflatten(1, (-1, len(cut.lengths)))
        return outputs[:, :, : cut.n_samples], state

    def _network_for(self, ticks: int, period_s: float) -> OscillatorNetwork:
        """Return the network with samples of so many ticks of a period."""
        length_s, known = ticks * period_s / TICKS, self.network
        return OscillatorNetwork(
            known.frequency, known.damping, known.cubic, known.coupling, known.input_gain, known.output_gain,
            reference_hz=known.reference_hz, sample_rate_hz=1 / length_s, bandwidth_hz=known.bandwidth_hz,
            saturation_v=known.saturation_v, substeps=max(math.ceil(length_s / self._substep_s - 1e-6), 1),
        )  # fmt: skip
