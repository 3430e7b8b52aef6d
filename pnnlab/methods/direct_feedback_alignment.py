"""Direct feedback alignment: the error at the network's outputs reaches each layer by a fixed random matrix."""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.methods._method import physical_layers
from pnnlab.methods._projection import ProjectorOptions, projecting_system, projections
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer

__all__ = ["DirectFeedbackAlignment", "DirectFeedbackAlignmentOptions"]


class DirectFeedbackAlignmentOptions(LayerErrorsOptions):
    """Options of direct feedback alignment.

    Attributes:
        projector: A system of the bench that makes the projections; a digital matrix if left out.
    """

    projector: ProjectorOptions | None = None


class DirectFeedbackAlignment(LayerErrors):
    """δ_l = B_l e at the outputs of each layer but the last, which has the true gradient; B_l is random and fixed.

    With e the gradient of the loss at the logits; the controls of layer l descend along (∂y_l/∂θ_l)ᵀ δ_l, the Jacobian
    being that of the layer's own twin at the measured input (for `y = f(x · W)`: the outer product of x and δ_l f').
    No error passes from layer to layer, so that nothing of the transport between layers has to be known (Nøkland 2016,
    arXiv 1609.01596, eq. 5; Launay et al. 2020, arXiv 2006.12878).
    """

    name: ClassVar[str] = "direct_feedback_alignment"
    summary: ClassVar[str] = "the error reaches each layer by a fixed random matrix (Nøkland, arXiv 1609.01596, 2016)"
    Options = DirectFeedbackAlignmentOptions
    options: DirectFeedbackAlignmentOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        sizes = [layer.system.n_out for layer in physical_layers(model)[:-1]]
        self._projections = projections(sizes, setting, setting.generator(11), self.options.projector)
        self.systems = projecting_system(setting, self.options.projector)

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """See `LayerErrors.n_measurements`."""
        return len(layers) + sum(projection.n_measurements for projection in self._projections)

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        teach_each(part.segments, [*(projection(part.error) for projection in self._projections), part.last])
