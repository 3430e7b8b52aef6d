"""The twin of a nonlinear wave before a mirror."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.physics import EchoLattice, grid_coupling
from pnnlab.quantities import FrozenModel, Volts
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["EchoTwin", "EchoTwinConfig"]


class EchoTwinConfig(FrozenModel):
    """A twin of the kind `echo` in a recipe: modes on a grid as designed, with their deviations to learn.

    Attributes:
        modes: Rows and columns of the modes.
        slabs: Stretches of medium.
        coupling: See `pnnlab_drivers.sim.lattice_chip`.
        kerr: See `pnnlab.physics.EchoLattice`.
        duration: See there.
        steps: Steps of the integration of a slab; a twin may do with fewer than the plant.
        amplitude_v: Voltage of a pulse of unit amplitude.
        detuning_v: Voltage of a unit detuning.
        field_v: Reading of a receiver at a quadrature of 1.
    """

    kind: Literal["echo"] = "echo"
    modes: tuple[int, int]
    slabs: int = Field(default=1, gt=0)
    coupling: float = 1.0
    kerr: float = 0.5
    duration: float = Field(default=1.0, gt=0)
    steps: int = Field(default=10, gt=0)
    amplitude_v: Volts = Field(default=1.0, gt=0)
    detuning_v: Volts = Field(default=1.0, gt=0)
    field_v: Volts = Field(default=1.0, gt=0)


class EchoTwin(DigitalTwin):
    """The design's lattice on the way to the mirror; detunings that are there anyway, and Kerr shifts, are learnable.

    Args:
        config: The design.
        interface: The system's shapes and units; the drive is the voltage of every channel.
        dtype: Floating type.

    Raises:
        TwinError: The system has other channels, or its interface does not tell how a drive becomes volts.
    """

    def __init__(self, config: EchoTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        self._to_setpoints, self._decode = interface.in_units("EchoTwin", "a system of the kind echo")
        self._config = config
        n = math.prod(config.modes)
        if interface.drive_shapes != ((3 * config.slabs * n + 1,),):
            raise TwinError(
                f"EchoTwin: {config.slabs} slabs of {config.modes} modes do not fit the channels of the system, "
                f"{interface.drive_shapes}; make modes and slabs those of the system"
            )
        self.lattice = EchoLattice(
            grid_coupling(config.modes, config.coupling).to(dtype),
            kerr=nn.Parameter(torch.full((n,), config.kerr, dtype=dtype)), duration=config.duration,
            n_steps=config.steps, n_slabs=config.slabs,
        )  # fmt: skip
        self.detuned = nn.Parameter(torch.zeros(config.slabs, n, dtype=dtype))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        config = self._config
        volts = self._to_setpoints(*drive)[0][..., -1, :]
        pulses, detuning, _ = volts[..., :-1].unflatten(-1, (3, config.slabs, -1)).unbind(-3)
        run = self.lattice(pulses / config.amplitude_v, detuning / config.detuning_v + self.detuned, echo=False)
        exits = (run.exits * config.field_v).flatten(-2)
        # what comes back is none of the outputs' business
        outputs: Tensor = self._decode(torch.cat([exits.real, exits.imag], -1)[..., None, :])
        return outputs
