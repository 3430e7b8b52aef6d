"""A mesh of Mach-Zehnder interferometers: a programmable matrix for light."""

import math
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["Arrangement", "InterferometerMesh"]

Arrangement = Literal["clements", "reck"]
LEAST_SHARE: Final = 1e-9
"""Of the power that a coupler sends either way: a fit that leads beyond stops there, where roots have a slope."""
DB_TO_AMPLITUDE: Final = -math.log(10) / 20
"""Loss in dB of power times this is the logarithm of the amplitude."""


class InterferometerMesh(nn.Module):
    """Interferometers on n waveguides, column by column, each with two phase shifters and two couplers.

    Light of two neighbouring guides meets, in this order, a phase φ on the upper guide, the left coupler, a phase θ on
    the upper guide, the right coupler: `T = B(r) diag(e^{iθ}, 1) B(l) diag(e^{iφ}, 1)` with
    `B(e) = [[√(1+e), i√(1-e)], [i√(1-e), √(1+e)]] / √2`; e is the imbalance, 0 for 50:50. Behind the last column each
    guide has an output phase. `clements` is the rectangle of n columns (Clements et al. 2016, Optica 3, 1460), `reck`
    the triangle of 2n - 3 (Reck et al. 1994, Phys. Rev. Lett. 73, 58); both reach every unitary matrix.

    What a user sets is an input of `forward`: all phases in rad, shape `(n_phases,)`, first every θ, then every φ, both
    column by column and top to bottom, then the output phases. What the hardware has of itself is a quantity.

    Args:
        n_ports: Guides, n.
        arrangement: See above.
        left_imbalance: e of each left coupler, within ±1, shape `(n_mzis,)`.
        right_imbalance: The same of right couplers.
        phase_error_rad: Added to each phase, shape `(n_phases,)`.
        loss_db: Loss of power in each interferometer, half of it in each coupler, shape `(n_mzis,)`; light that meets
            none of a column loses none.
        guide_loss_db: Loss of power of every guide in each column, whether it meets an interferometer or not: loss that
            is the same on all paths.
        crosstalk: Part of its own phase that a shifter adds to the θ and φ of the interferometers that are next to its
            own, above and below in its column and in the same row two columns before and behind (thermal crosstalk).
        nonreciprocal_rad: Added to each phase for light that runs backwards only, as a magneto-optic waveguide does,
            shape `(n_phases,)`; 0 for a mesh that is reciprocal.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    left_imbalance: Tensor
    right_imbalance: Tensor
    phase_error_rad: Tensor
    loss_db: Tensor
    crosstalk: Tensor
    guide_loss_db: Tensor
    nonreciprocal_rad: Tensor
    _neighbours: Tensor

    def __init__(
        self, n_ports: int, arrangement: Arrangement = "clements", *, left_imbalance: QuantityLike = 0.0,
        right_imbalance: QuantityLike = 0.0, phase_error_rad: QuantityLike = 0.0, loss_db: QuantityLike = 0.0,
        crosstalk: QuantityLike = 0.0, guide_loss_db: QuantityLike = 0.0, nonreciprocal_rad: QuantityLike = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if n_ports < 2:
            raise ValueError(f"interferometer mesh: {n_ports} ports are asked for, expected at least 2")
        self.n_ports, self.arrangement = n_ports, arrangement
        self.columns = _columns(n_ports, arrangement)
        self.places = [(c, first + 2 * k) for c, (first, n) in enumerate(self.columns) for k in range(n)]
        self.n_mzis = len(self.places)
        for name, value in {"left_imbalance": left_imbalance, "right_imbalance": right_imbalance}.items():
            register_quantity(self, name, value, shape=(self.n_mzis,))
            if float(getattr(self, name).detach().abs().max()) > 1:
                raise ValueError(f"interferometer mesh: {name} is beyond ±1: no coupler does that")
        register_quantity(self, "phase_error_rad", phase_error_rad, shape=(self.n_phases,))
        register_quantity(self, "loss_db", loss_db, shape=(self.n_mzis,))
        register_quantity(self, "crosstalk", crosstalk, shape=())
        register_quantity(self, "guide_loss_db", guide_loss_db, shape=())
        register_quantity(self, "nonreciprocal_rad", nonreciprocal_rad, shape=(self.n_phases,))
        self.register_buffer("_neighbours", _neighbours(self.places), persistent=False)

    @property
    def n_phases(self) -> int:
        """Return the number of phases that are set."""
        return 2 * self.n_mzis + self.n_ports

    @property
    def n_places(self) -> int:
        """Return the number of places inside that can be looked at: the phase shifters."""
        return self.n_phases

    def forward(self, field: Tensor, phases: Tensor) -> Tensor:
        """Return the fields that come out, shape `(..., n)`, complex; arguments as in `matrix`, field of that shape."""
        return (self.matrix(phases) @ field[..., None])[..., 0] if phases.ndim > 1 else field @ self.matrix(phases).mT

    def matrix(self, phases: Tensor) -> Tensor:
        """Return the matrix from fields in to fields out, shape `(..., n, n)`, differentiable in phases and quantities.

        Args:
            phases: See above, in rad, shape `(..., n_phases)`.
        """
        theta, phi, output = self.acting(phases)
        inside: Tensor = _Product.apply(self._mzis(theta, phi), self.columns, self.n_ports)  # type: ignore[no-untyped-call]
        lost = (len(self.columns) * self.guide_loss_db.to(output.dtype) * DB_TO_AMPLITUDE).exp()
        return torch.polar(lost.expand_as(output), output)[..., None] * inside

    def acting(self, phases: Tensor, *, backward: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return the θ, the φ and the output phases that light really meets, in rad.

        Args:
            phases: As in `matrix`.
            backward: For light that runs from the outputs to the inputs.
        """
        if phases.shape[-1] != self.n_phases:
            raise ValueError(
                f"interferometer mesh: phases have shape {tuple(phases.shape)}, expected (..., {self.n_phases})"
            )
        real = phases + self.phase_error_rad
        if backward:
            real = real + self.nonreciprocal_rad
        theta, phi, output = real.split([self.n_mzis, self.n_mzis, self.n_ports], -1)
        if self.crosstalk.requires_grad or float(self.crosstalk) != 0:
            theta, phi = (set_ + self.crosstalk * self._from_neighbours(set_) for set_ in (theta, phi))
        return theta, phi, output

    def scatter(self, grid: Tensor) -> Tensor:
        """Return one number an interferometer, shape `(n_mzis,)`, of a table by column and row of the column.

        Args:
            grid: Shape `(columns, n)` with n at least the interferometers of the longest column; what is beyond is cut.
        """
        return torch.cat([grid[c, :n] for c, (_, n) in enumerate(self.columns)])

    def program(self, unitary: Tensor) -> Tensor:
        """Return the phases in rad, shape `(n_phases,)`, for which a perfect mesh has this matrix.

        Elements are nulled one after the other by interferometers on either side (Clements et al. 2016, algorithm 1),
        or on one side for the triangle (Reck et al. 1994).

        Args:
            unitary: Shape `(n, n)`, complex.

        Raises:
            ValueError: It has another shape, or is not unitary.
        """
        n, u = self.n_ports, unitary.detach().to(torch.complex128).clone()
        if u.shape != (n, n) or not torch.allclose(u.mH @ u, torch.eye(n, dtype=u.dtype), atol=1e-5):
            raise ValueError(f"interferometer mesh: shape {tuple(u.shape)}, expected a unitary matrix of {(n, n)}")
        before: list[tuple[int, float, float]] = []
        behind: list[tuple[int, float, float]] = []
        if self.arrangement == "reck":
            for row in range(n - 1, 0, -1):
                before += [_null_by_columns(u, row, column) for column in range(row)]
        else:
            for i in range(1, n):
                if i % 2:
                    before += [_null_by_columns(u, n - 1 - j, i - 1 - j) for j in range(i)]
                else:
                    behind += [_null_by_rows(u, n + j - i - 1, j - 1) for j in range(1, i + 1)]
        diagonal = u.diagonal().clone()
        for port, theta, phi in reversed(behind):
            before.append(_carried_through(diagonal, port, theta, phi))
        return self._placed(before, diagonal.angle()).to(unitary.real.dtype)

    def _placed(self, sequence: list[tuple[int, float, float]], output: Tensor) -> Tensor:
        """Put interferometers that light meets in this order into their columns."""
        numbers = {place: k for k, place in enumerate(self.places)}
        phases, free = torch.zeros(self.n_phases, dtype=output.dtype), [0] * self.n_ports
        for port, theta, phi in sequence:
            column = max(free[port], free[port + 1])
            column += (column - port) % 2
            free[port] = free[port + 1] = column + 1
            k = numbers[column, port]
            phases[k], phases[self.n_mzis + k] = theta, phi
        phases[2 * self.n_mzis :] = output
        return phases

    def _mzis(self, theta: Tensor, phi: Tensor) -> Tensor:
        """Return T of every interferometer, shape `(..., n_mzis, 2, 2)`."""
        (lt, lc), (rt, rc) = (
            tuple(part.clamp(min=LEAST_SHARE).sqrt() for part in ((1 + e) / 2, (1 - e) / 2))
            for e in (self.left_imbalance.to(theta.dtype), self.right_imbalance.to(theta.dtype))
        )
        inner, outer = (torch.polar(torch.ones_like(angle), angle) for angle in (theta, phi))
        amplitude = (self.loss_db.to(theta.dtype) * DB_TO_AMPLITUDE).exp()
        upper = torch.stack([(rt * lt * inner - rc * lc) * outer, 1j * (rt * lc * inner + rc * lt)], -1)
        lower = torch.stack([1j * (rc * lt * inner + rt * lc) * outer, rt * lt - rc * lc * inner], -1)
        return torch.stack([upper, lower], -2) * amplitude[..., None, None]

    def _from_neighbours(self, phases: Tensor) -> Tensor:
        """Return the sum of the phases of each interferometer's neighbours."""
        padded = nn.functional.pad(phases, (0, 1))
        return padded[..., self._neighbours].sum(-1)

    def extra_repr(self) -> str:
        """Return what `print(mesh)` shows between its brackets."""
        return f"{self.n_ports} ports, {self.arrangement}, {self.n_mzis} interferometers in {len(self.columns)} columns"


