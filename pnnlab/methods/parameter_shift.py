"""Parameter shift: phases are moved by a quarter of a turn both ways, and the derivative is exact."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from pnnlab.methods._estimate import Measure
from pnnlab.methods._method import LossFunction, MethodOptions, physical_layers
from pnnlab.methods._setting import Setting
from pnnlab.methods.finite_differences import FiniteDifferences, FiniteDifferencesOptions
from pnnlab.nn import cut_at_layers
from pnnlab.systems import ControlRange

__all__ = ["ParameterShift", "ParameterShiftOptions"]

_QUARTER: float = 0.25
"""Of a turn."""


class ParameterShiftOptions(FiniteDifferencesOptions):
    """Options of the method `parameter_shift`; those of `finite_differences`, which hold where nothing is shifted."""


class ParameterShift(FiniteDifferences):
    """The exact derivative of outputs that are a first harmonic of each phase (Mitarai et al. 2018, PRA 98, 032309).

    Behind a linear interferometer or medium the intensity is `y = a + b cos θ + d sin θ` in the phase θ of any single
    element, so `dy/dθ = [y(θ + π/2) - y(θ - π/2)] / 2`: no error of the order of c², and the least noise, as no step is
    small. The error at the outputs, which the digital read-out has exactly, makes it the gradient of the loss.

    It is exact for phases of the last physical layer, where each control is one phase, light adds up linearly and the
    sensor measures intensity: a mesh of interferometers, or a panel without crosstalk of its pixels before a medium.
    Crosstalk, a bent phase response or saturation leave an error. Earlier layers, controls that are no phases, digital
    parameters, and all controls where `groups` is set, are looked at by central differences. Two batches a control,
    and one more a step.
    """

    name: ClassVar[str] = "parameter_shift"
    summary: ClassVar[str] = (
        "phases shifted by a quarter turn, exact derivatives (Mitarai et al., PRA 98, 032309, 2018)"
    )
    Options: ClassVar[type[MethodOptions]] = ParameterShiftOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        last = physical_layers(model)[-1]
        periodic = last.system.control_range is ControlRange.PERIODIC and not self.controls.is_grouped
        self._shifted = self.controls.belonging_to(last.raw_controls) if periodic else torch.zeros(0, dtype=torch.int64)

    def measure_on(self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction) -> Measure:
        """See `EstimatedGradient.measure_on`."""
        self._batch = model, x, target, loss
        return super().measure_on(model, x, target, loss)

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        chosen = self.chosen()
        of_last = torch.isin(chosen, self._shifted)
        gradient = torch.zeros_like(self.controls.read())
        value = math.nan
        if not of_last.all():
            value, gradient = self.differences(measure, chosen[~of_last])
        if of_last.any():
            value, found = self._shift(chosen[of_last])
            gradient[chosen[of_last]] = found.to(gradient.dtype)
        return value, gradient

    def _shift(self, chosen: Tensor) -> tuple[float, Tensor]:
        """Return the loss, and its derivatives in phases of the last layer, per turn."""
        model, x, target, loss = self._batch
        z = self.controls.read()
        away = torch.zeros(len(chosen), len(z), dtype=z.dtype)
        away[torch.arange(len(chosen)), chosen] = _QUARTER
        repeats = self.options.repeats

        def outputs(inputs: Tensor, targets: Tensor) -> tuple[float, Tensor, Tensor]:
            """Return the loss, its gradient at the last layer's outputs, and the outputs."""
            with cut_at_layers(graphs=False) as segments, torch.enable_grad():
                value = loss(model(inputs), targets)
            outer = segments[-1].outer
            (slope,) = torch.autograd.grad(value, outer)
            return float(value.detach()), slope, outer.detach()

        cases = [(k, x, target) for k in range(2 * len(chosen) + 1) for _ in range(repeats)]
        candidates = torch.cat([z[None], z + away, z - away])
        found = self.controls.measured(candidates, cases, outputs, at_once=self.micro_batch is None)
        slope = torch.stack([one[1] for one in found[:repeats]]).mean(0).double()
        readings = torch.stack([one[2] for one in found]).double().unflatten(0, (-1, repeats)).mean(1)
        above, below = readings[1:].chunk(2)
        value = sum(one[0] for one in found[:repeats]) / repeats
        return value, math.pi * ((above - below) * slope).flatten(1).sum(1)
