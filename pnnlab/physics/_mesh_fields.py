"""The fields inside a mesh of interferometers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pnnlab.physics._mesh import DB_TO_AMPLITUDE, LEAST_SHARE, InterferometerMesh

__all__ = ["MeshFields", "mesh_fields"]


@dataclass(frozen=True, slots=True)
class MeshFields:
    """What light does in a mesh.

    Attributes:
        out: Fields that leave, complex, shape `(..., n)`.
        inside: Fields in the guide of every phase shifter, on its side towards the outputs, complex, shape
            `(..., n_phases)`, in the order of the phases: forward light has the shift behind it there, backward light
            has it before it.
    """

    out: Tensor
    inside: Tensor


def mesh_fields(mesh: InterferometerMesh, field: Tensor, phases: Tensor, *, backward: bool = False) -> MeshFields:
    """Return the fields that leave a mesh and those at its phase shifters, differentiably.

    With the forward field f and the field b of light that entered as `dL/dy` at the outputs, of a mesh that is
    reciprocal, the gradient by a phase is `2 Re(i f b)`: both are taken in the same plane (Hughes et al. 2018, Optica
    5, 864, eq. 8). Losses of any kind leave that true.

    Args:
        mesh: The mesh.
        field: Fields that enter, at the outputs if `backward`, complex, shape `(..., n)`.
        phases: In rad, shape `(n_phases,)`, or with the leading shape of the fields.
        backward: Whether light runs from the outputs to the inputs. It meets the transposed mesh, but for
            `nonreciprocal_rad`.
    """
    theta, phi, output = mesh.acting(phases, backward=backward)
    turn = [torch.polar(torch.ones_like(angle), angle) for angle in (theta, phi, output)]
    return (_backward if backward else _forward)(_Optics(mesh, field), field, *turn)


class _Optics:
    """What fields meet between phase shifters: couplers, and the loss of guides."""

    def __init__(self, mesh: InterferometerMesh, field: Tensor) -> None:
        self.mesh, dtype = mesh, field.real.dtype
        loss = (mesh.loss_db.to(dtype) / 2 * DB_TO_AMPLITUDE).exp()
        self.left, self.right = (
            tuple(
                (loss * part.clamp(min=LEAST_SHARE).sqrt()).expand(mesh.n_mzis) for part in ((1 + e) / 2, (1 - e) / 2)
            )
            for e in (mesh.left_imbalance.to(dtype), mesh.right_imbalance.to(dtype))
        )
        # half of a column's guides lies before the inner phase shifters, half behind them
        self.half = (mesh.guide_loss_db.to(dtype) / 2 * DB_TO_AMPLITUDE).exp()
        ends = torch.tensor([0, *(n for _, n in mesh.columns)]).cumsum(0).tolist()
        # guides that interferometers of a column join: upper ones, lower ones; and the numbers of those interferometers
        self.columns = [
            (slice(first, first + 2 * n, 2), slice(first + 1, first + 2 * n, 2), slice(begin, begin + n))
            for (first, n), begin in zip(mesh.columns, ends[:-1], strict=True)
        ]


def _coupled(coupler: tuple[Tensor, ...], of: slice, upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    through, across = (part[of] for part in coupler)
    return through * upper + 1j * across * lower, 1j * across * upper + through * lower


def _forward(optics: _Optics, field: Tensor, theta: Tensor, phi: Tensor, output: Tensor) -> MeshFields:
    at_theta, at_phi = list[Tensor](), list[Tensor]()
    for up, down, of in optics.columns:
        upper, lower = field[..., up] * phi[..., of], field[..., down]
        at_phi.append(upper)
        upper, lower = _coupled(optics.left, of, upper, lower)
        upper, lower = upper * optics.half * theta[..., of], lower * optics.half
        at_theta.append(upper)
        field = _placed(optics, field, up, down, *_coupled(optics.right, of, upper, lower))
    out = field * output
    return MeshFields(out, torch.cat([*at_theta, *at_phi, out], -1))


def _backward(optics: _Optics, field: Tensor, theta: Tensor, phi: Tensor, output: Tensor) -> MeshFields:
    at_theta, at_phi, entered = list[Tensor](), list[Tensor](), field
    field = field * output
    for up, down, of in reversed(optics.columns):
        upper, lower = _coupled(optics.right, of, field[..., up] * optics.half, field[..., down] * optics.half)
        at_theta.append(upper)
        upper, lower = _coupled(optics.left, of, upper * theta[..., of], lower)
        at_phi.append(upper * optics.half)
        field = _placed(optics, field, up, down, upper * phi[..., of], lower)
    inside = torch.cat([*reversed(at_theta), *reversed(at_phi), entered.expand_as(field)], -1)
    return MeshFields(field, inside)


def _placed(optics: _Optics, field: Tensor, up: slice, down: slice, upper: Tensor, lower: Tensor) -> Tensor:
    """Return all guides of a column: those that were joined, at the second half of their loss, and those beside."""
    pairs = torch.stack([upper, lower], -1).flatten(-2) * optics.half
    beside = [
        part.expand(*pairs.shape[:-1], -1) * optics.half**2
        for part in (field[..., : up.start], field[..., down.stop :])
    ]
    return torch.cat([beside[0], pairs, beside[1]], -1)
