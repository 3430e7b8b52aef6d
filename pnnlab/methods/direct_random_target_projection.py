"""Direct random target projection: each layer is taught by a fixed random projection of the target."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn, optim

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.methods._masks import NONLINEARITIES, MaskedChain, MaskOptions, Nonlinearity
from pnnlab.methods._method import LossFunction, MethodOptions, physical_layers
from pnnlab.methods._projection import RandomProjection
from pnnlab.methods._setting import Setting

__all__ = ["DirectRandomTargetProjection", "DirectRandomTargetProjectionOptions"]


class DirectRandomTargetProjectionOptions(LayerErrorsOptions):
    """Options of direct random target projection.

    Attributes:
        trained: `controls`: those of the layers, through the Jacobian of each layer's own twin; `masks`: digital linear
            maps in front of the physical layers and a read-out behind them, without any twin.
        nonlinearity: g in the place of the derivative; masks only.
        masks: Of the masks.
    """

    trained: Literal["controls", "masks"] = "controls"
    nonlinearity: Nonlinearity = "cosine"
    masks: MaskOptions = MaskOptions()


class DirectRandomTargetProjection(LayerErrors):
    """δ_l = -B_l t at the outputs of each layer but the last, t being the target, one for its class and else zero.

    No error is needed at all: in classification its signs are those of the target. So a layer can be taught as soon as
    it was measured (Frenkel, Lefebvre, Bol 2021, Front. Neurosci. 15, 629892, eq. 4). The last layer, or the read-out
    behind masks, has the true gradient.
    """

    name: ClassVar[str] = "direct_random_target_projection"
    summary: ClassVar[str] = "fixed random projections of the target teach each layer (Frenkel et al., 2021)"
    Options = DirectRandomTargetProjectionOptions
    options: DirectRandomTargetProjectionOptions

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """See `TrainingMethod.wants_twin`."""
        return getattr(options, "trained", "controls") == "controls"

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        layers = physical_layers(model)
        self._n_classes, self._dtype = setting.n_classes, setting.dtype
        generator = setting.generator(14)
        self._masks: MaskedChain | None = None
        if self.options.trained == "masks":
            self._masks = MaskedChain(model, self.options.masks, setting, setting.generator(15))
            sizes = [self._masks.width] * len(layers)
        else:
            sizes = [layer.system.n_out for layer in layers[:-1]]
        self._projections = [RandomProjection(setting.n_classes, n, generator, setting.dtype) for n in sizes]

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self._masks is None:
            return super().step(model, x, target, loss, optimiser)
        passage = self._masks.measure(x, self.micro_batch)
        _, value = self._masks.read_out(passage.features, target, loss)
        g = NONLINEARITIES[self.options.nonlinearity]
        generator = self._masks.parts.generator
        taught = [delta * g(z, generator) for delta, z in zip(self._deltas(target, len(x)), passage.sums, strict=True)]
        self._masks.descend(passage.inputs, taught)
        return {"loss": value}

    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        teach_each(part.segments, [*self._deltas(part.target, part.batch), part.last])

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        return super().predict(model, x) if self._masks is None else self._masks(x)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return super().state() if self._masks is None else self._masks.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        if self._masks is None:
            super().load_state(state)
        else:
            self._masks.load_state(state)

    def _deltas(self, target: Tensor, n: int) -> list[Tensor]:
        """Return -B t of each layer, as parts of a mean over n samples."""
        shown = nn.functional.one_hot(target, self._n_classes).to(self._dtype)
        return [-projection(shown) / n for projection in self._projections]
