"""Robust in-silico training: a new device is drawn for every batch."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.errors import TwinError
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._perturbation import Perturbation, PerturbedTraining
from pnnlab.twins import DigitalTwin

__all__ = ["DeviceErrors", "RobustInSilico", "RobustInSilicoOptions"]


class RobustInSilicoOptions(MethodOptions):
    """What devices may differ in; every size is a standard deviation, and all shots of a batch meet the same device.

    Attributes:
        control_gain: Relative error of each element of what the controls set.
        control_offset: Error that is added to it, in units of full scale (turns of a phase).
        row_gain: ξ in the gain exp(ξ) of each element of a twin's states, which lie before detection or activation;
            of outputs where a twin has no states.
        row_offset: Error that is added there, relative to the root mean square of all elements.
        output_noise: Noise of each output in each shot, of full scale; no error of the device but of its reading.
        shift: Shift of what is shown on a panel, in its pixels, each way (Mengu et al. 2020); for twins of panels.
    """

    control_gain: float = Field(default=0.1, ge=0)
    control_offset: float = Field(default=0.02, ge=0)
    row_gain: float = Field(default=0.1, ge=0)
    row_offset: float = Field(default=0.1, ge=0)
    output_noise: float = Field(default=0.02, ge=0)
    shift: float = Field(default=0.0, ge=0)


class DeviceErrors(Perturbation):
    """The errors of `RobustInSilicoOptions`."""

    options: RobustInSilicoOptions

    def drive(self, twin: DigitalTwin, drive: Sequence[Tensor]) -> Sequence[Tensor]:
        """See `Perturbation.drive`."""
        options, (*others, controls) = self.options, drive
        one = controls if len(drive) - 1 in twin.interface.shared else controls[0]
        if options.shift:
            controls = self._shifted(twin, controls)
        if options.control_gain:
            periodic = twin.interface.periodic
            controls = (controls % 1 if periodic else controls) * (
                1 + options.control_gain * self.device("gain", one[None])
            )
        if options.control_offset:
            controls = controls + options.control_offset * self.device("offset", one[None])
        return (*others, controls)

    def state(self, twin: DigitalTwin, stage: int, state: Tensor) -> Tensor:
        """See `Perturbation.state`."""
        options = self.options
        if options.row_gain:
            state = state * (options.row_gain * self.device(("row gain", stage), state)).exp()
        if options.row_offset:
            size = state.detach().abs().square().mean().sqrt()
            offset = self.device(("row offset", stage), state)
            if state.is_complex():
                offset = torch.complex(offset, self.device(("row offset, imaginary", stage), state)) / math.sqrt(2)
            state = state + options.row_offset * size * offset
        return state

    def output(self, y: Tensor) -> Tensor:
        """See `Perturbation.output`."""
        return y + self.options.output_noise * self.shot(y) if self.options.output_noise else y

    def _shifted(self, twin: DigitalTwin, turns: Tensor) -> Tensor:
        """Return phases as if the panel were displaced; their waves are interpolated by Fourier's shift."""
        grid = getattr(twin, "grid", None)
        if grid is None or not twin.interface.periodic:
            raise TwinError(
                f"robust_in_silico: `shift` displaces a panel of phases, {type(twin).__name__} has none; set it to 0"
            )
        rows, columns = grid
        pixels = self.options.shift * self.device("shift", turns.new_empty(1, 2))
        field = torch.polar(torch.ones_like(turns), 2 * math.pi * turns).unflatten(-1, grid)
        ramp = torch.fft.fftfreq(rows, dtype=turns.dtype)[:, None] * pixels[0]
        ramp = ramp + torch.fft.fftfreq(columns, dtype=turns.dtype) * pixels[1]
        moved = torch.fft.ifft2(torch.fft.fft2(field) * torch.polar(torch.ones_like(ramp), -2 * math.pi * ramp))
        shifted: Tensor = moved.angle().flatten(-2) / (2 * math.pi)
        return shifted


class RobustInSilico(PerturbedTraining):
    """In-silico training for a distribution of devices: min E_ξ L(f_m(x, θ; ξ), t), with a new ξ for every batch.

    Mengu et al. 2020, Nanophotonics 9, 4207 ("vaccination": displacements are drawn while a diffractive network is
    trained); Rasch et al. 2023, Nat. Commun. 14, 5282 (errors of analogue weights). Cheap, for no shot is taken; a
    first step, and no substitute for the bench's own errors.
    """

    name: ClassVar[str] = "robust_in_silico"
    summary: ClassVar[str] = "in silico, a new device drawn for every batch (Mengu et al., Nanophotonics 9, 4207, 2020)"
    Options: ClassVar[type[MethodOptions]] = RobustInSilicoOptions
    perturbation = DeviceErrors
