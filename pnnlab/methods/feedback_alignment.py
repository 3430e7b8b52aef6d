"""Feedback alignment: the error goes from layer to layer by fixed random matrices."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from pnnlab.methods._carried_feedback import CarriedFeedback
from pnnlab.methods._method import physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.nn import Segment

__all__ = ["FeedbackAlignment"]


class FeedbackAlignment(CarriedFeedback):
    """δ_l = (B_{l+1} (δ_{l+1} f')) at the outputs of layer l, with a random, fixed B in place of the layer's transpose.

    The last layer's error is the true gradient; fixed structure between layers passes errors back as it is. Within a
    layer the twin's Jacobian leads the error to the controls (Lillicrap et al. 2016, Nat. Commun. 7, 13276, eq. 2 ff.).
    """

    name: ClassVar[str] = "feedback_alignment"
    summary: ClassVar[str] = "errors go from layer to layer by fixed random matrices (Lillicrap et al., 2016)"

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        generator = setting.generator(12)
        self._matrices = [
            torch.randn(system.n_out, system.n_in, generator=generator, dtype=setting.dtype) / system.n_out**0.5
            for system in (layer.system for layer in physical_layers(model))
        ]

    def carrier(self, number: int, segment: Segment) -> Tensor:
        """See `CarriedFeedback.carrier`."""
        matrix: Tensor = self._matrices[number]
        return matrix
