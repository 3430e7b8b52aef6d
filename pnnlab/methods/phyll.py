"""Physical local learning: positive and negative data through each physical block, compared with a fixed direction."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pnnlab.methods._contrastive import ContrastiveLearning, ContrastiveOptions
from pnnlab.methods._setting import Setting

__all__ = ["PhyLL", "PhyLLOptions"]


class PhyLLOptions(ContrastiveOptions):
    """Options of physical local learning.

    Attributes:
        tau: τ, by which the difference in goodness is multiplied in the loss.
        skip: Whether a digital map sees its block's inputs beside the readings; the skip carries much of the result.
        inner_steps: Steps of the digital maps for each batch that is measured; the authors make 10 to 20.
    """

    tau: float = Field(default=4.0, gt=0)
    skip: bool = True
    inner_steps: int = Field(default=10, gt=0)


class PhyLL(ContrastiveLearning):
    """z = (f_l(h / |h|), h), a = P_l z + b_l, G = cos(|a|, p_l) with a fixed random p_l; then h is a, detached.

    Loss `mean log(1 + exp(-τ (G_pos - G_neg)))`; P_l and b_l are all that is trained, the class is the label with the
    largest sum of G (Momeni, Rahmani, Malléjac, del Hougne, Fleury 2023, Science 382, 1297, arXiv 2304.11042). What f_l
    is told of h is its direction: `input_scale` says how large the system meets it.
    """

    name: ClassVar[str] = "phyll"
    summary: ClassVar[str] = "physical local learning: layers compare data with a fixed direction (Momeni et al., 2023)"
    Options = PhyLLOptions
    options: PhyLLOptions

    def further_modules(self, setting: Setting, generator: torch.Generator) -> Mapping[str, nn.Module]:
        """See `LocalLearning.further_modules`."""
        drawn = torch.randn(len(self.maps), self.width, generator=generator, dtype=setting.dtype)
        self._directions = functional.normalize(drawn)
        return super().further_modules(setting, generator)

    def activity(self, number: int, z: Tensor) -> Tensor:
        """See `LocalLearning.activity`."""
        a: Tensor = self.maps[number](z)
        return a

    def goodness(self, number: int, z: Tensor) -> Tensor:
        """See `ContrastiveLearning.goodness`."""
        return functional.cosine_similarity(self.activity(number, z).abs(), self._directions[number], dim=-1)

    def contrast(self, positive: Tensor, negative: Tensor) -> Tensor:
        """See `ContrastiveLearning.contrast`."""
        return functional.softplus(-self.options.tau * (positive - negative)).mean()
