"""The roles that a device can have."""

from typing import Final

from pnnlab.devices._adc import ADC
from pnnlab.devices._camera import Camera
from pnnlab.devices._crossbar import CrossbarArray
from pnnlab.devices._dac import DAC
from pnnlab.devices._device import Device
from pnnlab.devices._slm import SpatialLightModulator

__all__ = ["roles_of"]

_ROLES: Final = (SpatialLightModulator, Camera, DAC, ADC, CrossbarArray)


def roles_of(driver: type[Device]) -> list[str]:
    """Return the names of the roles that a driver has; a card may have several."""
    return [role.__name__ for role in _ROLES if issubclass(driver, role)]
