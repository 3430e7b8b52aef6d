"""Twins that are learned networks, alone or on top of physics."""

import itertools
import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.quantities import FrozenModel
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["MlpTwin", "MlpTwinConfig", "ResidualTwin"]


class MlpTwinConfig(FrozenModel):
    """A twin of the kind `mlp` in a recipe.

    Attributes:
        hidden: Width of each hidden layer.
        seed: Of the initial weights.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = Field(default=(256, 256), min_length=1)
    seed: int = 0


class MlpTwin(DigitalTwin):
    """A multilayer perceptron with a linear shortcut, on standardised features and outputs.

    Phases enter as their cosine and sine. `standardise` (which `fit` calls) takes the mean and spread of the shots.

    Args:
        config: Widths.
        interface: The system's shapes.
        dtype: Floating type.
    """

    feature_mean: Tensor
    feature_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, config: MlpTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        n_features = sum(math.prod(shape) for shape in interface.drive_shapes) * (2 if interface.periodic else 1)
        widths = (n_features, *config.hidden, interface.n_out)
        generator = torch.Generator().manual_seed(config.seed)
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [_linear(wide, narrow, generator, dtype), nn.GELU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.shortcut = _linear(n_features, interface.n_out, generator, dtype)
        for name, size, value in (
            ("feature_mean", n_features, 0.0), ("feature_std", n_features, 1.0),
            ("output_mean", interface.n_out, 0.0), ("output_std", interface.n_out, 1.0),
        ):  # fmt: skip
            self.register_buffer(name, torch.full((size,), value, dtype=dtype))

    def features(self, *drive: Tensor) -> Tensor:
        """Return what the perceptron sees of a drive, shape `(batch, n_features)`."""
        batch = max(len(d) for k, d in enumerate(drive) if k not in self.interface.shared)
        flat = [
            d.reshape(1, -1).expand(batch, -1) if k in self.interface.shared else d.flatten(1)
            for k, d in enumerate(drive)
        ]
        joined = torch.cat(flat, 1)
        if not self.interface.periodic:
            return joined
        angle = 2 * math.pi * joined
        return torch.cat([angle.cos(), angle.sin()], 1)

    @torch.no_grad()
    def standardise(self, drive: tuple[Tensor, ...], y: Tensor) -> None:
        """Take mean and spread of features and outputs from shots."""
        features = self.features(*drive)
        self.feature_mean.copy_(features.mean(0))
        self.feature_std.copy_(_spread(features))
        self.output_mean.copy_(y.mean(0))
        self.output_std.copy_(_spread(y))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        features = (self.features(*drive) - self.feature_mean) / self.feature_std
        y: Tensor = (self.layers(features) + self.shortcut(features)) * self.output_std + self.output_mean
        return y


class ResidualTwin(DigitalTwin):
    """Physics plus a learned residual: `y = physics(drive) + scale · mlp(drive)`, the perceptron silent at the start.

    Args:
        physics: A physics-based twin of the same system.
        residual: What learns the rest.
    """

    def __init__(self, physics: DigitalTwin, residual: MlpTwin) -> None:
        super().__init__(physics.interface)
        self.physics = physics
        self.residual = residual
        nn.init.zeros_(residual.shortcut.weight)
        nn.init.zeros_(residual.shortcut.bias)
        last = residual.layers[-1]
        if isinstance(last, nn.Linear):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @torch.no_grad()
    def standardise(self, drive: tuple[Tensor, ...], y: Tensor) -> None:
        """Take mean and spread of the features, and the spread of what the physics leaves, from shots."""
        self.residual.standardise(drive, y - self.physics(*drive))
        self.residual.output_mean.zero_()

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        y: Tensor = self.physics(*drive) + self.residual(*drive)
        return y


def _linear(n_in: int, n_out: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Linear:
    """Return a linear layer with torch's usual initial spread, from a generator of its own."""
    layer = nn.Linear(n_in, n_out, dtype=dtype)
    bound = 1 / math.sqrt(n_in)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def _spread(values: Tensor) -> Tensor:
    """Return the standard deviation of each column, 1 where it does not vary."""
    std = values.std(0)
    return torch.where(std > 1e-6 * std.max().clamp(min=1e-12), std, torch.ones_like(std))
