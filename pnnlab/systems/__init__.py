"""Devices wired into trainable maps y = f(x, θ): one file a wiring (numpy, no torch)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pnnlab.systems._absorber import AbsorberConfig, AbsorberSystem
from pnnlab.systems._array import A
from pnnlab.systems._capability import Capability
from pnnlab.systems._coupled_nodes import CoupledNodes, CoupledNodesConfig
from pnnlab.systems._crossbar import CrossbarSystem, CrossbarSystemConfig
from pnnlab.systems._dac_adc import DacAdc, DacAdcConfig
from pnnlab.systems._diffractive import DiffractiveConfig, DiffractiveSystem
from pnnlab.systems._echo_system import EchoConfig, EchoSystem
from pnnlab.systems._free_space import FreeSpaceConfig, FreeSpaceSystem
from pnnlab.systems._hopfield import Hopfield, HopfieldConfig
from pnnlab.systems._mesh import MeshConfig, MeshSystem, OpticalPorts
from pnnlab.systems._mode_network import ModeNetwork, ModeNetworkConfig
from pnnlab.systems._oscillators import Oscillators, OscillatorsConfig
from pnnlab.systems._phase_masks import MaskReading, PhaseMasks
from pnnlab.systems._port_system import PortSystem, PortSystemConfig
from pnnlab.systems._probes import (
    CarriesFields,
    CarriesSignal,
    Echo,
    Echoes,
    Equilibrium,
    FieldReading,
    Relaxes,
    Side,
    YieldsControls,
)
from pnnlab.systems._resistor_copies import ResistorCopiesConfig, ResistorCopiesSystem
from pnnlab.systems._resistor_network import ResistorNetworkConfig, ResistorNetworkSystem
from pnnlab.systems._resonators import KerrModes, KerrModesConfig, Resonators, ResonatorsConfig
from pnnlab.systems._shots import FloatArray, Measurement, PendingShots, Shots
from pnnlab.systems._slm_camera import SlmCamera, SlmCameraConfig
from pnnlab.systems._spins import AnnealedSpins, AnnealedSpinsConfig, QuantumSpins, QuantumSpinsConfig
from pnnlab.systems._springs import Springs, SpringsConfig
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._thread import DeviceThread
from pnnlab.systems._timing import DATA_SHEET, Timing
from pnnlab.systems._trace import Lane, Span, Trace
from pnnlab.systems._wave_medium import WaveMedium, WaveMediumConfig
from pnnlab.systems._weight_array import PulsedArray, TransposedArray

__all__ = [
    "DATA_SHEET",
    "A",
    "AbsorberConfig",
    "AbsorberSystem",
    "AnnealedSpins",
    "AnnealedSpinsConfig",
    "Capability",
    "CarriesFields",
    "CarriesSignal",
    "ControlRange",
    "CoupledNodes",
    "CoupledNodesConfig",
    "CrossbarSystem",
    "CrossbarSystemConfig",
    "DacAdc",
    "DacAdcConfig",
    "DeviceThread",
    "DiffractiveConfig",
    "DiffractiveSystem",
    "Echo",
    "EchoConfig",
    "EchoSystem",
    "Echoes",
    "Equilibrium",
    "Facilities",
    "FieldReading",
    "FloatArray",
    "FreeSpaceConfig",
    "FreeSpaceSystem",
    "Hopfield",
    "HopfieldConfig",
    "KerrModes",
    "KerrModesConfig",
    "Lane",
    "MaskReading",
    "Measurement",
    "MeshConfig",
    "MeshSystem",
    "ModeNetwork",
    "ModeNetworkConfig",
    "OpticalPorts",
    "Oscillators",
    "OscillatorsConfig",
    "PendingShots",
    "PhaseMasks",
    "PortSystem",
    "PortSystemConfig",
    "PulsedArray",
    "QuantumSpins",
    "QuantumSpinsConfig",
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
    "Springs",
    "SpringsConfig",
    "System",
    "SystemConfig",
    "Timing",
    "Trace",
    "TransposedArray",
    "WaveMedium",
    "WaveMediumConfig",
    "YieldsControls",
    "system_kinds",
]

_KINDS: Final[Mapping[str, type[System]]] = MappingProxyType(
    {
        "absorber": AbsorberSystem,
        "crossbar": CrossbarSystem,
        "dac-adc": DacAdc,
        "diffractive": DiffractiveSystem,
        "echo": EchoSystem,
        "free-space": FreeSpaceSystem,
        "hopfield": Hopfield,
        "ising": AnnealedSpins,
        "kerr-modes": KerrModes,
        "mesh": MeshSystem,
        "oscillators": Oscillators,
        "resistor-copies": ResistorCopiesSystem,
        "resistor-network": ResistorNetworkSystem,
        "resonators": Resonators,
        "slm-camera": SlmCamera,
        "spins": QuantumSpins,
        "springs": Springs,
        "wave-medium": WaveMedium,
    }
)


def system_kinds() -> Mapping[str, type[System]]:
    """Return every kind that an entry below `systems:` of a bench file may have, with its class."""
    return _KINDS
