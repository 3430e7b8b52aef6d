"""From an entry in a recipe to a twin."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import torch
from pydantic import Field

from pnnlab.quantities import FrozenModel
from pnnlab.twins._circuit import CircuitTwin, CircuitTwinConfig
from pnnlab.twins._crossbar import CrossbarTwin, CrossbarTwinConfig
from pnnlab.twins._diffractive import DiffractiveTwin, DiffractiveTwinConfig
from pnnlab.twins._echo import EchoTwin, EchoTwinConfig
from pnnlab.twins._ensemble import EnsembleTwin
from pnnlab.twins._mesh import MeshTwin, MeshTwinConfig
from pnnlab.twins._modes import ModesTwin, ModesTwinConfig
from pnnlab.twins._network import MlpTwin, MlpTwinConfig, ResidualTwin
from pnnlab.twins._optical import OpticalTwin, OpticalTwinConfig
from pnnlab.twins._plant import PlantTwin, PlantTwinConfig
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["EnsembleTwinConfig", "ResidualTwinConfig", "TwinConfig", "make_twin"]

PhysicsConfig = Annotated[
    OpticalTwinConfig
    | CircuitTwinConfig
    | CrossbarTwinConfig
    | DiffractiveTwinConfig
    | EchoTwinConfig
    | MeshTwinConfig
    | ModesTwinConfig,
    Field(discriminator="kind"),
]


class ResidualTwinConfig(FrozenModel):
    """A twin of the kind `residual` in a recipe: physics and what it leaves."""

    kind: Literal["residual"] = "residual"
    physics: PhysicsConfig
    residual: MlpTwinConfig = MlpTwinConfig()


class EnsembleTwinConfig(FrozenModel):
    """A twin of the kind `ensemble` in a recipe: several of one kind, each from a seed of its own.

    Attributes:
        member: What each is.
        size: How many.
    """

    kind: Literal["ensemble"] = "ensemble"
    member: Annotated[MlpTwinConfig | ResidualTwinConfig, Field(discriminator="kind")] = MlpTwinConfig()
    size: int = Field(default=5, ge=2)

    def members(self) -> list[MlpTwinConfig | ResidualTwinConfig]:
        """Return the members, which differ in their seeds."""
        member = self.member
        if isinstance(member, MlpTwinConfig):
            return [member.model_copy(update={"seed": member.seed + k}) for k in range(self.size)]
        seeds = range(member.residual.seed, member.residual.seed + self.size)
        return [
            member.model_copy(update={"residual": member.residual.model_copy(update={"seed": seed})}) for seed in seeds
        ]


TwinConfig = Annotated[
    OpticalTwinConfig
    | CircuitTwinConfig
    | CrossbarTwinConfig
    | DiffractiveTwinConfig
    | EchoTwinConfig
    | MeshTwinConfig
    | MlpTwinConfig
    | ModesTwinConfig
    | PlantTwinConfig
    | ResidualTwinConfig
    | EnsembleTwinConfig,
    Field(discriminator="kind"),
]

# each class takes the configuration of its own kind; the key says which, which a type cannot
_CLASSES: Final[Mapping[type[FrozenModel], Callable[..., Any]]] = {
    CircuitTwinConfig: CircuitTwin,
    CrossbarTwinConfig: CrossbarTwin,
    DiffractiveTwinConfig: DiffractiveTwin,
    EchoTwinConfig: EchoTwin,
    MeshTwinConfig: MeshTwin,
    MlpTwinConfig: MlpTwin,
    ModesTwinConfig: ModesTwin,
    OpticalTwinConfig: OpticalTwin,
    PlantTwinConfig: PlantTwin,
}


def make_twin(config: TwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> DigitalTwin:
    """Return the twin that a recipe describes, as designed and not yet fitted.

    Raises:
        TwinError: It does not fit the system.
    """
    if isinstance(config, EnsembleTwinConfig):
        return EnsembleTwin([make_twin(member, interface, dtype=dtype) for member in config.members()])
    if isinstance(config, ResidualTwinConfig):
        return ResidualTwin(
            make_twin(config.physics, interface, dtype=dtype), MlpTwin(config.residual, interface, dtype=dtype)
        )
    twin: DigitalTwin = _CLASSES[type(config)](config, interface, dtype=dtype)
    return twin
