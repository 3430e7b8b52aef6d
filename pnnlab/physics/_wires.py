"""Wire resistance of a crossbar, and the matrix that the array's terminals show because of it."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Wires", "effective_conductance"]


@dataclass(frozen=True)
class Wires:
    """Resistance of the wires of a crossbar.

    Every row has one segment between its driver (left end) and its first cell and one between neighbouring
    cells; every column one between neighbouring cells and one between its last cell and ground (bottom end).

    Attributes:
        row_ohm: Resistance of one segment of a row wire.
        column_ohm: Resistance of one segment of a column wire.
    """

    row_ohm: float
    column_ohm: float

    def __post_init__(self) -> None:
        if not (0.0 < self.row_ohm < math.inf and 0.0 < self.column_ohm < math.inf):
            raise ValueError(
                f"wires: segments have {self.row_ohm:g} ohm (row) and {self.column_ohm:g} ohm (column), expected both "
                "above 0 ohm; leave the wires out to have none"
            )


def effective_conductance(g: Tensor, wires: Wires) -> Tensor:
    """Return the exact matrix M with which a crossbar with resistive wires multiplies: I = M^T v.

    Nodal analysis (Kirchhoff's current law at every crossing of both wires) in double precision. Eliminating the
    row nodes leaves, for the column nodes, a block-tridiagonal system with one block a row of the array, which is
    solved block by block: n_rows factorisations of (n_cols, n_cols) matrices (or the transposed problem, where
    that is cheaper), for all drives at once. Exact up to rounding. By reciprocity the array read the other way,
    columns driven at the bottom and rows grounded at the left, multiplies with the transpose: J = M u.

    The derivative is the adjoint one: dM_ij/dg_kl is the voltage across cell (k, l) while row i is driven with
    1 V times the voltage across it while column j is driven with 1 V at its foot (Tellegen's theorem). A
    second derivative is refused.

    Args:
        g: Conductances of the cells in siemens, shape `(..., n_rows, n_cols)`, none negative.
        wires: Resistance of the wire segments.

    Returns:
        M in siemens, shape `(..., n_rows, n_cols)`, in g's type, on its torch device.

    Raises:
        RuntimeError: In a backward pass that is itself to be differentiated (`create_graph=True`).
        ValueError: g has fewer than two dimensions, or a conductance is negative or not finite.
    """
    if g.ndim < 2:
        raise ValueError(f"crossbar: conductances have shape {tuple(g.shape)}, expected (..., n_rows, n_cols)")
    found = g.detach()
    if not bool(((found >= 0.0) & torch.isfinite(found)).all()):
        raise ValueError(
            f"crossbar: conductances span {float(found.min()):g} S to {float(found.max()):g} S, expected finite ones "
            "of at least 0 S; clamp them or parametrise them positively"
        )
    double = g.double()
    n_rows, n_cols = g.shape[-2:]
    if n_cols <= n_rows:
        matrix = _nodal_matrix(double, wires.row_ohm, wires.column_ohm)
    else:
        # The same network seen from its other terminals has blocks of the smaller size: columns become rows,
        # driven at their feet, rows become columns, grounded at their heads; both orders of the cells reverse.
        turned = double.flip(-2, -1).mT
        matrix = _nodal_matrix(turned, wires.column_ohm, wires.row_ohm).mT.flip(-2, -1)
    return matrix.to(g.dtype)


def _nodal_matrix(g: Tensor, row_ohm: float, column_ohm: float) -> Tensor:
    matrix: Tensor = _NodalMatrix.apply(g, row_ohm, column_ohm)  # type: ignore[no-untyped-call]
    return matrix


class _Context(Protocol):
    """What autograd hands to a function, as far as it is used here."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _NodalMatrix(torch.autograd.Function):
    """The matrix seen from the terminals, in double precision; inside, a column segment has unit conductance."""

    @staticmethod
    def forward(ctx: _Context, g: Tensor, row_ohm: float, column_ohm: float) -> Tensor:
        """Return M, shape `(..., n_rows, n_cols)`, for g of that shape."""
        keep = ctx.needs_input_grad[0]
        n_rows, n_cols = g.shape[-2:]
        chain = (column_ohm / row_ohm) * _chain(n_cols, g)
        eye = torch.eye(n_cols, dtype=g.dtype, device=g.device)
        # voltages[..., j, i]: column node j of the row just eliminated, while row i is driven with 1 V and the
        # rows below do not exist yet; the last row's are the final ones
        voltages = g.new_zeros(*g.shape[:-2], n_cols, n_rows)
        inverse = eye
        saved: list[Tensor] = []
        for k in range(n_rows):
            cell = column_ohm * g[..., k, :]
            transfer = torch.linalg.solve(chain + torch.diag_embed(cell), chain)
            # The row nodes are gone: column node j now sees cell_j transfer_jl to node l's voltage
            block = cell.unsqueeze(-1) * transfer + (eye if k == 0 else 2.0 * eye - inverse)
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(0.5 * (block + block.mT)))
            voltages[..., k] = cell * transfer.sum(-1)
            voltages[..., : k + 1] = inverse @ voltages[..., : k + 1]
            if keep:
                saved += [transfer, inverse, voltages[..., : k + 1].clone()]
        if keep:
            ctx.save_for_backward(*saved)
        return voltages.mT / column_ohm

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to g, shape `(..., n_rows, n_cols)`, from that with respect to M."""
        if torch.is_grad_enabled():
            # `once_differentiable` would hand out a gradient without a graph, which a sum of losses hides
            raise RuntimeError("wires: the effective matrix has no second derivative; do not ask for create_graph=True")
        (grad,) = grads  # (..., n_rows, n_cols)
        saved = ctx.saved_tensors
        n_rows = len(saved) // 3
        rows: list[Tensor] = []
        for k in reversed(range(n_rows)):
            transfer, inverse, partial = saved[3 * k : 3 * k + 3]
            if k == n_rows - 1:
                driven, sensed = partial, inverse
            else:
                # back substitution: a drive of row i <= k left a partial voltage here, all get the row below's
                driven = inverse @ driven
                driven[..., : k + 1] += partial
                sensed = inverse @ sensed
            # voltage across the cells of row k, row side minus column side, for each driven row
            across = -(transfer @ driven)
            across[..., k] += transfer.sum(-1)
            # and column side minus row side, for each column driven at its foot
            across_sensed = transfer @ sensed
            rows.append((across * (across_sensed @ grad.mT)).sum(-1))
        return torch.stack(rows[::-1], dim=-2), None, None


def _chain(n: int, like: Tensor) -> Tensor:
    """Return the conductance matrix of n nodes in a row, unit segments, the first also tied to a source."""
    diagonal = torch.full((n,), 2.0, dtype=like.dtype, device=like.device)
    diagonal[-1] = 1.0
    off = torch.full((n - 1,), -1.0, dtype=like.dtype, device=like.device)
    return torch.diag(diagonal) + torch.diag(off, 1) + torch.diag(off, -1)
