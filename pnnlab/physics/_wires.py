"""Wire resistance of a crossbar, and the matrix that the array's terminals show because of it."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

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

    Nodal analysis (Kirchhoff's current law at every crossing of both wires) in double precision, by nested
    dissection (George, SIAM J. Numer. Anal. 10, 345, 1973): neighbouring patches of the array are joined and the
    nodes of their seam eliminated, until the whole array is one network between its terminals. N^3 operations for
    NxN cells, for all drives at once, where one sweep from row to row takes N^4. Exact up to rounding. By
    reciprocity the array read the other way, columns driven at the bottom and rows grounded at the left,
    multiplies with the transpose: J = M u.

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
    n_rows, n_cols = g.shape[-2:]
    # Cells of 0 S above the array, where columns hang open, and to its right, where rows do, change nothing
    patches = pad(g.double().reshape(-1, n_rows, n_cols), (0, _smooth(n_cols) - n_cols, _smooth(n_rows) - n_rows, 0))
    matrix: Tensor = _NodalMatrix.apply(patches, wires.row_ohm, wires.column_ohm)  # type: ignore[no-untyped-call]
    return matrix[:, -n_rows:, :n_cols].reshape(g.shape).to(g.dtype)


class _Context(Protocol):
    """What autograd hands to a function, as far as it is used here."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    wires: tuple[float, float]

    def save_for_backward(self, *tensors: Tensor) -> None: ...
    def save_for_forward(self, *tensors: Tensor) -> None: ...


