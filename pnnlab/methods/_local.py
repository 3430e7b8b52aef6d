"""Methods in which each layer learns from a loss of its own: digital maps behind fixed physical blocks."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._blocks import FixedBlock, usual_width
from pnnlab.methods._digital import DigitalParts, linear_map
from pnnlab.methods._method import MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule, run_in_flight

__all__ = ["LocalLearning", "LocalOptions"]


class LocalOptions(MethodOptions):
    """Options of all methods in which each layer learns from a loss of its own.

    Attributes:
        width: Outputs of each digital map, which the next block takes; 64, or as many as all can take, if `null`.
        learning_rate: Of Adam, for the digital maps.
        inner_steps: Steps of the digital maps for each batch that is measured.
        input_scale: Root mean square of a block's inputs; in units of the half range where inputs are bounded.
        standardise: Whether readings are centred and scaled by what each was in the first batch (which is measured
            twice for that).
        skip: Whether a digital map sees its block's inputs beside the readings.
    """

    width: int | None = Field(default=None, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    inner_steps: int = Field(default=1, gt=0)
    input_scale: float = Field(default=0.5, gt=0)
    standardise: bool = True
    skip: bool = False


class LocalLearning(TrainingMethod):
    """For each physical layer, its controls fixed: readings z of the normalised input, then a digital map of z.

    The input of the first is the sample, that of each other the `activity` of the map before it, detached. A batch is
    measured once through all layers, micro-batches in flight; then each map descends on its own loss of what was
    measured. Controls stay as they are, and no twin is asked.
    """

    needs_twin: ClassVar[bool] = False
    Options: ClassVar[type[MethodOptions]] = LocalOptions
    options: LocalOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        options, generator, dtype = self.options, setting.generator(31), setting.dtype
        layers = physical_layers(model)
        self.width = options.width or usual_width(layers[1:])
        sizes, self.blocks, self.maps = [self.sample_size(setting)], list[FixedBlock](), list[nn.Linear]()
        for layer in layers:
            block = FixedBlock(layer, sizes[-1], scale=options.input_scale, dtype=dtype)
            n_seen = block.n_out + (sizes[-1] if options.skip else 0)
            self.blocks.append(block)
            self.maps.append(linear_map(n_seen, self.width, generator, dtype))
            sizes.append(self.width)
        modules = {
            "maps": nn.ModuleList(self.maps),
            "standards": nn.ModuleList(block.standard for block in self.blocks),
            **self.further_modules(setting, generator),
        }
        self.parts = DigitalParts(modules, setting, learning_rate=options.learning_rate, generator=generator)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return self.parts.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self.parts.load_state(state)

    # For the methods

    @abstractmethod
    def sample_size(self, setting: Setting) -> int:
        """Return the length of the samples that the first block is shown."""

    @abstractmethod
    def activity(self, number: int, z: Tensor) -> Tensor:
        """Return what a map makes of its block's readings, shape `(batch, width)`."""

    def further_modules(self, setting: Setting, generator: torch.Generator) -> Mapping[str, nn.Module]:
        """Make what is trained beside the maps."""
        return {}

    def readings(self, samples: Tensor) -> list[Tensor]:
        """Return what each map sees of samples, shape `(batch, n)` each: one shot a layer and sample."""
        return self._pass(samples, calibrating=False)

    def measure(self, samples: Tensor) -> list[Tensor]:
        """Return readings as above, of a batch in training."""
        if self.options.standardise and not self.blocks[0].standard.ready:
            self._pass(samples, calibrating=True)
        parts = samples.split(min(self.micro_batch or len(samples), len(samples)))
        works = [partial(self.readings, part) for part in parts]
        found = run_in_flight(works, n_measurements=len(self.blocks)) if len(works) > 1 else [works[0]()]
        return [torch.cat(z) for z in zip(*found, strict=True)]

    @torch.no_grad()
    def features(self, seen: Sequence[Tensor]) -> Tensor:
        """Return all layers' activities, shape `(batch, n_layers · width)`, each layer's of root mean square 1.

        Args:
            seen: What each map sees.
        """
        activities = [nn.functional.normalize(self.activity(number, z)) for number, z in enumerate(seen)]
        scaled: Tensor = torch.cat(activities, -1) * self.width**0.5
        return scaled

    def learn(self, losses: Callable[[], Sequence[Tensor]]) -> float:
        """Descend on losses of which no two share parameters; return their sum before the first step."""
        first = 0.0
        for k in range(self.options.inner_steps):
            total = torch.stack(list(losses())).sum()
            self.parts.descend(total)
            first = float(total.detach()) if k == 0 else first
        self.parts.descent.advance()
        return first

    @torch.no_grad()
    def _pass(self, samples: Tensor, *, calibrating: bool) -> list[Tensor]:
        found, h = [], samples
        for number, block in enumerate(self.blocks):
            y = block.calibrate(h) if calibrating else block(h)
            found.append(torch.cat([y, h], -1) if self.options.skip else y)
            h = self.activity(number, found[-1])
        return found
