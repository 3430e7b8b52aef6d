"""Digits on a network of 64-64-64-10 weights, of which no layer does what its weights say.

The layer's inputs x meet z = (C (W ∘ (1 + s ξ))) x · exp(s ξ_row) + s ξ'_row with C = I + s ξ / √n, that is a hidden
gain of each weight, crosstalk, a gain and an offset of each row, all of relative size s and drawn once for a device.
The first two layers give tanh(z + noise), the last one z + noise. The twin knows tanh(W x) and W x.

The set-up in which training methods are compared at mismatch 0 to 0.4: scikit-learn's digits divided by 16, three
quarters of them to learn from (stratified, seed 0), Adam at 2e-3, batches of 128, 40 epochs, cross-entropy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from pnnlab.devices import SimulatedClock
from pnnlab.methods import TrainingMethod
from pnnlab.nn import interface_of
from pnnlab.training import Progress, Recipe, Task, Trainer, deploy
from pnnlab.twins import Interface, StagedTwin
from scripts.setups import FunctionSystem, Lab, held_out, layer_from

__all__ = ["EPOCHS", "WIDTHS", "Bench", "MismatchedLayer", "NominalLayer", "accuracy", "digits"]

WIDTHS: Final = (64, 64, 64, 10)
EPOCHS: Final = 40
REACH: Final = 2.0
"""Largest weight; with 2 a small step of a raw control moves a small weight by as much."""


def digits() -> Task:
    """Return 1347 digits to learn from and 450 to be judged by, pixels from 0 to 1."""
    pixels, classes = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(pixels / 16, classes, test_size=0.25, stratify=classes, random_state=0)
    learn, judge = ((torch.tensor(a, dtype=torch.float32), torch.tensor(b)) for a, b in ((x, y), (x_test, y_test)))
    return held_out("digits", learn, judge, grid=(8, 8))


class MismatchedLayer(nn.Module):
    """One layer as it really is.

    Args:
        n_in: Inputs.
        n_out: Outputs.
        mismatch: s, the relative size of all that is hidden.
        generator: Draws the device.
        read_noise: Standard deviation of what is added to z in each shot.
        drift: Standard deviation, relative to 1/√n_in, of the step that a hidden offset of each weight makes in a shot
            (a random walk).
        tanh: Whether outputs are tanh(z).
    """

    gain: Tensor
    crosstalk: Tensor
    row_gain: Tensor
    row_offset: Tensor
    wander: Tensor

    def __init__(
        self, n_in: int, n_out: int, mismatch: float, generator: torch.Generator, *, read_noise: float = 0.0,
        drift: float = 0.0, tanh: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.read_noise, self.drift, self.tanh = read_noise, drift, tanh

        def xi(*shape: int) -> Tensor:
            return mismatch * torch.randn(*shape, generator=generator)

        self.register_buffer("gain", 1 + xi(n_out, n_in))
        self.register_buffer("crosstalk", torch.eye(n_out) + xi(n_out, n_out) / n_out**0.5)
        self.register_buffer("row_gain", xi(n_out).exp())
        self.register_buffer("row_offset", xi(n_out))
        self.register_buffer("wander", torch.zeros(n_out, n_in))

    def forward(self, x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
        """See `scripts.setups.Physics`; `theta` is W, shape `(n_out, n_in)`."""
        real = self.crosstalk @ (theta * self.gain + self.wander)
        z = nn.functional.linear(x, real) * self.row_gain + self.row_offset
        if noise is not None and self.read_noise:
            z = z + self.read_noise * torch.randn(z.shape, generator=noise)
        if noise is not None and self.drift:
            step = torch.randn(self.wander.shape, generator=noise) * (len(x) / theta.shape[1]) ** 0.5
            self.wander += self.drift * step
        return z.tanh() if self.tanh else z


class NominalLayer(StagedTwin):
    """The twin of a layer: tanh(W x), or W x; as it can be learned, W ∘ g + b with a gain and an offset of each weight.

    Its state is z.
    """

    def __init__(self, interface: Interface, *, tanh: bool = True) -> None:
        super().__init__(interface)
        shape = interface.drive_shapes[1]
        self.gain, self.offset = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))
        self.row_offset = nn.Parameter(torch.zeros(shape[0]))
        self.tanh = tanh

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`."""
        x, weights = drive
        return nn.functional.linear(x, weights * self.gain + self.offset, self.row_offset)

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        return state.tanh() if self.tanh else state

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`: the z that gives the activation that was measured."""
        # a float32 tanh is 1 from z = 9 on
        return reading.clamp(-1 + 1e-6, 1 - 1e-6).atanh() if self.tanh else reading


@dataclass
class Bench:
    """A device, its twin and a network that starts from its own weights.

    Attributes:
        mismatch: s.
        seed: Of device, weights, noise and order of samples.
        exact: Whether the twin is the device itself: backpropagation through the device.
        read_noise: See `MismatchedLayer`.
        drift: See there.
    """

    mismatch: float
    seed: int = 0
    exact: bool = False
    read_noise: float = 0.0
    drift: float = 0.0
    model: nn.Sequential = field(init=False)
    lab: Lab = field(init=False)

    def __post_init__(self) -> None:
        hidden = torch.Generator().manual_seed(1000 + self.seed)
        weights = torch.Generator().manual_seed(self.seed)
        clock, systems, layers = SimulatedClock(), [], []
        for k, (n_in, n_out) in enumerate(pairwise(WIDTHS)):
            tanh = n_out != WIDTHS[-1]
            physics = MismatchedLayer(
                n_in, n_out, self.mismatch, hidden, read_noise=self.read_noise, drift=self.drift, tanh=tanh
            )
            system = FunctionSystem(
                physics, (n_in, n_in * n_out, n_out), reach=REACH, setting=(n_out, n_in), shares_controls=True,
                seed=100 * self.seed + k, name=f"layer-{k}", clock=clock,
            )  # fmt: skip
            twin = NominalLayer(interface_of(system), tanh=tanh)
            twin.freeze()
            start = torch.randn(n_out, n_in, generator=weights) / n_in**0.5
            layers.append(layer_from(system, None if self.exact else twin, start))
            systems.append(system)
        self.lab, self.model = Lab(systems, clock), nn.Sequential(*layers)

    def trainer(
        self, method: TrainingMethod, task: Task, *, epochs: int = EPOCHS,
        observers: tuple[Callable[[Progress], None], ...] = (),
    ) -> Trainer:  # fmt: skip
        """Return what trains the network by a method, as the set-up has it."""
        recipe = Recipe.model_validate(
            {
                "network": {"layers": list(self.lab.systems)}, "method": method.name,
                "epochs": epochs, "batch": 128, "learning_rate": 2e-3, "schedule": "constant", "seed": self.seed,
            }
        )  # fmt: skip
        return Trainer(self.model, method, task, recipe, bench=self.lab, observers=observers)


def accuracy(bench: Bench, method: TrainingMethod, task: Task, *, epochs: int = EPOCHS) -> float:
    """Train by a method; return the test accuracy on the device."""
    bench.trainer(method, task, epochs=epochs).run()
    return deploy(bench.model, task.test, method=method).accuracy
