"""A crossbar of conductances between row and column wires, as its terminals see it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.errors import SetpointError
from pnnlab.physics._memristor import Memristor, ProgrammedCells, conductance_at, read_noise_std
from pnnlab.physics._quantity import Derived, register_quantity
from pnnlab.physics._wires import Wires, effective_conductance

__all__ = ["Crossbar", "DifferentialPair", "multiply"]


def multiply(
    v: Tensor, g: Tensor, *, read_variance: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Multiply voltages with conductances, I_j = sum_i v_i G_ij, by Ohm's and Kirchhoff's laws.

    Independent Gaussian read noise of the cells adds up to one Gaussian a column, drawn here as such:
    I_j += sqrt(sum_i v_i^2 sigma_ij^2) xi_j, fresh for every sample. It has exactly the distribution of a noisy
    conductance drawn for every cell and sample, for the price of a second product, as long as no single
    conductance is clipped.

    Args:
        v: Voltages of the rows in volts, shape `(batch, n_rows)`.
        g: Conductances in siemens, shape `(n_rows, n_cols)`.
        read_variance: Variance of one read of each cell in square siemens, shape `(n_rows, n_cols)`.
        generator: Source of the read noise, on v's torch device. Noise needs both; without either, the result is
            the mean.

    Returns:
        Currents of the columns in amperes, shape `(batch, n_cols)`.
    """
    current = v @ g
    if read_variance is None or generator is None:
        return current
    # the square root has no derivative at zero, which an undriven array reaches; the smallest number is no noise
    std = ((v * v) @ read_variance).clamp_(min=torch.finfo(v.dtype).tiny).sqrt_()
    noise = torch.randn(current.shape, generator=generator, dtype=v.dtype, device=v.device)
    return torch.addcmul(current, std, noise)


