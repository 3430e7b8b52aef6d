"""From an entry in a recipe to a twin."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import torch
from pydantic import Field

from pnnlab.quantities import FrozenModel
from pnnlab.twins._circuit import CircuitTwin, CircuitTwinConfig
from pnnlab.twins._crossbar import CrossbarTwin, CrossbarTwinConfig
from pnnlab.twins._network import MlpTwin, MlpTwinConfig, ResidualTwin
from pnnlab.twins._optical import OpticalTwin, OpticalTwinConfig
from pnnlab.twins._plant import PlantTwin, PlantTwinConfig
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["ResidualTwinConfig", "TwinConfig", "make_twin"]

PhysicsConfig = Annotated[OpticalTwinConfig | CircuitTwinConfig | CrossbarTwinConfig, Field(discriminator="kind")]


class ResidualTwinConfig(FrozenModel):
    """A twin of the kind `residual` in a recipe: physics and what it leaves."""

    kind: Literal["residual"] = "residual"
    physics: PhysicsConfig
    residual: MlpTwinConfig = MlpTwinConfig()


TwinConfig = Annotated[
    OpticalTwinConfig | CircuitTwinConfig | CrossbarTwinConfig | MlpTwinConfig | PlantTwinConfig | ResidualTwinConfig,
    Field(discriminator="kind"),
]

# each class takes the configuration of its own kind; the key says which, which a type cannot
_CLASSES: Final[Mapping[type[FrozenModel], Callable[..., Any]]] = {
    CircuitTwinConfig: CircuitTwin,
    CrossbarTwinConfig: CrossbarTwin,
    MlpTwinConfig: MlpTwin,
    OpticalTwinConfig: OpticalTwin,
    PlantTwinConfig: PlantTwin,
}


def make_twin(config: TwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> DigitalTwin:
    """Return the twin that a recipe describes, as designed and not yet fitted.

    Raises:
        TwinError: It does not fit the system.
    """
    if isinstance(config, ResidualTwinConfig):
        return ResidualTwin(
            make_twin(config.physics, interface, dtype=dtype), MlpTwin(config.residual, interface, dtype=dtype)
        )
    twin: DigitalTwin = _CLASSES[type(config)](config, interface, dtype=dtype)
    return twin