class _Product(torch.autograd.Function):
    """The product of all columns; every column is one batched product of 2 x 2 matrices, back and forth."""

    @staticmethod
    def forward(ctx: Any, mzis: Tensor, columns: list[tuple[int, int]], n_ports: int) -> Tensor:
        batch = mzis.shape[:-3]
        states = mzis.new_empty((len(columns) + 1, *batch, n_ports, n_ports))
        states[0] = torch.eye(n_ports, dtype=mzis.dtype, device=mzis.device)
        begin = 0
        for k, (first, n) in enumerate(columns):
            last = first + 2 * n
            states[k + 1, ..., :first, :] = states[k, ..., :first, :]
            states[k + 1, ..., last:, :] = states[k, ..., last:, :]
            pairs = states[k, ..., first:last, :].unflatten(-2, (n, 2))
            states[k + 1, ..., first:last, :] = (mzis[..., begin : begin + n, :, :] @ pairs).flatten(-3, -2)
            begin += n
        ctx.columns = columns
        ctx.save_for_backward(mzis, states)
        ctx.save_for_forward(mzis, states)
        return states[-1].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        mzis, states = ctx.saved_tensors
        grad, found, end = grads[0].clone(), torch.empty_like(mzis), mzis.shape[-3]
        for k, (first, n) in reversed(list(enumerate(ctx.columns))):
            last, begin = first + 2 * n, end - n
            pairs = states[k, ..., first:last, :].unflatten(-2, (n, 2))
            above = grad[..., first:last, :].unflatten(-2, (n, 2))
            found[..., begin:end, :, :] = above @ pairs.mH
            grad[..., first:last, :] = (mzis[..., begin:end, :, :].mH @ above).flatten(-3, -2)
            end = begin
        return found, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        mzis, states = ctx.saved_tensors
        found, begin = torch.zeros_like(states[0]), 0
        for k, (first, n) in enumerate(ctx.columns):
            last, some = first + 2 * n, slice(begin, begin + n)
            before, change = (x[..., first:last, :].unflatten(-2, (n, 2)) for x in (states[k], found))
            after = mzis[..., some, :, :] @ change + tangents[0][..., some, :, :] @ before
            found = torch.cat([found[..., :first, :], after.flatten(-3, -2), found[..., last:, :]], -2)
            begin += n
        return found


