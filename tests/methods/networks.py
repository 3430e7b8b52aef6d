"""Small networks on systems that are one known function, so that gradients can be written down by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.methods import Setting, TrainingMethod, physical_layers
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import System
from scripts.setups import FunctionSystem


class Weights(FunctionSystem):
    """y = f(W x), each control a weight from -1 to 1."""

    def __init__(self, n_in: int, n_out: int, name: str, *, tanh: bool, reach: float) -> None:
        def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
            return (x @ theta.T).tanh() if tanh else x @ theta.T

        super().__init__(
            physics, (n_in, n_in * n_out, n_out), reach=1.0, setting=(n_out, n_in), shares_controls=True,
            precision="float64", name=name,
        )  # fmt: skip
        self.input_range = (-reach, reach)  # type: ignore[misc]


@dataclass
class Case:
    """A network of weights with tanh at all layers but the last, and a batch."""

    sizes: Sequence[int] = (5, 6, 4, 3)
    twins: bool = True
    batch: int = 7
    reach: float = 1.0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.systems: list[System] = []
        layers = []
        for k, (n_in, n_out) in enumerate(zip(self.sizes[:-1], self.sizes[1:], strict=True)):
            system = Weights(n_in, n_out, f"layer{k}", tanh=k < len(self.sizes) - 2, reach=self.reach)
            controls = 0.2 + 0.6 * torch.rand(n_in * n_out, generator=generator, dtype=torch.float64)
            self.systems.append(system)
            layers.append(PhysicalLayer(system, system.twin() if self.twins else None, controls=controls))
        self.model = nn.Sequential(*layers)
        self.x = 0.9 * torch.rand(self.batch, self.sizes[0], generator=generator, dtype=torch.float64)
        self.target = torch.randint(0, self.sizes[-1], (self.batch,), generator=generator)
        self.setting = Setting(
            self.sizes[0], self.sizes[-1], 10, 1e-3, dtype=torch.float64, systems={s.name: s for s in self.systems}
        )

    def step(self, method: TrainingMethod, *, micro_batch: int | None = None) -> dict[str, float]:
        """Prepare, and make one step that changes nothing; gradients stay."""
        method.prepare(self.model, self.setting)
        method.micro_batch = micro_batch
        optimiser = torch.optim.SGD(self.model.parameters(), lr=0.0)
        return method.step(self.model, self.x, self.target, nn.functional.cross_entropy, optimiser)

    @property
    def gradients(self) -> list[Tensor]:
        """Return those of the weights, shape `(n_in, n_out)`."""
        found = []
        for layer in physical_layers(self.model):
            assert layer.raw_controls.grad is not None
            controls = layer.controls.detach()
            slope = 2 * controls * (1 - controls)
            found.append((layer.raw_controls.grad / slope).reshape(layer.system.n_out, layer.system.n_in).T)
        return found

    def forward(self, x: Tensor | None = None) -> list[Tensor]:
        """Return inputs and the outputs of every layer."""
        with torch.no_grad():
            found = [self.x if x is None else x]
            for layer in physical_layers(self.model):
                found.append(layer(found[-1]))
        return found

    def forward_through(self) -> list[Tensor]:
        """Return inputs and the outputs of every module."""
        with torch.no_grad():
            found = [self.x]
            for module in self.model:
                found.append(module(found[-1]))
        return found

    @property
    def matrices(self) -> list[Tensor]:
        """Return each layer's weights, shape `(n_in, n_out)`."""
        found = []
        for layer in physical_layers(self.model):
            matrix = layer.system.weights(layer.controls.detach())
            assert matrix is not None
            found.append(matrix)
        return found

    @property
    def error(self) -> Tensor:
        """Return softmax less target, each sample's, over the batch."""
        logits = self.forward()[-1]
        return (logits.softmax(-1) - nn.functional.one_hot(self.target, self.sizes[-1])) / self.batch
