"""Methods that teach the layers' controls through twins, or digital masks in front of fixed layers without any."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn, optim

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions
from pnnlab.methods._masks import MaskedChain, MaskOptions
from pnnlab.methods._method import LossFunction, MethodOptions
from pnnlab.methods._setting import Setting

__all__ = ["ControlsOrMasks", "ControlsOrMasksOptions"]


class ControlsOrMasksOptions(LayerErrorsOptions):
    """Options of methods that train either.

    Attributes:
        trained: `controls`: those of the layers, through the Jacobian of each layer's own twin; `masks`: digital linear
            maps in front of the physical layers and a read-out behind them, without any twin.
        masks: Of the masks.
    """

    trained: Literal["controls", "masks"] = "controls"
    masks: MaskOptions = MaskOptions()


class ControlsOrMasks(LayerErrors):
    """`teach` says what error each layer has, `teach_masks` what error each mask has.

    Attributes:
        chain: Masks and fixed layers; `None` where controls are trained.
    """

    Options: ClassVar[type[MethodOptions]] = ControlsOrMasksOptions
    stream: ClassVar[int]
    """From which the masks are drawn."""

    @classmethod
    def wants_twin(cls, options: MethodOptions) -> bool:
        """See `TrainingMethod.wants_twin`."""
        return getattr(options, "trained", "controls") == "controls"

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        options = self.options
        assert isinstance(options, ControlsOrMasksOptions)  # noqa: S101 (every such method's options are)
        self.chain: MaskedChain | None = None
        if options.trained == "masks":
            self.chain = MaskedChain(model, options.masks, setting, setting.generator(self.stream))

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        if self.chain is None:
            return super().step(model, x, target, loss, optimiser)
        return {"loss": self.teach_masks(self.chain, x, target, loss)}

    @abstractmethod
    def teach_masks(self, chain: MaskedChain, x: Tensor, target: Tensor, loss: LossFunction) -> float:
        """Make one step of the masks and the read-out; return the loss."""

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        return super().predict(model, x) if self.chain is None else self.chain(x)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return super().state() if self.chain is None else self.chain.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        if self.chain is None:
            super().load_state(state)
        else:
            self.chain.load_state(state)
