"""Positive and negative data: what a layer should tell apart."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pnnlab.errors import RunError

__all__ = ["Contrast", "LabelPlace", "Negatives"]

Negatives = Literal["label", "mixed", "self"]
LabelPlace = Literal["overlay", "append"]

_BLURS = 6


@dataclass(frozen=True)
class Contrast:
    """Makes positive and negative samples.

    Attributes:
        negatives: `label`: the sample with a wrong label, the positive one with the right one. `mixed`: two samples cut
            into one along a smooth random edge, the positive one as it is (Hinton 2022, arXiv 2212.13345, section 3.2).
            `self`: the sum with another sample, the positive one with itself (Chen et al. 2025, Nat. Commun. 16, 5978:
            self-contrastive). Only the first needs labels.
        labels: `overlay`: the first `n_classes` inputs are set to 0, and that of the label to the sample's largest
            (Momeni et al. 2023); `append`: as many inputs are added.
        n_in: Inputs of a sample.
        n_classes: Classes.

    Raises:
        RunError: A label would overlay more inputs than there are.
    """

    negatives: Negatives
    labels: LabelPlace
    n_in: int
    n_classes: int

    def __post_init__(self) -> None:
        if self.negatives == "label" and self.labels == "overlay" and self.n_in < self.n_classes:
            raise RunError(
                f"labels of {self.n_classes} classes cannot overlay {self.n_in} inputs; use `labels: append`"
            )

    @property
    def n_out(self) -> int:
        """Return the length of the samples that are made."""
        return self.n_in + (self.n_classes if self.negatives == "label" and self.labels == "append" else 0)

    def pair(self, x: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return positive and negative samples, shape `(batch, n_out)` each.

        Args:
            x: Samples, shape `(batch, n_in)`.
            target: Their classes, shape `(batch,)`; never changed.
            generator: Of all that is drawn.
        """
        if self.negatives == "label":
            off = torch.randint(1, self.n_classes, target.shape, generator=generator)
            return self.labelled(x, target), self.labelled(x, (target + off) % self.n_classes)
        other = x[_derangement(len(x), generator)]
        if self.negatives == "self":
            return self.plain(x), x + other
        mask = _smooth_masks(len(x), self.n_in, generator).to(x.dtype)
        return self.plain(x), mask * x + (1 - mask) * other

    def plain(self, x: Tensor) -> Tensor:
        """Return positive samples without any label, shape `(batch, n_out)`."""
        return 2 * x if self.negatives == "self" else x

    def labelled(self, x: Tensor, label: Tensor) -> Tensor:
        """Return samples that show a label, shape `(batch, n_out)`."""
        shown = torch.nn.functional.one_hot(label, self.n_classes).to(x.dtype) * x.abs().amax(-1, keepdim=True)
        return torch.cat([shown, x[:, self.n_classes :] if self.labels == "overlay" else x], -1)

    def candidates(self, x: Tensor) -> Tensor:
        """Return each sample with each label, shape `(batch · n_classes, n_out)`, labels running fastest."""
        labels = torch.arange(self.n_classes).repeat(len(x))
        return self.labelled(x.repeat_interleave(self.n_classes, 0), labels)


def _derangement(n: int, generator: torch.Generator) -> Tensor:
    """Return another sample's number for each sample; a single one has only itself."""
    order = torch.randperm(n, generator=generator)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner


def _smooth_masks(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Return random masks of 0 and 1 with smooth edges, shape `(n, size)`: noise, blurred, cut at its median."""
    side = math.isqrt(size)
    grid = (side, side) if side * side == size else (1, size)
    noise = torch.rand(n, *grid, generator=generator)
    for _ in range(_BLURS):
        for axis in (-1, -2):
            if noise.shape[axis] > 1:
                noise = (noise.roll(1, axis) + 2 * noise + noise.roll(-1, axis)) / 4
    flat = noise.flatten(1)
    return (flat > flat.median(-1, keepdim=True).values).float()
