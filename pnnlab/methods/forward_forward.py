"""Forward-forward: each layer learns to answer positive data with much activity, negative data with little."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pnnlab.methods._contrastive import ContrastiveLearning, ContrastiveOptions

__all__ = ["ForwardForward", "ForwardForwardOptions"]


class ForwardForwardOptions(ContrastiveOptions):
    """Options of forward-forward.

    Attributes:
        threshold: c, the goodness that tells positive from negative.
    """

    threshold: float = Field(default=2.0, gt=0)


class ForwardForward(ContrastiveLearning):
    """Goodness G = mean(h²), loss `softplus(c - G_pos) + softplus(G_neg - c)`, h = relu(W_l f_l(norm(h_{l-1}))).

    A layer's input is normalised, so that its length, by which the layer before was judged, tells nothing (Hinton
    2022, arXiv 2212.13345, sections 2 and 3; physics f_l between the maps: Oguz et al. 2023, arXiv 2305.19170). With
    `negatives: self` it is self-contrastive forward-forward (Chen et al. 2025, Nat. Commun. 16, 5978).
    """

    name: ClassVar[str] = "forward_forward"
    summary: ClassVar[str] = (
        "layers tell positive from negative data by their activity (Hinton, arXiv 2212.13345, 2022)"
    )
    Options = ForwardForwardOptions
    options: ForwardForwardOptions

    def activity(self, number: int, z: Tensor) -> Tensor:
        """See `LocalLearning.activity`."""
        return functional.relu(self.maps[number](z))

    def goodness(self, number: int, z: Tensor) -> Tensor:
        """See `ContrastiveLearning.goodness`."""
        return self.activity(number, z).square().mean(-1)

    def contrast(self, positive: Tensor, negative: Tensor) -> Tensor:
        """See `ContrastiveLearning.contrast`."""
        c = self.options.threshold
        return functional.softplus(c - positive).mean() + functional.softplus(negative - c).mean()
