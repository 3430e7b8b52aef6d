"""Local learning by contrast: each layer's goodness should be high for positive data and low for negative data."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn, optim

from pnnlab.methods._contrast import Contrast, LabelPlace, Negatives
from pnnlab.methods._digital import linear_map
from pnnlab.methods._local import LocalLearning, LocalOptions
from pnnlab.methods._method import LossFunction, MethodOptions
from pnnlab.methods._setting import Setting

__all__ = ["ContrastiveLearning", "ContrastiveOptions"]


class ContrastiveOptions(LocalOptions):
    """Options of local learning by contrast.

    Attributes:
        negatives: `label`: a wrong label, shown with the sample. Without labels, `mixed`: two samples cut into one;
            `self`: the sum with another sample, where the positive one is the sum with itself. A linear read-out of all
            layers' activities then learns the classes, and the maps never see them.
        labels: A label may `overlay` the first inputs, or be `append`ed to them.
    """

    negatives: Negatives = "label"
    labels: LabelPlace = "overlay"


class ContrastiveLearning(LocalLearning):
    """Positive and negative samples are measured, two shots a sample and layer, and each layer contrasts them.

    With labels, the class is the label that has the highest goodness, summed over layers: as many shots as classes.
    """

    Options: ClassVar[type[MethodOptions]] = ContrastiveOptions
    options: ContrastiveOptions

    def sample_size(self, setting: Setting) -> int:
        """See `LocalLearning.sample_size`."""
        return self._contrast.n_out

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        options = self.options
        self._contrast = Contrast(options.negatives, options.labels, setting.n_in, setting.n_classes)
        super().prepare(model, setting)

    def further_modules(self, setting: Setting, generator: torch.Generator) -> Mapping[str, nn.Module]:
        """See `LocalLearning.further_modules`: a read-out where labels are not shown."""
        self._readout: nn.Linear | None = None
        if self.options.negatives != "label":
            n = self.width * len(self.maps)
            self._readout = linear_map(n, setting.n_classes, generator, setting.dtype)
            return {"readout": self._readout}
        return {}

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        positive, negative = self._contrast.pair(x, target, self.parts.generator)
        seen = self.measure(torch.cat([positive, negative]))
        right = [0.0]

        def losses() -> Sequence[Tensor]:
            found, margins = [], []
            for number, z in enumerate(seen):
                high, low = self.goodness(number, z).chunk(2)
                found.append(self.contrast(high, low))
                margins.append((high > low).to(z.dtype).mean())
            right[0] = float(torch.stack(margins).mean())
            if self._readout is not None:
                found.append(loss(self._readout(self.features([z[: len(x)] for z in seen])), target))
            return found

        return {"loss": self.learn(losses), "told_apart": right[0]}

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        if self._readout is not None:
            logits: Tensor = self._readout(self.features(self.readings(self._contrast.plain(x))))
            return logits
        seen = self.readings(self._contrast.candidates(x))
        with torch.no_grad():
            goodness = [self.goodness(number, z) for number, z in enumerate(seen)]
        return torch.stack(goodness).sum(0).view(len(x), -1)

    @abstractmethod
    def goodness(self, number: int, z: Tensor) -> Tensor:
        """Return each sample's goodness in a layer, shape `(batch,)`.

        Args:
            number: Of the layer, from 0.
            z: What its map sees, shape `(batch, n)`.
        """

    @abstractmethod
    def contrast(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of a layer by the goodness of positive and negative samples, shape `(batch,)` each."""
