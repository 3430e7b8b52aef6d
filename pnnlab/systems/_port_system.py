"""Physics whose ports are channels of converters."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from pnnlab.quantities import Volts
from pnnlab.systems._converters import CONVERTER_ROLES, Converters, ConvertersConfig
from pnnlab.systems._linked_system import LinkedSystem

__all__ = ["PortSystem", "PortSystemConfig"]


class PortSystemConfig(ConvertersConfig):
    """The keys that the kinds of systems with static ports share.

    Attributes:
        unit_v: Voltage of a channel at a drive of 1.
    """

    unit_v: Volts = Field(default=1.0, gt=0)


class PortSystem(LinkedSystem):
    """One shot: a voltage on every channel of the DAC, and a reading of every channel of the ADC once all has settled.

    Which channel carries what is told by the wirings that derive from it. The drive is the voltage of every channel in
    units of `unit`, shape `(batch, n_outputs of the DAC)`. A reading is in V, shape `(batch, n_inputs of the ADC)`.
    """

    Config = PortSystemConfig
    roles: ClassVar[Mapping[str, type]] = CONVERTER_ROLES
    config: PortSystemConfig
    _link: Converters

    def _make_link(self) -> Converters:
        return Converters(self, self.config, unit_v=self.config.unit_v)

    def _check_channels(self, n_outputs: int, n_inputs: int) -> None:
        """Refuse converters with other numbers of channels than the physics has ports; for the wirings."""
        self._link.check_channels(n_outputs, n_inputs)
