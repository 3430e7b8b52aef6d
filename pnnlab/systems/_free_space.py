"""Phase masks in free space, shown by a spatial light modulator and seen by a camera."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pnnlab.devices import Camera, SpatialLightModulator
from pnnlab.systems._folded_panel import FoldedPanel, FoldedPanelConfig, Pattern
from pnnlab.systems._phase_masks import PhaseMasks

__all__ = ["FreeSpaceConfig", "FreeSpaceSystem"]


class FreeSpaceConfig(FoldedPanelConfig):
    """A system of the kind `free-space` in the bench file."""

    kind: Literal["free-space"] = "free-space"


class FreeSpaceSystem(PhaseMasks):
    """Sources, masks and the reference wave are tiles of one panel; all planes are regions of one camera's frame.

    A pattern holds everything that acts, and a frame everything that is read, so each shot is one pattern and its
    frame, taken as in a `SlmCamera`.
    """

    Config = FreeSpaceConfig
    roles: ClassVar[Mapping[str, type]] = {"slm": SpatialLightModulator, "camera": Camera}
    config: FreeSpaceConfig
    _link: FoldedPanel

    def _make_link(self) -> FoldedPanel:
        return FoldedPanel(self, self.config)

    @property
    def mode(self) -> str:
        """Return how frames are taken; see `SlmCamera`."""
        return self._link.mode

    @property
    def n_cells(self) -> int:
        """See `SlmCamera.n_cells`: quarters of pixels."""
        return self._link.n_cells

    def spread(self, values: Pattern) -> Pattern:
        """See `SlmCamera.spread`."""
        return self._link.spread(values)
