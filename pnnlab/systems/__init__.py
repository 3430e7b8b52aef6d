"""Devices wired into trainable maps y = f(x, θ): one file a wiring (numpy, no torch)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pnnlab.systems._array import A
from pnnlab.systems._capability import Capability
from pnnlab.systems._crossbar import CrossbarSystem, CrossbarSystemConfig
from pnnlab.systems._dac_adc import DacAdc, DacAdcConfig
from pnnlab.systems._mesh import MeshConfig, MeshSystem, OpticalPorts
from pnnlab.systems._mode_network import ModeNetwork, ModeNetworkConfig
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import CarriesFields, Echo, Echoes, Equilibrium, FieldReading, Relaxes, Side
from pnnlab.systems._resistor_copies import ResistorCopiesConfig, ResistorCopiesSystem
from pnnlab.systems._resistor_network import ResistorNetworkConfig, ResistorNetworkSystem
from pnnlab.systems._resonators import KerrModes, KerrModesConfig, Resonators, ResonatorsConfig
from pnnlab.systems._shots import FloatArray, Measurement, PendingShots, Shots
from pnnlab.systems._slm_camera import SlmCamera, SlmCameraConfig
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._thread import DeviceThread
from pnnlab.systems._timing import DATA_SHEET, Timing
from pnnlab.systems._trace import Lane, Span, Trace

__all__ = [
    "DATA_SHEET",
    "A",
    "Capability",
    "CarriesFields",
    "ControlRange",
    "CrossbarSystem",
    "CrossbarSystemConfig",
    "DacAdc",
    "DacAdcConfig",
    "DeviceThread",
    "Echo",
    "Echoes",
    "Equilibrium",
    "Facilities",
    "FieldReading",
    "FloatArray",
    "KerrModes",
    "KerrModesConfig",
    "Lane",
    "Measurement",
    "MeshConfig",
    "MeshSystem",
    "ModeNetwork",
    "ModeNetworkConfig",
    "OpticalPorts",
    "PendingShots",
    "PortSystem",
    "PortSystemConfig",
    "Relaxes",
    "ResistorCopiesConfig",
    "ResistorCopiesSystem",
    "ResistorNetworkConfig",
    "ResistorNetworkSystem",
    "Resonators",
    "ResonatorsConfig",
    "Setpoints",
    "Shots",
    "Side",
    "SlmCamera",
    "SlmCameraConfig",
    "Span",
    "System",
    "SystemConfig",
    "Timing",
    "Trace",
    "system_kinds",
]

_KINDS: Final[Mapping[str, type[System]]] = MappingProxyType(
    {
        "crossbar": CrossbarSystem,
        "dac-adc": DacAdc,
        "kerr-modes": KerrModes,
        "mesh": MeshSystem,
        "resonators": Resonators,
        "resistor-copies": ResistorCopiesSystem,
        "resistor-network": ResistorNetworkSystem,
        "slm-camera": SlmCamera,
    }
)


def system_kinds() -> Mapping[str, type[System]]:
    """Return every kind that an entry below `systems:` of a bench file may have, with its class."""
    return _KINDS
