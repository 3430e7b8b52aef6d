"""Direct random target projection: each layer is taught by a fixed random projection of the target."""

from typing import ClassVar

from torch import Tensor, nn

from pnnlab.methods._either import ControlsOrMasks, ControlsOrMasksOptions
from pnnlab.methods._layer_errors import Part, teach_each
from pnnlab.methods._masks import NONLINEARITIES, MaskedChain, Nonlinearity
from pnnlab.methods._method import LossFunction, physical_layers
from pnnlab.methods._projection import RandomProjection
from pnnlab.methods._setting import Setting

__all__ = ["DirectRandomTargetProjection", "DirectRandomTargetProjectionOptions"]


class DirectRandomTargetProjectionOptions(ControlsOrMasksOptions):
    """Options of direct random target projection; see `ControlsOrMasksOptions` for the others.

    Attributes:
        nonlinearity: g in the place of the derivative; masks only.
    """

    nonlinearity: Nonlinearity = "cosine"


class DirectRandomTargetProjection(ControlsOrMasks):
    """δ_l = -B_l t at the outputs of each layer but the last, t being the target, one for its class and else zero.

    No error is needed at all: in classification its signs are those of the target. So a layer can be taught as soon as
    it was measured (Frenkel, Lefebvre, Bol 2021, Front. Neurosci. 15, 629892, eq. 4). The last layer, or the read-out
    behind masks, has the true gradient.
    """

    name: ClassVar[str] = "direct_random_target_projection"
    summary: ClassVar[str] = "fixed random projections of the target teach each layer (Frenkel et al., 2021)"
    Options = DirectRandomTargetProjectionOptions
    options: DirectRandomTargetProjectionOptions

    stream: ClassVar[int] = 15

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        layers = physical_layers(model)
        self._n_classes, self._dtype = setting.n_classes, setting.dtype
        sizes = (
            [layer.system.n_out for layer in layers[:-1]] if self.chain is None else [self.chain.width] * len(layers)
        )
        generator = setting.generator(14)
        self._projections = [RandomProjection(setting.n_classes, n, generator, setting.dtype) for n in sizes]

    def teach_masks(self, chain: MaskedChain, x: Tensor, target: Tensor, loss: LossFunction) -> float:
        """See `ControlsOrMasks.teach_masks`."""
        passage = chain.measure(x, self.micro_batch)
        _, value = chain.read_out(passage.features, target, loss)
        g, generator = NONLINEARITIES[self.options.nonlinearity], chain.parts.generator
        taught = [delta * g(z, generator) for delta, z in zip(self._deltas(target, len(x)), passage.sums, strict=True)]
        chain.descend(passage.inputs, taught)
        return value

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        teach_each(part.segments, [*self._deltas(part.target, part.batch), part.last])

    def _deltas(self, target: Tensor, n: int) -> list[Tensor]:
        """Return -B t of each layer, as parts of a mean over n samples."""
        shown = nn.functional.one_hot(target, self._n_classes).to(self._dtype)
        return [-projection(shown) / n for projection in self._projections]
