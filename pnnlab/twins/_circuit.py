"""The twin of a nonlinear circuit between converters."""

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.physics import OscillatorNetwork
from pnnlab.quantities import FrozenModel, Hertz, Volts
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["CircuitTwin", "CircuitTwinConfig"]


class CircuitTwinConfig(FrozenModel):
    """A twin of the kind `circuit` in a recipe: the oscillator network as designed, with components to learn.

    Attributes:
        seed: The design's seed.
        oscillators: Number of oscillators.
        inputs: Number of DAC channels.
        outputs: Number of ADC channels.
        sample_rate_hz: Rate of DAC and ADC.
        reference_hz: See `pnnlab.physics.OscillatorNetwork`.
        bandwidth_hz: See there.
        saturation_v: See there.
        quality: See there.
        cubic: See there.
        coupling: See there.
        gain: See there.
        substeps: See there; a twin may do with fewer than the plant.
    """

    kind: Literal["circuit"] = "circuit"
    seed: int = 0
    oscillators: int = Field(gt=0)
    inputs: int = Field(gt=0)
    outputs: int = Field(gt=0)
    sample_rate_hz: Hertz
    reference_hz: Hertz
    bandwidth_hz: Hertz
    saturation_v: Volts
    quality: float = Field(default=5.0, gt=0)
    cubic: float = 0.2
    coupling: float = Field(default=0.5, ge=0)
    gain: float = 0.5
    substeps: int = Field(default=2, gt=0)


class CircuitTwin(DigitalTwin):
    """The design's oscillator network from rest, all components learnable, and a learned offset of each output.

    Args:
        config: The design.
        interface: The system's shapes and units; the drive is a waveform.
        dtype: Floating type.

    Raises:
        TwinError: The interface does not tell how a drive becomes volts, as that of a `dac-adc` system does.
    """

    def __init__(self, config: CircuitTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        self._to_setpoints, self._decode = interface.in_units("CircuitTwin", "a dac-adc system")
        self.network = OscillatorNetwork.random(
            config.oscillators,
            config.inputs,
            config.outputs,
            torch.Generator().manual_seed(config.seed),
            reference_hz=config.reference_hz,
            sample_rate_hz=config.sample_rate_hz,
            bandwidth_hz=config.bandwidth_hz,
            saturation_v=config.saturation_v,
            quality=config.quality,
            cubic=config.cubic,
            coupling=config.coupling,
            gain=config.gain,
            substeps=config.substeps,
            dtype=dtype,
        )
        for name, value in list(self.network.named_buffers(recurse=False)):
            delattr(self.network, name)
            self.network.register_parameter(name, nn.Parameter(value))
        self.offset = nn.Parameter(torch.zeros(interface.n_out, dtype=dtype))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        (volts,) = self._to_setpoints(*drive)
        reading, _ = cast(tuple[Tensor, Tensor], self.network(volts))
        return self._decode(reading) + self.offset