def _columns(n: int, arrangement: Arrangement) -> list[tuple[int, int]]:
    """Return the uppermost port and the number of interferometers of each column."""
    if arrangement == "clements":
        return [(c % 2, (n - c % 2) // 2) for c in range(n)]
    return [(c % 2, min(c, 2 * n - 4 - c) // 2 + 1 if c % 2 == 0 else (min(c, 2 * n - 4 - c) + 1) // 2)
            for c in range(2 * n - 3)]  # fmt: skip


def _neighbours(places: list[tuple[int, int]]) -> Tensor:
    """Return the numbers of up to four neighbours of each interferometer, the number of all where one is missing."""
    numbers = {place: k for k, place in enumerate(places)}
    around = ((0, -2), (0, 2), (-2, 0), (2, 0))
    return torch.tensor([[numbers.get((c + dc, p + dp), len(places)) for dc, dp in around] for c, p in places])


def _null_by_columns(u: Tensor, row: int, column: int) -> tuple[int, float, float]:
    """Null an element by T† on the right of two columns; return port, θ and φ of T."""
    a, b = complex(u[row, column]), complex(u[row, column + 1])
    theta, phi = 2 * math.atan2(abs(b), abs(a)), _angle(a) - _angle(b) + math.pi
    u[:, column : column + 2] = u[:, column : column + 2] @ _perfect(theta, phi).mH
    return column, theta, phi


def _null_by_rows(u: Tensor, row: int, column: int) -> tuple[int, float, float]:
    """Null an element by T on the left of two rows; return port, θ and φ of T."""
    a, b = complex(u[row - 1, column]), complex(u[row, column])
    theta, phi = 2 * math.atan2(abs(a), abs(b)), _angle(b) - _angle(a)
    u[row - 1 : row + 1] = _perfect(theta, phi) @ u[row - 1 : row + 1]
    return row - 1, theta, phi


def _carried_through(diagonal: Tensor, port: int, theta: float, phi: float) -> tuple[int, float, float]:
    """Write `T† D` as `D' T'`; changes the diagonal, and returns port, θ and φ of T'."""
    upper, lower = complex(diagonal[port]), complex(diagonal[port + 1])
    turned = complex(math.cos(theta), -math.sin(theta))
    opposite = complex(math.cos(phi), -math.sin(phi))
    diagonal[port : port + 2] = torch.tensor([-turned * opposite * lower, -turned * lower], dtype=diagonal.dtype)
    return port, theta, _angle(upper) - _angle(lower)


def _perfect(theta: float, phi: float) -> Tensor:
    half = theta / 2
    outer = complex(math.cos(phi), math.sin(phi))
    common = 1j * complex(math.cos(half), math.sin(half))
    s, c = math.sin(half), math.cos(half)
    return common * torch.tensor([[outer * s, c], [outer * c, -s]], dtype=torch.complex128)


def _angle(z: complex) -> float:
    return math.atan2(z.imag, z.real)
