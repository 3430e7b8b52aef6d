"""A chip of spiking neurons with fixed-pattern noise, for digits; spikes and voltages are recorded.

64 inputs are constant currents through 64 x 64 synapses into leaky integrate-and-fire neurons; their spikes go through
64 x 10 synapses into leaky integrators, whose mean voltage over 20 steps is read. On the chip thresholds and membrane
time constants are off by exp(s ξ), drawn once. The twin knows the equations without that (in-the-loop training of
analogue spiking chips: Cramer et al. 2022, PNAS 119, e2109194119).
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import TrainingMethod
from pnnlab.nn import interface_of
from pnnlab.physics import LeakyIntegrateFire
from pnnlab.training import Recipe, Task, Trainer, deploy
from pnnlab.twins import DigitalTwin, Interface
from scripts.setups._function import FunctionSystem
from scripts.setups._lab import Lab, layer_from

__all__ = ["SpikingTwin", "accuracy", "network"]

N_IN, HIDDEN, CLASSES, STEPS = 64, 64, 10, 20
REACH: Final = 2.0
DECAY: Final = 0.9


class Neurons(nn.Module):
    """Hidden neurons and read-out integrators, each with its own threshold and time constant.

    Args:
        mismatch: s, of thresholds and time constants.
        generator: Draws the chip.
    """

    decay: Tensor

    def __init__(self, mismatch: float = 0.0, generator: torch.Generator | None = None) -> None:
        super().__init__()

        def spread(n: int) -> Tensor:
            return (mismatch * torch.randn(n, generator=generator)).exp()

        self.hidden = LeakyIntegrateFire(HIDDEN, decay=DECAY ** (1 / spread(HIDDEN)), threshold=spread(HIDDEN))
        self.register_buffer("decay", DECAY ** (1 / spread(CLASSES)))

    def currents(self, x: Tensor, setting: Tensor) -> Tensor:
        """Return what hidden neurons receive, shape `(batch, steps, hidden)`."""
        weights = setting[: HIDDEN * N_IN].reshape(HIDDEN, N_IN)
        return nn.functional.linear(x, weights)[:, None].expand(-1, STEPS, -1)

    def read(self, spikes: Tensor, setting: Tensor) -> Tensor:
        """Return mean voltages of the read-out, shape `(batch, classes)`."""
        weights = setting[HIDDEN * N_IN :].reshape(CLASSES, HIDDEN)
        received, v, total = nn.functional.linear(spikes, weights), torch.zeros(()), torch.zeros(())
        for current in received.unbind(1):
            v = self.decay * v + current
            total = total + v
        return total / STEPS

    def forward(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> tuple[Tensor, ...]:
        """See `scripts.setups.Physics`; spikes and voltages of hidden neurons are recorded."""
        spikes, membrane = self.hidden(self.currents(x, theta))
        return torch.stack([spikes, membrane], -1), self.read(spikes, theta)


class SpikingTwin(DigitalTwin):
    """The chip without fixed-pattern noise; recorded spikes and voltages can be replayed through it."""

    def __init__(self, interface: Interface) -> None:
        super().__init__(interface)
        self.neurons = Neurons()

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        y: Tensor = self.neurons(*drive, None)[-1]
        return y

    def replay(self, drive: Sequence[Tensor], readings: Sequence[Tensor]) -> Tensor:
        """See `DigitalTwin.replay`."""
        (x, setting), (record, y) = drive, readings
        spikes, _ = self.neurons.hidden.replay(self.neurons.currents(x, setting), *record.unbind(-1))
        own = self.neurons.read(spikes, setting)
        return y + (own - own.detach())


def network(mismatch: float, seed: int, *, exact: bool = False) -> tuple[nn.Sequential, Lab]:
    """Return a network on one chip, and its bench; `exact` knows the chip's own thresholds and time constants."""
    clock, weights = SimulatedClock(), torch.Generator().manual_seed(seed)
    physics = Neurons(mismatch, torch.Generator().manual_seed(1000 + seed))
    n_controls = HIDDEN * (N_IN + CLASSES)
    system = FunctionSystem(
        physics, (N_IN, n_controls, CLASSES), reach=REACH, shares_controls=True, state_shapes=((STEPS, HIDDEN, 2),),
        seed=seed, name="chip", clock=clock,
    )  # fmt: skip
    twin = SpikingTwin(interface_of(system))
    if exact:
        twin.neurons = physics
    sizes = (HIDDEN * N_IN, N_IN), (CLASSES * HIDDEN, HIDDEN)
    start = torch.cat([torch.randn(n, generator=weights) / math.sqrt(fan) for n, fan in sizes])
    return nn.Sequential(layer_from(system, twin, start)), Lab([system], clock)


def accuracy(
    mismatch: float, method: TrainingMethod, task: Task, *, seed: int = 0, exact: bool = False, epochs: int = 30
) -> float:
    """Train by a method; return the test accuracy on the chip."""
    model, lab = network(mismatch, seed, exact=exact)
    recipe = Recipe.model_validate(
        {
            "network": {"layers": ["chip"]}, "method": method.name, "epochs": epochs, "batch": 128,
            "learning_rate": 5e-3, "schedule": "cosine", "seed": seed,
        }
    )  # fmt: skip
    Trainer(model, method, task, recipe, bench=lab).run()
    return deploy(model, task.test, method=method).accuracy