class _NodalMatrix(torch.autograd.Function):
    """The matrix seen from the terminals, in double precision; sides have no prime factor above 3."""

    @staticmethod
    def forward(ctx: _Context, g: Tensor, row_ohm: float, column_ohm: float) -> Tensor:
        """Return M, shape `(n_arrays, n_rows, n_cols)`, for g of that shape."""
        keep = ctx.needs_input_grad[0]
        ctx.save_for_forward(g)
        ctx.wires = (row_ohm, column_ohm)
        saved: list[Tensor] = []
        n_rows, n_cols = g.shape[-2:]
        patches = _cells(g, 1.0 / row_ohm, 1.0 / column_ohm)
        for across, seams in _plan(n_rows, n_cols):
            joined, *others = _deal(patches, across, len(seams) + 1)
            for seam, other in zip(seams, others, strict=True):
                joined, voltages = _eliminate(seam.join(joined, other), seam.n_kept)
                if keep:
                    saved.append(voltages)
            patches = joined
        # nothing is connected to the right ends of the rows and the upper ends of the columns
        order = _terminals_first(n_rows, n_cols, g.device)
        terminals, voltages = _eliminate(patches[:, 0, 0][:, order[:, None], order], n_rows + n_cols)
        if keep:
            ctx.save_for_backward(*saved, voltages)
        return -terminals[:, :n_rows, n_rows:]

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to g, shape as g, from that with respect to M."""
        if torch.is_grad_enabled():
            # `once_differentiable` would hand out a gradient without a graph, which a sum of losses hides
            raise RuntimeError("wires: the effective matrix has no second derivative; do not ask for create_graph=True")
        (grad,) = grads  # (n_arrays, n_rows, n_cols)
        saved = list(ctx.saved_tensors)
        n_rows, n_cols = grad.shape[-2:]
        adjoint = _restore(pad(-grad, (n_rows, 0, 0, n_cols)), saved.pop())
        back = torch.argsort(_terminals_first(n_rows, n_cols, grad.device))
        patches = adjoint[:, back[:, None], back][:, None, None]
        for across, seams in reversed(_plan(n_rows, n_cols)):
            parts: list[Tensor] = []
            for seam in reversed(seams):
                patches, part = seam.part(_restore(patches, saved.pop()))
                parts.append(part)
            axis = _COLUMNS if across else _ROWS
            patches = torch.stack([patches, *reversed(parts)], dim=axis).flatten(axis - 1, axis)
        cell = patches[..., 1:3, 1:3]
        return cell[..., 0, 0] - cell[..., 0, 1] - cell[..., 1, 0] + cell[..., 1, 1], None, None

    @staticmethod
    def jvp(ctx: _Context, *tangents: Tensor) -> Tensor:
        """Return how M changes with g: the same elimination, of the changes."""
        (g,), (row_ohm, column_ohm) = ctx.saved_tensors, ctx.wires
        n_rows, n_cols = g.shape[-2:]
        patches, changes = _cells(g, 1.0 / row_ohm, 1.0 / column_ohm), _cells(tangents[0], 0.0, 0.0)
        for across, seams in _plan(n_rows, n_cols):
            joined, *others = _deal(patches, across, len(seams) + 1)
            change, *further = _deal(changes, across, len(seams) + 1)
            for seam, other, more in zip(seams, others, further, strict=True):
                joined, voltages = _eliminate(seam.join(joined, other), seam.n_kept)
                change = _carried(seam.join(change, more), voltages)
            patches, changes = joined, change
        order = _terminals_first(n_rows, n_cols, g.device)
        _, voltages = _eliminate(patches[:, 0, 0][:, order[:, None], order], n_rows + n_cols)
        return -_carried(changes[:, 0, 0][:, order[:, None], order], voltages)[:, :n_rows, n_rows:]


# A patch of p x q cells is the matrix of conductances between its 2(p + q) ports: p left and p right ends of rows,
# q upper and q lower ends of columns, in this order. Patches that cover an array are one tensor
# (n_arrays, n_patch_rows, n_patch_columns, n_ports, n_ports).
_ROWS, _COLUMNS = -4, -3


@dataclass(frozen=True)
class _Seam:
    """Where a patch meets the next one of its row (across) or of its column.

    Attributes:
        first: Cells of the left or upper patch, (p, q).
        second: Cells of the right or lower patch.
        across: Whether the seam cuts rows.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    across: bool

    @property
    def cells(self) -> tuple[int, int]:
        """Cells of the joined patch."""
        (p, q), (p_second, q_second) = self.first, self.second
        return (p, q + q_second) if self.across else (p + p_second, q)

    @property
    def n_kept(self) -> int:
        """Number of ports of the joined patch."""
        return 2 * sum(self.cells)

    @property
    def _places(self) -> tuple[list[int], list[int]]:
        """Where the four kinds of ports of each patch begin in the joined one; the seam's nodes come last."""
        (p, q), (rows, columns), seam = self.first, self.cells, self.n_kept
        upper, lower = 2 * rows, 2 * rows + columns
        if self.across:
            return [0, seam, upper, lower], [seam, rows, upper + q, lower + q]
        return [0, rows, upper, seam], [p, rows + p, seam, lower]

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the matrix over the joined patch's ports and the seam's nodes."""
        n_nodes = self.n_kept + self.first[0 if self.across else 1]
        joined = first.new_zeros(*first.shape[:-2], n_nodes, n_nodes)
        for patch, cells, places in zip((first, second), (self.first, self.second), self._places, strict=True):
            for (row, column), block in _blocks(patch, cells).items():
                height, width = block.shape[-2:]
                top, left = places[row], places[column]
                joined[..., top : top + height, left : left + width] += block
        return joined

    def part(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Return what of the joined matrix belongs to each patch: the adjoint of `join`."""
        patches = []
        for cells, places in zip((self.first, self.second), self._places, strict=True):
            patch = joined.new_empty(*joined.shape[:-2], 2 * sum(cells), 2 * sum(cells))
            for (row, column), block in _blocks(patch, cells).items():
                height, width = block.shape[-2:]
                top, left = places[row], places[column]
                block.copy_(joined[..., top : top + height, left : left + width])
            patches.append(patch)
        return patches[0], patches[1]


def _blocks(patch: Tensor, cells: tuple[int, int]) -> dict[tuple[int, int], Tensor]:
    """Return views of the sixteen blocks between the four kinds of ports."""
    sizes = [cells[0], cells[0], cells[1], cells[1]]
    rows = patch.split(sizes, -2)
    return {(i, j): block for i, row in enumerate(rows) for j, block in enumerate(row.split(sizes, -1))}