class Crossbar(nn.Module):
    """An array of cells between row and column wires, driven with voltages and read as currents.

    Rows are driven at their left ends, columns grounded at their bottom ends; `transposed` reads the same cells
    the other way. The conductances are a buffer (a plant, whose `load` changes it) or a parameter (a twin that
    learns them).

    With wires the array multiplies with its effective matrix, computed exactly once for given conductances (see
    `effective_conductance`). The read noise of a cell is then taken to reach the terminals as attenuated as the
    cell's own contribution, M/G: its standard deviation is right to first order in the voltage lost on the wires
    (measured for 32x32 cells of 1 to 100 uS: within 5 % where 4 % of the current is lost, 15 % where 20 % is).

    Args:
        conductance_siemens: Conductances, shape `(n_rows, n_cols)`; an `nn.Parameter` is learned.
        read_std_siemens: Standard deviation of one read of each cell, same shape. Default: noiseless.
        wires: Resistance of the wires. Default: none.

    Raises:
        ValueError: The conductances have no two dimensions, or one is negative or not finite.
    """

    conductance_siemens: Tensor
    read_variance: Tensor | None

    def __init__(
        self,
        conductance_siemens: Tensor,
        *,
        read_std_siemens: Tensor | None = None,
        wires: Wires | None = None,
    ) -> None:
        super().__init__()
        _check_conductances(conductance_siemens)
        register_quantity(self, "conductance_siemens", conductance_siemens)
        variance = None if read_std_siemens is None else _variance(read_std_siemens, conductance_siemens)
        self.register_buffer("read_variance", variance)
        self.wires = wires
        self._derived = Derived[_Effective]()

    @classmethod
    def from_cells(cls, cells: ProgrammedCells, t_s: float = 0.0, *, wires: Wires | None = None) -> "Crossbar":
        """Return the crossbar that programmed cells are at time `t_s` after their first read."""
        crossbar = cls(conductance_at(cells, t_s).detach().clone(), wires=wires)
        crossbar.load(cells, t_s)
        return crossbar

    @torch.no_grad()
    def load(self, cells: ProgrammedCells, t_s: float) -> None:
        """Take over what programmed cells have become by `t_s`: after a write, or as they drift.

        Args:
            cells: Cells, shape `(n_rows, n_cols)` as the crossbar's.
            t_s: Time in seconds since the cells' first read.
        """
        g = conductance_at(cells, t_s)
        if g.shape != self.conductance_siemens.shape:
            raise ValueError(
                f"crossbar: cells have shape {tuple(g.shape)}, expected {tuple(self.conductance_siemens.shape)}"
            )
        self.conductance_siemens.copy_(g)
        noiseless = cells.model.read_noise is None
        self.read_variance = None if noiseless else _variance(read_noise_std(cells, t_s), self.conductance_siemens)

    def effective_conductance(self) -> Tensor:
        """Return the matrix that the terminals show, in siemens, shape `(n_rows, n_cols)`."""
        return self._effective().matrix

    def forward(self, v: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Drive the rows and read the columns.

        Args:
            v: Voltages of the rows in volts, shape `(batch, n_rows)`.
            generator: Source of the read noise. Default: none, the mean current.

        Returns:
            Currents of the columns in amperes, shape `(batch, n_cols)`.
        """
        effective = self._effective()
        return multiply(v, effective.matrix, read_variance=effective.variance, generator=generator)

    def transposed(self, u: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Drive the columns at their bottom ends and read the rows at their left ends.

        The matrix is the exact transpose of `forward`'s, with wires too: a resistive network is reciprocal.

        Args:
            u: Voltages of the columns in volts, shape `(batch, n_cols)`.
            generator: Source of the read noise. Default: none, the mean current.

        Returns:
            Currents of the rows in amperes, shape `(batch, n_rows)`.
        """
        effective = self._effective()
        variance = None if effective.variance is None else effective.variance.mT
        return multiply(u, effective.matrix.mT, read_variance=variance, generator=generator)

    def _effective(self) -> "_Effective":
        g, variance, wires = self.conductance_siemens, self.read_variance, self.wires
        if wires is None:
            return _Effective(g, variance)
        quantities = [g] if variance is None else [g, variance]
        # a deep copy's tensors start counting versions anew, so its own identity belongs to the key
        return self._derived.of(quantities, (id(self), wires), lambda: _behind(wires, g, variance))


@dataclass(frozen=True)
class _Effective:
    """What the terminals show: the matrix in siemens and its read variance, both `(n_rows, n_cols)`."""

    matrix: Tensor
    variance: Tensor | None


def _behind(wires: Wires, g: Tensor, variance: Tensor | None) -> _Effective:
    matrix = effective_conductance(g, wires)
    if variance is not None:
        # next to a strongly conducting cell, currents that sneak around can exceed those through a weak one: these
        # say nothing of the weak cell's noise, which is at most what it is without wires
        ratio = torch.where(g > 0.0, matrix / g, torch.ones_like(g)).detach().clamp(max=1.0)
        variance = variance * ratio**2
    return _Effective(matrix, variance)


@dataclass(frozen=True)
class DifferentialPair:
    """A signed weight as the difference of two conductances, w = (g_plus - g_minus)/(g_max - g_min).

    One cell carries the weight, the other rests at the window's lower end. Both stay in the window for every
    weight in [-1, 1].

    Attributes:
        g_min_siemens: Lower end of the window.
        g_max_siemens: Upper end of the window.
    """

    g_min_siemens: float
    g_max_siemens: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.g_min_siemens < self.g_max_siemens < math.inf:
            raise ValueError(
                f"differential pair: window is {self.g_min_siemens:g} S to {self.g_max_siemens:g} S, "
                "expected 0 S <= g_min < g_max"
            )

    @classmethod
    def of(cls, model: Memristor) -> "DifferentialPair":
        """Return the pair that uses the whole window of a kind of cell."""
        return cls(model.g_min_siemens, model.g_max_siemens)

    @property
    def scale_siemens(self) -> float:
        """Difference of conductances in siemens that one unit of weight is."""
        return self.g_max_siemens - self.g_min_siemens

    def conductances(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the conductances of both cells in siemens, each of the weights' shape.

        Args:
            weight: Weights, shape `(n_rows, n_out)`, each in [-1, 1].

        Raises:
            SetpointError: A weight lies outside [-1, 1] or is not finite.
        """
        found = weight.detach()
        n_refused = found.numel() - int((found.abs() <= 1.0).sum())
        if n_refused:
            raise SetpointError(
                f"differential pair: {n_refused} of {found.numel()} weights, spanning {float(found.min()):g} to "
                f"{float(found.max()):g}, lie outside -1 to 1; rescale the weights"
            )
        # halves of |w| +- w and not two clamps: so the pair's derivative is 1 at w = 0 too
        low, high = weight.new_tensor(self.g_min_siemens), weight.new_tensor(self.g_max_siemens)
        plus = torch.lerp(low, high, 0.5 * (weight.abs() + weight))
        minus = torch.lerp(low, high, 0.5 * (weight.abs() - weight))
        return plus, minus

    def weights(self, g_plus: Tensor, g_minus: Tensor) -> Tensor:
        """Return the weights that two arrays of conductances in siemens stand for; same shape, without unit."""
        return (g_plus - g_minus) / self.scale_siemens

    def columns(self, weight: Tensor) -> Tensor:
        """Return both conductances side by side on one array, in siemens.

        Args:
            weight: Weights, shape `(n_rows, n_out)`, each in [-1, 1].

        Returns:
            Conductances, shape `(n_rows, 2 n_out)`: column 2k is the plus, 2k + 1 the minus cell of output k.
        """
        return torch.stack(self.conductances(weight), dim=-1).flatten(-2)

    def difference(self, current: Tensor) -> Tensor:
        """Return the weighted sums of voltages in volts that the currents of such an array stand for.

        Args:
            current: Currents of the columns in amperes, shape `(batch, 2 n_out)`.

        Returns:
            Sums of weight times voltage in volts, shape `(batch, n_out)`.
        """
        return (current[..., 0::2] - current[..., 1::2]) / self.scale_siemens


def _variance(std: Tensor, like: Tensor) -> Tensor:
    if std.shape != like.shape or not bool(((std >= 0.0) & torch.isfinite(std)).all()):
        raise ValueError(
            f"crossbar: read noise has shape {tuple(std.shape)} and spans {float(std.min()):g} S to "
            f"{float(std.max()):g} S, expected shape {tuple(like.shape)} and finite values of at least 0 S"
        )
    return (std.detach() ** 2).to(like.detach())


def _check_conductances(g: Tensor) -> None:
    found = g.detach()
    if found.ndim != 2:
        raise ValueError(f"crossbar: conductances have shape {tuple(found.shape)}, expected (n_rows, n_cols)")
    if not bool(((found >= 0.0) & torch.isfinite(found)).all()):
        raise ValueError(
            f"crossbar: conductances span {float(found.min()):g} S to {float(found.max()):g} S, expected finite ones "
            "of at least 0 S"
        )
