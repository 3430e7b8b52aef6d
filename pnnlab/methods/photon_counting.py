"""Training with single photons: what is detected is random forwards, its expectation is followed backwards."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim

from pnnlab.methods._method import (
    LossFunction,
    MethodOptions,
    TrainingMethod,
    gradient_step,
    physical_layers,
    set_rule,
)
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule
from pnnlab.physics import click_probability
from pnnlab.systems import Capability

__all__ = ["PhotonCounting", "PhotonCountingOptions"]


class PhotonCountingOptions(MethodOptions):
    """What detectors see, and how often they are asked.

    Systems that detect single photons themselves (`Capability.SINGLE_PHOTON`) click on their own; `repeats` alone then
    matters. Behind others the host draws the clicks that detectors of single photons would give.

    Attributes:
        photons: Mean number of detected photons at a reading of 1.
        dark: Mean number of dark counts.
        reads: Whether a reading y stands for light's `intensity` (photons ∝ y, none below 0) or `amplitude` (∝ y²).
        last_layer: Whether the last layer clicks, too, or is read with as much light as it takes.
        repeats: Detections that are averaged in training.
        predict_repeats: The same where classes are predicted.
    """

    photons: float = Field(default=10.0, gt=0)
    dark: float = Field(default=0.0, ge=0)
    reads: Literal["intensity", "amplitude"] = "intensity"
    last_layer: bool = False
    repeats: int = Field(default=1, gt=0)
    predict_repeats: int = Field(default=1, gt=0)


class PhotonCounting(TrainingMethod):
    """Physics-aware stochastic training: a ~ Bernoulli(p), p = 1 - exp(-μ), forwards; ∂a/∂z := ∂p/∂z backwards.

    Ma, Wang, Laydevant, Wright & McMahon, arXiv 2307.15712 (single-photon-detection neural networks): each activation
    is a click, whose randomness the forward pass keeps, and the gradient is that of its expectation.

    Attributes:
        repeats: Detections that are averaged at present.
    """

    name: ClassVar[str] = "photon_counting"
    summary: ClassVar[str] = "clicks of single photons forwards, their expectation backwards (Ma et al., 2307.15712)"
    Options: ClassVar[type[MethodOptions]] = PhotonCountingOptions
    needs_twin: ClassVar[bool] = True
    options: PhotonCountingOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        self._generator = setting.generator()
        self.repeats = self.options.predict_repeats
        layers = physical_layers(model)
        for layer in layers:
            if Capability.SINGLE_PHOTON in layer.system.capabilities:
                layer.register_forward_pre_hook(self._repeat)
                layer.register_forward_hook(self._average)
            elif layer is not layers[-1] or self.options.last_layer:
                layer.register_forward_hook(self._detect)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        self.repeats = self.options.repeats
        try:
            return gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
        finally:
            self.repeats = self.options.predict_repeats

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {"generator": self._generator.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._generator.set_state(state["generator"])

    def _repeat(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Let every sample be measured several times."""
        return (inputs[0].repeat_interleave(self.repeats, 0),)

    def _average(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """Return the mean of what was measured for each sample."""
        mean: Tensor = y.unflatten(0, (-1, self.repeats)).mean(1)
        return mean

    def _detect(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """Return the share of detections that clicked, with the gradient of its expectation."""
        options = self.options
        light = y.square() if options.reads == "amplitude" else y.relu()
        p = click_probability(options.photons * light + options.dark)
        draws = torch.rand((self.repeats, *p.shape), generator=self._generator, dtype=p.dtype)
        clicks = (draws < p.detach()).to(p.dtype).mean(0)
        passed: Tensor = clicks + (p - p.detach())
        return passed
