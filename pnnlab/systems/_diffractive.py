"""Phase masks between converters: every pixel of a source and of a mask is a voltage, every detector a reading."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pnnlab.quantities import Volts
from pnnlab.systems._converters import CONVERTER_ROLES, Converters, ConvertersConfig
from pnnlab.systems._phase_masks import MasksConfig, PhaseMasks

__all__ = ["DiffractiveConfig", "DiffractiveSystem"]


class DiffractiveConfig(MasksConfig, ConvertersConfig):
    """A system of the kind `diffractive` in the bench file.

    Attributes:
        amplitude_v: Voltage of a source's pixel at unit amplitude.
        turn_v: Voltage at which a mask's pixel, or the reference, shifts by a turn.
        reference_v: Voltage at which the reference wave has its full amplitude.
        camera_v: Reading of the detectors at unit intensity.
    """

    kind: Literal["diffractive"] = "diffractive"
    amplitude_v: Volts = Field(default=1.0, gt=0)
    turn_v: Volts = Field(default=2.0, gt=0)
    reference_v: Volts = Field(default=1.0, gt=0)
    camera_v: Volts = Field(default=0.5, gt=0)


class DiffractiveSystem(PhaseMasks):
    """Modulators and phase shifters on channels of a DAC, photodiodes on channels of an ADC.

    The channels are values and readings of `PhaseMasks`, in their order.
    """

    Config = DiffractiveConfig
    roles: ClassVar[Mapping[str, type]] = CONVERTER_ROLES
    config: DiffractiveConfig

    def _make_link(self) -> Converters:
        config, n = self.config, self.config.n_pixels
        unit_v = np.full(config.n_values, config.turn_v)
        unit_v[: 2 * n * config.n_sides] = config.amplitude_v
        unit_v[-2] = config.reference_v
        ports = config.n_values, n * config.n_planes
        return Converters(self, config, unit_v=unit_v, reading_v=config.camera_v, ports=ports)
