"""In-silico training with noise in every shot."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._perturbation import Perturbation, PerturbedTraining
from pnnlab.twins import DigitalTwin

__all__ = ["NoiseInjection", "NoiseInjectionOptions", "ShotNoise"]


class NoiseInjectionOptions(MethodOptions):
    """Standard deviations of noise that is drawn anew in each shot.

    Attributes:
        input_noise: Of each element of drives that carry inputs alone, of full scale.
        control_noise: Of each element of what the controls set, of full scale; where a batch shares its controls, all
            its shots meet the same.
        output_noise: Of each output, of full scale.
    """

    input_noise: float = Field(default=0.0, ge=0)
    control_noise: float = Field(default=0.02, ge=0)
    output_noise: float = Field(default=0.02, ge=0)


class ShotNoise(Perturbation):
    """The noise of `NoiseInjectionOptions`."""

    options: NoiseInjectionOptions

    def drive(self, twin: DigitalTwin, drive: Sequence[Tensor]) -> Sequence[Tensor]:
        """See `Perturbation.drive`."""
        sizes = (*[self.options.input_noise] * (len(drive) - 1), self.options.control_noise)
        return [d + size * self.shot(d) if size else d for d, size in zip(drive, sizes, strict=True)]

    def output(self, y: Tensor) -> Tensor:
        """See `Perturbation.output`."""
        return y + self.options.output_noise * self.shot(y) if self.options.output_noise else y


class NoiseInjection(PerturbedTraining):
    """In-silico training with noisy forward passes; the backward pass goes through the very pass that was noisy.

    Hardware-aware training of analogue arrays (Rasch et al. 2023, Nat. Commun. 14, 5282; the default sizes of 0.02 are
    those of the examples of the AIHWKit). It helps against noise and coarse converters, not against errors that a
    device always makes, for which see `RobustInSilico`.
    """

    name: ClassVar[str] = "noise_injection"
    summary: ClassVar[str] = "in silico with noise in every shot (Rasch et al., Nat. Commun. 14, 5282, 2023)"
    Options: ClassVar[type[MethodOptions]] = NoiseInjectionOptions
    perturbation = ShotNoise
