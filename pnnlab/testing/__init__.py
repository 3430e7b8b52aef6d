"""The conformance kit: what every driver of a role keeps, as tests to inherit. Needs pytest (`pnnlab[test]`)."""

from pnnlab.testing import _asserts  # noqa: F401 (first: it changes how the others are loaded)
from pnnlab.testing._adc import ADCConformance
from pnnlab.testing._camera import CameraConformance
from pnnlab.testing._checks import Check, does_not_apply, needs_device, shows
from pnnlab.testing._crossbar import CrossbarArrayConformance
from pnnlab.testing._dac import DACConformance
from pnnlab.testing._device import DeviceConformance
from pnnlab.testing._faults import Faults
from pnnlab.testing._framing import Framing, Lines
from pnnlab.testing._script import Script
from pnnlab.testing._serial_port import SerialInstrument
from pnnlab.testing._slm import SpatialLightModulatorConformance
from pnnlab.testing._subject import DeviceArguments
from pnnlab.testing._tcp import TcpInstrument
from pnnlab.testing._wire import WireInstrument

__all__ = [
    "ADCConformance",
    "CameraConformance",
    "Check",
    "CrossbarArrayConformance",
    "DACConformance",
    "DeviceArguments",
    "DeviceConformance",
    "Faults",
    "Framing",
    "Lines",
    "Script",
    "SerialInstrument",
    "SpatialLightModulatorConformance",
    "TcpInstrument",
    "WireInstrument",
    "does_not_apply",
    "needs_device",
    "shows",
]
