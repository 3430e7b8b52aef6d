"""In-silico training with the converters' steps."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from pnnlab.methods._method import MethodOptions
from pnnlab.methods._perturbation import Perturbation, PerturbedTraining
from pnnlab.twins import DigitalTwin

__all__ = ["Converters", "QuantisationAware", "QuantisationAwareOptions", "quantised"]


class QuantisationAwareOptions(MethodOptions):
    """Bits of converters; `null` for one without steps.

    Attributes:
        input_bits: Of drives that carry inputs alone.
        control_bits: Of the drive that controls set: grey levels of a panel, steps of a conductance.
        output_bits: Of the readings, which are cut to full scale, from -1 to 1.
    """

    input_bits: int | None = Field(default=6, ge=1, le=16)
    control_bits: int | None = Field(default=6, ge=1, le=16)
    output_bits: int | None = Field(default=8, ge=1, le=16)


def quantised(values: Tensor, bits: int, *, span: float = 1.0) -> Tensor:
    """Return the nearest of 2^bits levels a `span`, with the gradient of the values themselves (straight through)."""
    step = span / 2**bits
    rounded: Tensor = values + ((values.detach() / step).round() * step - values.detach())
    return rounded


class Converters(Perturbation):
    """The steps of `QuantisationAwareOptions`."""

    options: QuantisationAwareOptions

    def drive(self, twin: DigitalTwin, drive: Sequence[Tensor]) -> Sequence[Tensor]:
        """See `Perturbation.drive`."""
        bits = (*[self.options.input_bits] * (len(drive) - 1), self.options.control_bits)
        return [d if n is None else quantised(d, n) for d, n in zip(drive, bits, strict=True)]

    def output(self, y: Tensor) -> Tensor:
        """See `Perturbation.output`."""
        return y if self.options.output_bits is None else quantised(y.clamp(-1, 1), self.options.output_bits, span=2.0)


class QuantisationAware(PerturbedTraining):
    """In-silico training through converters: rounded and cut forwards, straight through backwards.

    Jacob et al. 2018, CVPR, 2704 (quantisation-aware training); Rasch et al. 2023, Nat. Commun. 14, 5282, with 6 bits
    in and 8 bits out as in the examples of the AIHWKit. Where the bench itself is measured, its converters' steps are
    met as they are, and this method is not needed.
    """

    name: ClassVar[str] = "quantisation_aware"
    summary: ClassVar[str] = "in silico through converters of few bits (Jacob et al., CVPR 2018, 2704)"
    Options: ClassVar[type[MethodOptions]] = QuantisationAwareOptions
    perturbation = Converters
