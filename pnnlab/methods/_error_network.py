"""Networks that learn what a twin gets wrong, and twins that they correct."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.twins import DigitalTwin, StagedTwin

__all__ = ["CorrectedTwin", "DenseErrors", "UNetErrors", "state_like"]


class DenseErrors(nn.Module):
    """A perceptron with one hidden layer on all elements of a state, which says nothing at first.

    Args:
        like: A state of one sample, shape `(1, ...)`; a complex one enters as its real and imaginary parts.
        width: Of the hidden layer.
    """

    def __init__(self, like: Tensor, width: int) -> None:
        super().__init__()
        n = like.numel() * (2 if like.is_complex() else 1)
        self.inner = nn.Linear(n, width, dtype=like.real.dtype)
        self.outer = nn.Linear(width, n, dtype=like.real.dtype)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, state: Tensor) -> Tensor:
        """Return the correction of a state, of its own shape."""
        real = torch.view_as_real(state) if state.is_complex() else state
        found: Tensor = self.outer(self.inner(real.flatten(1)).tanh()).view_as(real)
        return torch.view_as_complex(found) if state.is_complex() else found


class UNetErrors(nn.Module):
    """A U-Net on a state that is laid out in a square, complex where the state is, which says nothing at first.

    Three levels, each with three convolutions of 3 x 3 and rectifiers, with strides of 2 down and up between them and
    skip connections across: the error network of Zheng et al. 2023, Nat. Mach. Intell. 5, 1119 (methods, "SEPN").

    Args:
        like: A state of one sample, shape `(1, n)`, n a square of a multiple of 4.
        features: Feature maps of each level.
    """

    def __init__(self, like: Tensor, features: tuple[int, int, int]) -> None:
        super().__init__()
        self.side = math.isqrt(like.numel())
        if self.side**2 != like.numel() or self.side % 4:
            raise TwinError(
                f"dual_adaptive: a U-Net wants states laid out in squares of a multiple of 4, found {like.numel()} "
                "elements; choose `network: dense`"
            )
        dtype = like.dtype
        first, second, third = features

        def convolution(n_in: int, n_out: int, stride: int = 1) -> nn.Module:
            return nn.Conv2d(n_in, n_out, 3, stride, 1, dtype=dtype)

        def block(n_in: int, n_out: int) -> nn.Module:
            layers = [[convolution(a, b), _Rectifier()] for a, b in pairwise((n_in, n_out, n_out, n_out))]
            return nn.Sequential(*(module for pair in layers for module in pair))

        def up(n_in: int, n_out: int) -> nn.Module:
            return nn.Sequential(nn.ConvTranspose2d(n_in, n_out, 3, 2, 1, 1, dtype=dtype), _Rectifier())

        self.blocks = nn.ModuleList([block(1, first), block(first, second), block(second, third)])
        self.down = nn.ModuleList(
            [
                nn.Sequential(convolution(1, first, 2), _Rectifier()),
                nn.Sequential(convolution(first, second, 2), _Rectifier()),
            ]
        )
        self.up = nn.ModuleList([up(third, second), up(2 * second, first)])
        self.last = convolution(2 * first, 1)
        nn.init.zeros_(self.last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, state: Tensor) -> Tensor:
        """Return the correction of a state, of its own shape."""
        image = state.reshape(-1, 1, self.side, self.side)
        half = self.down[0](image)
        quarter = self.blocks[2](self.down[1](half))
        middle = torch.cat([self.blocks[1](half), self.up[0](quarter)], 1)
        found: Tensor = self.last(torch.cat([self.blocks[0](image), self.up[1](middle)], 1))
        return found.view_as(state)


class CorrectedTwin(StagedTwin):
    """A twin with an error network behind each of its stages: the state s becomes s + weight · network(s).

    Args:
        base: The twin.
        networks: One a stage.

    Attributes:
        weight: How much the networks count.
        readings: What would have been read of every state of the last forward pass, outputs last.
    """

    def __init__(self, base: DigitalTwin, networks: nn.ModuleList) -> None:
        super().__init__(base.interface)
        self.base, self.networks = base, networks
        self.weight = 1.0
        self.readings: tuple[Tensor, ...] = ()

    @property
    def n_stages(self) -> int:
        """See `DigitalTwin.n_stages`."""
        return self.base.n_stages

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        state: Tensor | None = None
        readings = []
        for stage in range(self.n_stages):
            state = self.advance(stage, state, *drive)
            readings.append(self.reading(stage, state))
        self.readings = tuple(readings)
        return readings[-1]

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`."""
        found = self.base.advance(stage, state, *drive)
        if not self.weight:
            return found
        correction: Tensor = self.networks[stage](found)
        return found + self.weight * correction

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        return self.base.reading(stage, state)

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`."""
        return self.base.anchored(stage, state, reading)


@torch.no_grad()
def state_like(twin: DigitalTwin) -> list[Tensor]:
    """Return the state behind each stage for one sample at zero drive: its shape and type."""
    dtype = next((p.real.dtype for p in twin.parameters()), torch.float32)
    drive = [
        torch.zeros(shape if k in twin.interface.shared else (1, *shape), dtype=dtype)
        for k, shape in enumerate(twin.interface.drive_shapes)
    ]
    states: list[Tensor] = []
    for stage in range(twin.n_stages):
        states.append(twin.advance(stage, states[-1] if states else None, *drive))
    return states


class _Rectifier(nn.Module):
    """max(0, ·) of real and imaginary parts."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        return torch.complex(x.real.relu(), x.imag.relu()) if x.is_complex() else x.relu()
