"""What stands between physical layers: fixed, without anything to train, so that the physics does the work."""

import torch
from torch import Tensor, nn

__all__ = ["ClassBins", "Embed", "Reencode", "Spread"]


class Spread(nn.Module):
    """Repeat the values of a small grid in blocks of a larger one, as an image is enlarged.

    Args:
        grid: Rows and columns of the values that come in.
        onto: Rows and columns that go out; multiples of `grid`.
    """

    def __init__(self, grid: tuple[int, int], onto: tuple[int, int]) -> None:
        super().__init__()
        if onto[0] % grid[0] or onto[1] % grid[1]:
            raise ValueError(f"Spread: {grid} values cannot be repeated in whole blocks of {onto}; choose multiples")
        self.grid, self.block = grid, (onto[0] // grid[0], onto[1] // grid[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return shape `(batch, onto[0] * onto[1])` for shape `(batch, grid[0] * grid[1])`."""
        image = x.unflatten(-1, self.grid)
        spread: Tensor = image.repeat_interleave(self.block[0], -2).repeat_interleave(self.block[1], -1).flatten(-2)
        return spread


class Embed(nn.Module):
    """A trained digital layer that brings a task's inputs onto few physical ones: `W x + b`, bent into the legal range.

    Args:
        n_in: Inputs of the task.
        n_out: Inputs of the system.
        span: Lowest and highest legal input.
    """

    def __init__(self, n_in: int, n_out: int, span: tuple[float, float]) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.middle, self.reach = (span[0] + span[1]) / 2, (span[1] - span[0]) / 2

    def forward(self, x: Tensor) -> Tensor:
        """Return shape `(batch, n_out)` for shape `(batch, n_in)`."""
        bent: Tensor = self.middle + self.reach * torch.tanh(self.linear(x))
        return bent


class Reencode(nn.Module):
    """Turn readings into the next layer's inputs: `s y / (|y| + mean |y|)`, the mean over the sample's outputs.

    Readings of any brightness become numbers between -1 and 1, so that the next layer's inputs keep within what its
    twin was fitted for. Inputs beyond the number of readings are 0; readings beyond the number of inputs are not used.

    Args:
        n_out: Inputs of the next layer.
        scale: s.
    """

    def __init__(self, n_out: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.n_out, self.scale = n_out, scale

    def forward(self, y: Tensor) -> Tensor:
        """Return shape `(batch, n_out)` for shape `(batch, n)`."""
        size = y.abs()
        z = self.scale * y / (size + _level(size))
        return nn.functional.pad(z, (0, self.n_out - y.shape[-1]))


class ClassBins(nn.Module):
    """Read classes out of outputs: the mean of one run of neighbouring outputs a class, relative to the mean of all.

    Fixed: nothing is trained here. The outputs are cut into as many runs of equal length as there are classes, in
    raster order (on a camera: strips); what is left over is not used.

    Args:
        n_in: Number of outputs that come in.
        n_classes: Number of classes.
        gain: Logits per relative brightness.
    """

    def __init__(self, n_in: int, n_classes: int, *, gain: float = 8.0) -> None:
        super().__init__()
        if n_in < n_classes:
            raise ValueError(f"ClassBins: {n_in} outputs cannot tell {n_classes} classes apart; give it more outputs")
        self.n_classes, self.gain = n_classes, gain
        self.length = n_in // n_classes

    def forward(self, y: Tensor) -> Tensor:
        """Return logits, shape `(batch, n_classes)`, for outputs, shape `(batch, n_in)`."""
        bins = y[..., : self.n_classes * self.length].unflatten(-1, (self.n_classes, self.length)).mean(-1)
        logits: Tensor = self.gain * bins / _level(y.abs())
        return logits


def _level(size: Tensor) -> Tensor:
    """Return the mean of each sample; 1 for a dark one, which stays dark and has a finite gradient."""
    mean = size.mean(-1, keepdim=True)
    return torch.where(mean > 0, mean, 1.0)
