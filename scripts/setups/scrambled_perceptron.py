"""A perceptron of one hidden layer with an unknown scrambler inside, for methods that only measure.

`y = W2 S (tanh(W1 x + b1) + noise) + b2 + noise` with S = I + 0.1 ξ fixed and hidden, 1 % noise in both places. All
weights and biases are controls: 327 for the vowels (12-16-7), 2410 for the digits (64-32-10). The batch is all training
data; what counts is how often its loss was measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.methods import Setting, TrainingMethod
from pnnlab.nn import PhysicalLayer
from scripts.setups._function import FunctionSystem

__all__ = ["WEIGHT", "ScrambledPerceptron", "learning_curve"]

WEIGHT: Final = 1 / 8
"""A weight of 1 in control units: weights go from -4 to 4."""
_NOISE: Final = 0.01

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ScrambledPerceptron:
    """The physics.

    Attributes:
        n_in: Inputs.
        n_hidden: Hidden nodes.
        n_out: Outputs.
        seed: Of the scrambler and of the first weights.
    """

    n_in: int
    n_hidden: int
    n_out: int
    seed: int

    @property
    def n_controls(self) -> int:
        """Return the number of weights and biases."""
        return (self.n_in + 1) * self.n_hidden + (self.n_hidden + 1) * self.n_out

    def model(self) -> nn.Sequential:
        """Return the network with fresh weights, normal of variance one over the inputs of a node."""
        generator = torch.Generator().manual_seed(self.seed)
        first = torch.randn(self.n_in + 1, self.n_hidden, generator=generator) / self.n_in**0.5
        second = torch.randn(self.n_hidden + 1, self.n_out, generator=generator) / self.n_hidden**0.5
        first[-1] = second[-1] = 0.0
        scrambler = torch.eye(self.n_hidden) + 0.1 * torch.randn(self.n_hidden, self.n_hidden, generator=generator)

        def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
            weights = (theta - 0.5) / WEIGHT
            w1, b1, w2, b2 = weights.split(
                [self.n_in * self.n_hidden, self.n_hidden, self.n_hidden * self.n_out, self.n_out]
            )
            hidden = (x @ w1.reshape(self.n_in, -1) + b1).tanh()
            if noise is not None:
                hidden = hidden + _NOISE * torch.randn(hidden.shape, generator=noise)
            y: Tensor = hidden @ scrambler @ w2.reshape(self.n_hidden, -1) + b2
            return y if noise is None else y + _NOISE * torch.randn(y.shape, generator=noise)

        sizes = (self.n_in, self.n_controls, self.n_out)
        system = FunctionSystem(physics, sizes, shares_controls=True, seed=self.seed, name="perceptron")
        start = torch.cat([first.flatten(), second.flatten()]) * WEIGHT + 0.5
        return nn.Sequential(PhysicalLayer(system, system.twin(), controls=start.clamp(0.01, 0.99)))


def learning_curve(
    method: TrainingMethod, perceptron: ScrambledPerceptron, train: Data, test: Data, marks: Iterable[int],
    *, cost: int, learning_rate: float,
) -> dict[int, float]:  # fmt: skip
    """Return the test accuracy in percent after so many measurements of the loss of all training data.

    Args:
        method: The method.
        perceptron: The physics.
        train: Inputs, shape `(n, n_in)`, and classes.
        test: The same, to be judged by.
        marks: Numbers of measurements.
        cost: Measurements in a step.
        learning_rate: Of the recipe's Adam, in weights; falls to zero along a cosine.
    """
    model, marks = perceptron.model(), sorted(marks)
    loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy
    # a logit of a bounded control is a quarter of its range
    rate = learning_rate * WEIGHT * 4
    setting = Setting(perceptron.n_in, perceptron.n_out, marks[-1] // cost, rate, seed=perceptron.seed)
    method.prepare(model, setting)
    descent = setting.descent(model.parameters())
    found: dict[int, float] = {}
    spent = 0
    for mark in marks:
        while spent + cost <= mark:
            method.step(model, *train, loss, descent.optimiser)
            descent.advance()
            spent += cost
        with torch.no_grad():
            found[mark] = 100 * float((method.predict(model, test[0]).argmax(1) == test[1]).double().mean())
    return found