def _cells(g: Tensor, row: float, column: float) -> Tensor:
    """Return patches of one cell, with the row's segment to its left and the column's segment below it."""
    wires = g.new_tensor([[row, -row, 0, 0], [-row, row, 0, 0], [0, 0, column, -column], [0, 0, -column, column]])
    cell = g.new_tensor([[0, 0, 0, 0], [0, 1, -1, 0], [0, -1, 1, 0], [0, 0, 0, 0]])
    return wires + g[..., None, None] * cell


def _eliminate(y: Tensor, n_kept: int) -> tuple[Tensor, Tensor]:
    """Return the matrix between the first nodes when no current enters the others, and the others' voltages.

    The voltages are those, with opposite sign, for 1 V at each kept node in turn, shape `(..., n_others, n_kept)`.
    """
    kept, coupling, others = y[..., :n_kept, :n_kept], y[..., n_kept:, :n_kept], y[..., n_kept:, n_kept:]
    if others.shape[-1] == 1:
        voltages = coupling / others
    else:
        voltages = torch.cholesky_solve(coupling, torch.linalg.cholesky(others))
    reduced = kept - coupling.mT @ voltages
    # no patch is connected to ground, so its rows sum to zero: a diagonal taken from the rest of the row, whose
    # elements all have one sign, keeps the digits that the difference loses where wires conduct well
    reduced.diagonal(dim1=-2, dim2=-1).zero_()
    reduced.diagonal(dim1=-2, dim2=-1).copy_(-reduced.sum(-1))
    return reduced, voltages


def _restore(adjoint: Tensor, voltages: Tensor) -> Tensor:
    """Return the adjoint of `_eliminate`: the gradient over all nodes from that over the kept ones."""
    left = voltages @ adjoint
    upper = torch.cat((adjoint, -(adjoint @ voltages.mT)), dim=-1)
    return torch.cat((upper, torch.cat((-left, left @ voltages.mT), dim=-1)), dim=-2)


def _carried(change: Tensor, voltages: Tensor) -> Tensor:
    """Return the change of what `_eliminate` returns: the adjoint of `_restore`."""
    n_kept = voltages.shape[-1]
    kept, coupling, others = change[..., :n_kept, :n_kept], change[..., n_kept:, :n_kept], change[..., n_kept:, n_kept:]
    mixed = voltages.mT @ coupling
    return kept - mixed - mixed.mT + voltages.mT @ others @ voltages


def _deal(patches: Tensor, across: bool, n: int) -> list[Tensor]:
    """Return every n-th patch along the rows (or columns), starting with the first, the second and so on."""
    return [patches[..., k::n, :, :] if across else patches[..., k::n, :, :, :] for k in range(n)]


def _plan(n_rows: int, n_cols: int) -> list[tuple[bool, list[_Seam]]]:
    """Return the joints of each level, single cells first; a patch stays about as high as it is wide."""
    plan = []
    cells, count = (1, 1), (n_rows, n_cols)
    while count != (1, 1):
        across = count[0] == 1 or (count[1] > 1 and cells[1] <= cells[0])
        n = 2 if count[across] % 2 == 0 else 3
        seams = [_Seam(cells, cells, across)]
        if n == 3:
            seams.append(_Seam(seams[0].cells, cells, across))
        plan.append((across, seams))
        cells = seams[-1].cells
        count = (count[0], count[1] // n) if across else (count[0] // n, count[1])
    return plan


def _smooth(n: int) -> int:
    """Return the smallest number from n on without a prime factor above 3."""
    powers_of_three = [int(3**k) for k in range(n.bit_length() + 1)]
    return min(three << (-(-n // three) - 1).bit_length() for three in powers_of_three)


def _terminals_first(n_rows: int, n_cols: int, torch_device: torch.device) -> Tensor:
    """Return the order of a whole array's ports in which left ends and lower ends come first."""
    port = torch.arange(2 * (n_rows + n_cols), device=torch_device)
    left, right, upper, lower = port.split([n_rows, n_rows, n_cols, n_cols])
    return torch.cat((left, lower, right, upper))
