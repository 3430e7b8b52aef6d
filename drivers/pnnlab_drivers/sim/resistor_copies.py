"""A board with two copies of a network of adjustable conductances, which compares them itself."""

from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.quantities import Seconds
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.resistor_board import ResistorBoard, ResistorBoardOptions, shared

__all__ = ["ResistorCopies", "ResistorCopiesOptions"]


class ResistorCopiesOptions(ResistorBoardOptions):
    """The options of the plant `sim-resistor-copies`: those of `sim-resistor-network`, and these.

    Attributes:
        copy_mismatch: Relative standard deviation of the conductances of the second copy from those of the first.
        comparator_offset_v2: Standard deviation of what each element's comparator adds to the difference of squares,
            in V², times `mismatch`.
        update_per_s: By how much of its full range a control moves per second and V² of the difference.
        leak_s: Time constant with which the capacitor that holds a control discharges; 0 keeps its charge.
        learn_s_per_v: How long the copies learn per volt of the channel for that.
    """

    copy_mismatch: float = Field(default=0.0, ge=0)
    comparator_offset_v2: float = Field(default=0.0, ge=0)
    update_per_s: float = Field(default=1e3, gt=0)
    leak_s: Seconds = Field(default=0.0, ge=0)
    learn_s_per_v: float = Field(default=1e-3, gt=0)


class ResistorCopies(ResistorBoard):
    """Two networks under the same inputs and controls: one is free, the other is pushed towards what it should say.

    As contrastive local learning networks are built (Dillavou et al. 2022, Phys. Rev. Applied 18, 014040; 2024, PNAS
    121, e2319718121): amplifiers hold an output of the second copy at `V + η (T - V)`, V being what the free copy
    says and T what the clamp's channel does. Each control is the charge of a capacitor, which a circuit at each element
    changes by the difference of the squared voltage drops of free and clamped copy while the copies learn.

    Channels of the DAC are those of `ResistorBoard`, whose nudges and clamps act on the second copy; then one for η, 1
    per volt, one for how long the copies learn from when a sample is taken, and one that is a switch: at or below
    `switch` of the design the capacitors are charged by the channels of the controls, above it they keep what they
    have learned. Channels of the ADC: voltages of the first copy's nodes, of the second's, and of the controls after
    learning.
    """

    Options: ClassVar[type[PlantOptions]] = ResistorCopiesOptions
    options: ResistorCopiesOptions

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        if self.design.carrier or self.design.ammeter_ohm:
            raise DeviceError(
                f"{name}: two copies have neither a `carrier` nor ammeters; leave them out, or use the plant "
                "sim-resistor-network"
            )
        n_edges = len(self.design.edges)
        self._other_factor = self._factor * self._drawn("copy", n_edges, self.options.copy_mismatch)
        offset = self.options.comparator_offset_v2 * self.options.mismatch
        self._offset_v2 = offset * torch.randn(n_edges, generator=self.specimen("comparators"), dtype=torch.float64)

    @property
    def n_inputs(self) -> int:
        """Return the number of DAC channels."""
        return super().n_inputs + 3

    @property
    def n_outputs(self) -> int:
        """Return the number of ADC channels."""
        return 2 * self.design.nodes + len(self.design.edges)

    @property
    def n_kept(self) -> int:
        """See `StaticBoard.n_kept`: the charges of the capacitors."""
        return len(self.options.network.edges)

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        return self._answer(volts, torch.zeros(1, self.n_kept, dtype=torch.float64))

    def respond_after(self, volts: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """See `StaticBoard.respond_after`."""
        answers: list[Tensor] = []
        for part in volts.split(list(_at_once((volts[:, -1] > self.design.switch_v).tolist()))):
            answers.append(self._answer(part, kept))
            kept = answers[-1][-1:, -self.n_kept :]
        return torch.cat(answers), kept

    # Parts

    def _answer(self, volts: Tensor, kept: Tensor) -> Tensor:
        """Return readings of samples whose capacitors are charged now, or had one charge before; see `respond`."""
        held, control, nudge, target, switch, rest = self._channels(volts)
        eta, learn_s, keeps = rest.split(1, 1)
        control = torch.where(keeps > self.design.switch_v, kept.to(control), control)
        setting, off = shared(self.settings_of(control)), torch.zeros_like(nudge)
        free = self._state(self.network, held, self._made(setting, self._factor), off, off, off)
        said = free[:, -self.design.outputs :]
        other = self._state(
            self.network, held, self._made(setting, self._other_factor), nudge, said + eta * (target - said), switch
        )
        learned = self._learned(control, free, other, learn_s * self.options.learn_s_per_v)
        return torch.cat([free, other, learned], 1).to(volts)

    def _learned(self, control: Tensor, free: Tensor, other: Tensor, learn_s: Tensor) -> Tensor:
        """Return the voltages of the controls after learning, within what the circuit can reach."""
        full, leak_s = self.design.control_full_v, self.options.leak_s
        difference = self.network.drops(free) ** 2 - self.network.drops(other) ** 2 + self._offset_v2
        charge = control * torch.exp(-learn_s.clamp_min(0) / leak_s) if leak_s else control
        return (charge + full * self.options.update_per_s * learn_s.clamp_min(0) * difference).clamp(0, full)


def _at_once(keeps: list[bool]) -> Iterator[int]:
    """Yield how many samples at a time can be answered together: any that are charged anew, one that keeps."""
    for kept, group in groupby(keeps):
        n = len(list(group))
        yield from [1] * n if kept else [n]
