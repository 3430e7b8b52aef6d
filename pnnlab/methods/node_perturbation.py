"""Node perturbation: a layer's outputs are moved at random, and each sample's loss tells what error they have."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._layer_errors import LayerErrors, LayerErrorsOptions, Part, teach_each
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer, Segment, cut_at_layers

__all__ = ["NodePerturbation", "NodePerturbationOptions"]


class NodePerturbationOptions(LayerErrorsOptions):
    """Options of node perturbation.

    Attributes:
        perturbation: Size of a perturbation, relative to the root mean square of the layer's outputs in the batch.
        directions: Random perturbations of each layer that are averaged. Each costs one shot a sample for every layer
            behind the perturbed one; all perturbations of a layer are one run of the bench.
    """

    perturbation: float = Field(default=0.1, gt=0)
    directions: int = Field(default=1, gt=0)


class NodePerturbation(LayerErrors):
    """δ_l = mean of [L(y_l + c s) - L(y_l)] / c · s, s_i = ±1 at random: an error for each output of each sample.

    A layer has far fewer outputs than controls, and each sample tells of its own, so less is to be guessed than in
    `weight_perturbation` (Le Cun, Galland, Hinton 1988, NIPS 1, 141; variances: Werfel, Xie, Seung 2005, Neural Comput.
    17, 2699). The layers behind are measured with the moved outputs, so that nothing needs to be known of them; the
    error then goes on to the layer's own controls through the Jacobian of its twin. Layers are perturbed one after the
    other, all samples at once. The last layer, whose outputs the host holds, has the true gradient.
    """

    name: ClassVar[str] = "node_perturbation"
    summary: ClassVar[str] = "outputs of layers perturbed, an error for each sample (Le Cun, Galland & Hinton 1988)"
    Options = NodePerturbationOptions
    options: NodePerturbationOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._draws = setting.generator(19)

    def n_measurements(self, layers: Sequence[PhysicalLayer]) -> int:
        """See `LayerErrors.n_measurements`."""
        return len(layers) * (len(layers) + 1) // 2

    @torch.no_grad()
    def teach(self, part: Part) -> None:
        """See `LayerErrors.teach`."""
        reference = self._losses(part, part.segments)
        deltas = [self._error(part, k, reference) for k in range(len(part.segments) - 1)]
        with torch.enable_grad():
            teach_each(part.segments, [*deltas, part.last])

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**super().state(), "draws": self._draws.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._draws.set_state(state["draws"])

    def _error(self, part: Part, k: int, reference: Tensor) -> Tensor:
        """Return the gradient of the batch's loss at the outputs of layer k, as perturbations of them tell it."""
        count = self.options.directions
        y = part.segments[k].y.detach()
        c = self.options.perturbation * y.square().mean().sqrt()
        if c == 0:
            # a layer that is dark all over tells no size
            return torch.zeros_like(y)
        signs = torch.randint(2, (count, *y.shape), generator=self._draws).to(y.dtype) * 2 - 1
        outers = [segment.outer.expand(count, *segment.outer.shape).flatten(0, 1) for segment in part.segments[:k]]
        outers.append((y + c * signs).flatten(0, 1))
        known = [replace(segment, outer=outer) for segment, outer in zip(part.segments, outers, strict=False)]
        risen = self._losses(part, known).unflatten(0, (count, -1)) - reference
        error: Tensor = (risen.unsqueeze(-1) * signs).mean(0) / (c * part.batch)
        return error

    @staticmethod
    def _losses(part: Part, known: Sequence[Segment]) -> Tensor:
        """Return each sample's loss, the first layers being known; samples may stand there several times over."""
        times = len(known[0].outer) // len(part.x)
        with cut_at_layers(known=dict(enumerate(known)), graphs=False):
            logits = part.model(part.x.repeat(times, 1))
        cases = zip(logits.split(1), part.target.repeat(times).split(1), strict=True)
        return torch.stack([part.loss(*case) for case in cases]).to(part.x.dtype)
