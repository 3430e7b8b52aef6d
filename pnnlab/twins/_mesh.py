"""The twin of a mesh of interferometers between converters."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.physics import Arrangement, InterferometerMesh, MeshCircuit, SvdMesh, Taps
from pnnlab.quantities import FrozenModel, Volts
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["MeshTwin", "MeshTwinConfig"]


class MeshTwinConfig(FrozenModel):
    """A twin of the kind `mesh` in a recipe: the chip as designed, with its deviations to learn.

    Attributes:
        ports: Guides of the mesh.
        matrix: As in the system.
        arrangement: See `pnnlab.physics.InterferometerMesh`.
        taps: As in the system, so that channels have the same numbers.
        coherent: As in the system.
        bidirectional: As in the system.
        two_pi_v: Voltage of a heater for a turn, by design.
        amplitude_v: See `pnnlab.physics.MeshCircuit`.
        diode_v: See there.
        receiver_v: See there.
    """

    kind: Literal["mesh"] = "mesh"
    ports: int = Field(ge=2)
    matrix: Literal["unitary", "factored"] = "unitary"
    arrangement: Arrangement = "clements"
    taps: Taps = "none"
    coherent: bool = False
    bidirectional: bool = False
    two_pi_v: Volts = Field(default=4.0, gt=0)
    amplitude_v: Volts = Field(default=4.0, gt=0)
    diode_v: Volts = Field(default=1.0, gt=0)
    receiver_v: Volts = Field(default=1.0, gt=0)


class MeshTwin(DigitalTwin):
    """The design's chip; couplers, phases, loss, crosstalk, resistances and gains are learnable.

    Args:
        config: The design.
        interface: The system's shapes and units; the drive is the voltage of every channel.
        dtype: Floating type.

    Raises:
        TwinError: The system has other channels, or its interface does not tell how a drive becomes volts.
    """

    def __init__(self, config: MeshTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        self._to_setpoints, self._decode = interface.in_units("MeshTwin", "a system of the kind mesh")
        mesh: InterferometerMesh | SvdMesh = InterferometerMesh(config.ports, config.arrangement)
        if config.matrix == "factored":
            mesh = SvdMesh.design(config.ports, config.arrangement)
        self.circuit = MeshCircuit(
            mesh, taps=config.taps, coherent=config.coherent, bidirectional=config.bidirectional,
            two_pi_v=config.two_pi_v, amplitude_v=config.amplitude_v, diode_v=config.diode_v,
            receiver_v=config.receiver_v,
        )  # fmt: skip
        if interface.drive_shapes != ((self.circuit.n_inputs,),):
            raise TwinError(
                f"MeshTwin: it has {self.circuit.n_inputs} channels, the system drives {interface.drive_shapes}; make "
                "ports, taps, coherent and bidirectional those of the system"
            )
        n = mesh.n_ports
        for part in [mesh] if isinstance(mesh, InterferometerMesh) else [mesh.first, mesh.last]:
            _learn(
                part, dtype, left_imbalance=(part.n_mzis,), right_imbalance=(part.n_mzis,),
                phase_error_rad=(part.n_phases,), loss_db=(part.n_mzis,), crosstalk=(),
            )  # fmt: skip
        if isinstance(mesh, SvdMesh):
            _learn(mesh, dtype, attenuator_error_rad=(n,))
        self._staged = isinstance(mesh, SvdMesh) and config.taps == "field"
        if self._staged:
            _learn(self.circuit, dtype, tap_gain=(n,))
        _learn(
            self.circuit, dtype, two_pi_v=(mesh.n_phases,), modulator_gain=(2, n), modulator_phase_rad=(2, n),
            receiver_gain=(2, n), diode_gain=(n,),
        )  # fmt: skip

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        (volts,) = self._to_setpoints(*drive)
        outputs: Tensor = self._decode(self.circuit(volts))
        return outputs

    @property
    def n_stages(self) -> int:
        """See `DigitalTwin.n_stages`: two meshes, where the light between them is read; all in one elsewhere."""
        return 2 if self._staged else 1

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`: the fields between two meshes, complex, shape `(batch, n_ports)`, then outputs."""
        if not self._staged:
            return super().advance(stage, state, *drive)
        self.check(*drive)
        volts = self._to_setpoints(*drive)[0][..., -1, :]
        if state is None:
            return self.circuit.between(volts)
        outputs: Tensor = self._decode(self.circuit.seen_right(state, volts)[..., None, :])
        return outputs

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        if not self._staged or stage > 0:
            return state
        seen = state * self.circuit.tap_gain
        return torch.cat([seen.real, seen.imag], -1)

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`: fields are read whole, so the twin's own do not matter."""
        if not self._staged or stage > 0:
            return reading
        return torch.complex(*reading.chunk(2, -1)) / self.circuit.tap_gain


def _learn(owner: nn.Module, dtype: torch.dtype, **shapes: tuple[int, ...]) -> None:
    """Make quantities of a module learnable, each element by itself."""
    for name, shape in shapes.items():
        value = getattr(owner, name).to(dtype).expand(shape).clone()
        delattr(owner, name)
        owner.register_parameter(name, nn.Parameter(value))
