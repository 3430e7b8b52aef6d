"""Several twins of one system, whose disagreement tells how sure they are."""

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.twins._twin import DigitalTwin

__all__ = ["EnsembleTwin"]


class EnsembleTwin(DigitalTwin):
    """The mean of several twins that were fitted apart from each other (deep ensembles).

    Lakshminarayanan, Pritzel, Blundell, NeurIPS 2017: networks that start and are shuffled differently agree where
    there were data and disagree where there were none. `fit` fits each on its own resampling of the shots.

    Args:
        members: Twins of the same system, at least two.

    Raises:
        TwinError: They belong to different systems, or there are too few.
    """

    def __init__(self, members: list[DigitalTwin]) -> None:
        if len(members) < 2:
            raise TwinError(f"EnsembleTwin: {len(members)} member has nobody to disagree with; take at least two")
        super().__init__(members[0].interface)
        self.members = nn.ModuleList(members)

    def each(self, *drive: Tensor) -> Tensor:
        """Return every member's outputs, shape `(members, batch, n_out)`."""
        return torch.stack([member(*drive) for member in self.members])

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`: the mean of the members."""
        return self.each(*drive).mean(0)

    def spread(self, *drive: Tensor) -> Tensor:
        """Return the members' standard deviation about their mean, shape `(batch, n_out)`: how unsure they are."""
        return self.each(*drive).std(0)
