"""Digital twins: differentiable, learned stand-ins of systems (torch, no hardware)."""

from pnnlab.twins._build import EnsembleTwinConfig, ResidualTwinConfig, TwinConfig, make_twin
from pnnlab.twins._circuit import CircuitTwin, CircuitTwinConfig
from pnnlab.twins._crossbar import CrossbarTwin, CrossbarTwinConfig
from pnnlab.twins._diffractive import DiffractiveTwin, DiffractiveTwinConfig
from pnnlab.twins._echo import EchoTwin, EchoTwinConfig
from pnnlab.twins._ensemble import EnsembleTwin
from pnnlab.twins._fit import FitConfig, FitReport, evaluate, fit, predict
from pnnlab.twins._mesh import MeshTwin, MeshTwinConfig
from pnnlab.twins._modes import ModesTwin, ModesTwinConfig
from pnnlab.twins._network import MlpTwin, MlpTwinConfig, ResidualTwin
from pnnlab.twins._optical import OpticalTwin, OpticalTwinConfig
from pnnlab.twins._plant import PlantTwin, PlantTwinConfig
from pnnlab.twins._shots import ShotSet
from pnnlab.twins._stages import stage_by_stage
from pnnlab.twins._twin import DigitalTwin, Interface, StagedTwin

__all__ = [
    "CircuitTwin",
    "CircuitTwinConfig",
    "CrossbarTwin",
    "CrossbarTwinConfig",
    "DiffractiveTwin",
    "DiffractiveTwinConfig",
    "DigitalTwin",
    "EchoTwin",
    "EchoTwinConfig",
    "EnsembleTwin",
    "EnsembleTwinConfig",
    "FitConfig",
    "FitReport",
    "Interface",
    "MeshTwin",
    "MeshTwinConfig",
    "MlpTwin",
    "MlpTwinConfig",
    "ModesTwin",
    "ModesTwinConfig",
    "OpticalTwin",
    "OpticalTwinConfig",
    "PlantTwin",
    "PlantTwinConfig",
    "ResidualTwin",
    "ResidualTwinConfig",
    "ShotSet",
    "StagedTwin",
    "TwinConfig",
    "evaluate",
    "fit",
    "make_twin",
    "predict",
    "stage_by_stage",
]
