"""Two meshes with a row of attenuators between them: any matrix, by its singular values."""

from torch import Tensor, nn

from pnnlab.physics._mesh import Arrangement, InterferometerMesh
from pnnlab.physics._mesh_fields import MeshFields, mesh_fields
from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["SvdMesh"]


class SvdMesh(nn.Module):
    """Light crosses a mesh V, attenuators of signed amplitude s = cos α, and a mesh U: `W = U diag(s) V`.

    An attenuator is an interferometer whose two arms are shifted by α and -α, so that its phase stays where it is
    (Miller 2013, Photonics Research 1, 1). What a user sets are phases in rad, shape `(n_phases,)`: those of V in the
    order of `InterferometerMesh`, every α, those of U. The one place inside that can be looked at is between both
    meshes: forward light before the attenuators, backward light on their other side.

    Args:
        first: V.
        last: U, of as many ports.
        attenuator_error_rad: Added to each α, shape `(n,)`.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    attenuator_error_rad: Tensor

    def __init__(
        self, first: InterferometerMesh, last: InterferometerMesh, *, attenuator_error_rad: QuantityLike = 0.0
    ) -> None:
        super().__init__()
        if first.n_ports != last.n_ports:
            raise ValueError(f"mesh of singular values: meshes of {first.n_ports} and {last.n_ports} ports do not join")
        self.first, self.last, self.n_ports = first, last, first.n_ports
        register_quantity(self, "attenuator_error_rad", attenuator_error_rad, shape=(self.n_ports,))

    @classmethod
    def design(cls, n_ports: int, arrangement: Arrangement = "clements") -> "SvdMesh":
        """Return a perfect one."""
        return cls(InterferometerMesh(n_ports, arrangement), InterferometerMesh(n_ports, arrangement))

    @property
    def n_phases(self) -> int:
        """Return the number of phases that are set."""
        return self.first.n_phases + self.n_ports + self.last.n_phases

    @property
    def n_places(self) -> int:
        """Return the number of places inside that can be looked at."""
        return self.n_ports

    def split(self, phases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the phases of V, every α, and the phases of U, shape `(..., n)` each."""
        first, attenuators, last = phases.split([self.first.n_phases, self.n_ports, self.last.n_phases], -1)
        return first, attenuators, last

    def matrix(self, phases: Tensor) -> Tensor:
        """Return W, shape `(..., n, n)`, differentiable in phases, shape `(..., n_phases)`, and quantities."""
        first, attenuators, last = self.split(phases)
        values = (attenuators + self.attenuator_error_rad).cos()
        matrix: Tensor = (self.last.matrix(last) * values[..., None, :]) @ self.first.matrix(first)
        return matrix

    def fields(self, field: Tensor, phases: Tensor, *, backward: bool = False) -> MeshFields:
        """Return the fields that leave, and those between both meshes; see `mesh_fields`.

        With f of forward light and b of light that entered as `dL/dy` at the outputs, the derivative of L by each s is
        `2 Re(f b)`.
        """
        first, attenuators, last = self.split(phases)
        if backward:
            values = (attenuators + self.attenuator_error_rad).cos()
            inside = mesh_fields(self.last, field, last, backward=True).out
            return MeshFields(mesh_fields(self.first, inside * values, first, backward=True).out, inside)
        inside = self.between(field, phases)
        return MeshFields(self.leaving(inside, phases), inside)

    def between(self, field: Tensor, phases: Tensor) -> Tensor:
        """Return the fields of forward light between both meshes, before attenuators, shape `(..., n)`."""
        first, _, _ = self.split(phases)
        return mesh_fields(self.first, field, first).out

    def leaving(self, inside: Tensor, phases: Tensor) -> Tensor:
        """Return the fields that leave, shape `(..., n)`, of forward light between both meshes, before attenuators."""
        _, attenuators, last = self.split(phases)
        values = (attenuators + self.attenuator_error_rad).cos()
        return mesh_fields(self.last, inside * values, last).out
