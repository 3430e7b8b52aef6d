"""What is trained, on what and how: one entry below `training:` of a bench file."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from pnnlab.quantities import FrozenModel, Seconds
from pnnlab.training._drift import DriftWatchConfig
from pnnlab.training._tasks import DigitsConfig, TaskConfig
from pnnlab.training._watch import FidelityWatchConfig
from pnnlab.twins import FitConfig, TwinConfig

__all__ = ["NetworkConfig", "Recipe", "TwinFitConfig"]


class NetworkConfig(FrozenModel):
    """A deep physical network: physical layers with fixed structure between them, and digital ends where asked for.

    Attributes:
        layers: The system of each layer, first to last; a system may come several times.
        embedding: What brings the task's inputs onto the first layer's: `none` (repeated or padded where the layer has
            more), or a `linear` layer that is trained, for systems with few inputs (`pnnlab.nn.Embed`).
        readout: What makes logits of the last layer's outputs: fixed `bins` (`pnnlab.nn.ClassBins`), or a `linear`
            layer that is trained. With either of the trained ones some of the work is digital: compare with what they
            do alone (`pnnlab compare`).
        input_scale: Inputs of the first layer per input of the task.
        reencode_scale: Scale of `pnnlab.nn.Reencode` between layers.
        readout_gain: Gain of `pnnlab.nn.ClassBins` at the end.
    """

    layers: tuple[str, ...] = Field(min_length=1)
    embedding: Literal["none", "linear"] = "none"
    readout: Literal["bins", "linear"] = "bins"
    input_scale: float = 1.0
    reencode_scale: float = 1.0
    readout_gain: float = 8.0


class TwinFitConfig(FitConfig):
    """How twins are fitted before training.

    Attributes:
        shots: Shots to spend on each system.
        rounds: How many times fresh controls are drawn for them; every round walks the whole network, so that deeper
            layers see inputs as they come in training.
    """

    shots: int = Field(default=4096, gt=0)
    rounds: int = Field(default=16, gt=0)


class Recipe(FrozenModel):
    """One entry below `training:` of a bench file.

    Attributes:
        task: The data.
        network: The model.
        twins: The twin of each system.
        fit: How twins are fitted first, for methods and watches that use them; `null` takes them as designed.
        method: Name of the training method.
        method_options: Options of training methods, by the method's name; `pnnlab methods NAME` lists them.
        epochs: Passes over the training data at most.
        max_steps: Steps at most, where that is less than the epochs.
        batch: Samples a step.
        micro_batch: Samples that the host works on while the bench measures others; `null` takes a 32nd of the batch on
            a real clock, and the whole batch in simulated time, where there is nothing to be gained.
        learning_rate: Of Adam, in control units (turns of phase, logits of bounded controls).
        schedule: Whether the learning rate falls to zero along a cosine.
        patience: Epochs without better validation after which training stops; `null` for never.
        budget_shots: Shots of the whole run (fitting, training, validation): no step begins that would take more, as
            far as the steps before it tell.
        budget_time_s: Bench time of the whole run after which training stops.
        validate_every: Steps between two validations; `null` validates at the end of each epoch.
        align_every: Steps between two looks at the angle between the method's step and the exact gradient of a
            simulated bench, which cost no shots; `null` for never.
        checkpoint_every: Steps between two checkpoints.
        fidelity: How often gradients of twin and bench are compared; never if left out.
        drift: How often reference shots are taken, and what follows; never if left out.
        seed: Of initial controls, order of samples and simulated noise.
    """

    task: TaskConfig = DigitsConfig()
    network: NetworkConfig
    twins: Mapping[str, TwinConfig] = Field(default_factory=dict)
    fit: TwinFitConfig | None = None
    method: str = "physics_aware"
    method_options: Mapping[str, Mapping[str, JsonValue]] = Field(default_factory=dict)
    epochs: int = Field(default=20, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    batch: int = Field(default=64, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=0.01, gt=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    patience: int | None = Field(default=None, gt=0)
    budget_shots: int | None = Field(default=None, gt=0)
    budget_time_s: Seconds | None = Field(default=None, gt=0)
    validate_every: int | None = Field(default=None, gt=0)
    align_every: int | None = Field(default=None, gt=0)
    checkpoint_every: int = Field(default=20, gt=0)
    fidelity: FidelityWatchConfig | None = None
    drift: DriftWatchConfig | None = None
    seed: int = Field(default=0, ge=0)
