"""Layer-wise training: each layer has a classifier of its own, or learns without labels from two views of a sample."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim
from torch.nn import functional

from pnnlab.methods._digital import linear_map
from pnnlab.methods._local import LocalLearning, LocalOptions
from pnnlab.methods._method import LossFunction
from pnnlab.methods._setting import Setting
from pnnlab.quantities import FrozenModel

__all__ = ["LayerWise", "LayerWiseOptions", "ViewOptions"]


class ViewOptions(FrozenModel):
    """How a second view of a sample is made.

    Attributes:
        shift: Largest shift in pixels each way, of samples that are square images.
        dropped: Part of the inputs that is set to 0.
        noise: Standard deviation of what is added, relative to the samples' root mean square.
    """

    shift: int = Field(default=1, ge=0)
    dropped: float = Field(default=0.1, ge=0, lt=1)
    noise: float = Field(default=0.1, ge=0)


class LayerWiseOptions(LocalOptions):
    """Options of layer-wise training.

    Attributes:
        local_loss: `classifier`: a linear classifier of each layer's activity, the class being what all say together;
            `barlow_twins`: two views of a sample should agree and its features differ, without labels; a linear
            read-out of all layers learns the classes beside it.
        redundancy: λ, the weight of differing features; `barlow_twins` only.
        projected: Outputs of each layer's projector; `barlow_twins` only.
        views: How views are made; `barlow_twins` only.
    """

    local_loss: Literal["classifier", "barlow_twins"] = "classifier"
    redundancy: float = Field(default=5e-3, gt=0)
    projected: int = Field(default=64, gt=1)
    views: ViewOptions = ViewOptions()


class LayerWise(LocalLearning):
    """h_l = relu(W_l f_l(norm(h_{l-1})) + b_l), each W_l with a loss of its own; nothing passes back between layers.

    Classifier: cross-entropy of a linear head of h_l (Belilovsky et al. 2019, arXiv 1812.11446; Nøkland, Eidnes 2019,
    arXiv 1901.06656). Barlow twins: `Σ (1 - C_ii)² + λ Σ_{i≠j} C_ij²`, C the correlation over the batch of a linear
    projection of both views' h_l (Zbontar et al. 2021, arXiv 2103.03230, eq. 1), two shots a sample and layer. Micro-
    batches are measured in flight; the loss is that of the whole batch.
    """

    name: ClassVar[str] = "layer_wise"
    summary: ClassVar[str] = "each layer has its own classifier, or Barlow-twins loss (Belilovsky 2019, Zbontar 2021)"
    Options = LayerWiseOptions
    options: LayerWiseOptions

    def sample_size(self, setting: Setting) -> int:
        """See `LocalLearning.sample_size`."""
        return setting.n_in

    def further_modules(self, setting: Setting, generator: torch.Generator) -> Mapping[str, nn.Module]:
        """See `LocalLearning.further_modules`."""
        n_layers, width, dtype = len(self.maps), self.width, setting.dtype
        self._unsupervised = self.options.local_loss == "barlow_twins"
        n_out = self.options.projected if self._unsupervised else setting.n_classes
        self._heads = [linear_map(width, n_out, generator, dtype) for _ in self.maps]
        modules: dict[str, nn.Module] = {"heads": nn.ModuleList(self._heads)}
        if self._unsupervised:
            self._readout = linear_map(n_layers * width, setting.n_classes, generator, dtype)
            modules["readout"] = self._readout
        return modules

    def activity(self, number: int, z: Tensor) -> Tensor:
        """See `LocalLearning.activity`."""
        return functional.relu(self.maps[number](z))

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if not self._unsupervised:
            seen = self.measure(x)
            return {"loss": self.learn(lambda: [loss(logits, target) for logits in self._votes(seen)])}
        seen = self.measure(torch.cat([self._view(x), self._view(x)]))

        def losses() -> Sequence[Tensor]:
            twins = [self._heads[k](self.activity(k, z)).chunk(2) for k, z in enumerate(seen)]
            told = loss(self._readout(self.features(seen)), target.repeat(2))
            return [*(barlow_twins(*pair, redundancy=self.options.redundancy) for pair in twins), told]

        return {"loss": self.learn(losses)}

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        seen = self.readings(x)
        with torch.no_grad():
            logits: Tensor = (
                self._readout(self.features(seen)) if self._unsupervised else torch.stack(self._votes(seen)).sum(0)
            )
        return logits

    def _votes(self, seen: Sequence[Tensor]) -> list[Tensor]:
        return [self._heads[number](self.activity(number, z)) for number, z in enumerate(seen)]

    def _view(self, x: Tensor) -> Tensor:
        """Return another view of samples, shape `(batch, n_in)`."""
        options, generator = self.options.views, self.parts.generator
        side = math.isqrt(x.shape[-1])
        if options.shift and side * side == x.shape[-1]:
            x = _shifted(x.unflatten(-1, (side, side)), options.shift, generator).flatten(1)
        kept = torch.rand(x.shape, generator=generator, dtype=x.dtype) >= options.dropped
        size = x.square().mean().sqrt()
        seen: Tensor = x * kept + options.noise * size * torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return seen


def barlow_twins(a: Tensor, b: Tensor, *, redundancy: float) -> Tensor:
    """Return `Σ (1 - C_ii)² + λ Σ_{i≠j} C_ij²`, C being the correlation of two views' features over the batch.

    Args:
        a: Features of one view, shape `(batch, n)`.
        b: Features of the other.
        redundancy: λ.
    """
    a, b = ((v - v.mean(0)) / (v.std(0, correction=0) + 1e-6) for v in (a, b))
    c = a.T @ b / len(a)
    on = c.diagonal()
    return (1 - on).square().sum() + redundancy * (c.square().sum() - on.square().sum())


def _shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shift images, shape `(batch, h, w)`, by up to `most` pixels each way; what comes in is 0."""
    n, (height, width) = len(images), images.shape[1:]
    padded = functional.pad(images, (most, most, most, most))
    down, right = (torch.randint(0, 2 * most + 1, (n, 1), generator=generator) for _ in range(2))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    moved: Tensor = padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved
