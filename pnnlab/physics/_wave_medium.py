"""Linear media with ports that remember, and nonlinear nodes that feed them back: cavities and delay lines."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["AcousticCavity", "DelayLine", "FeedbackMedium", "NodeFunction", "PortedMedium", "node_function"]

State = tuple[Tensor, ...]
NodeFunction = Literal["tanh", "sin2"]


class PortedMedium(nn.Module, ABC):
    """A linear medium in steps of one sample: each port sends into it and hears what comes back.

    Attributes:
        n_ports: Number of ports.
    """

    n_ports: int

    @abstractmethod
    def rest(self, like: Tensor) -> State:
        """Return the state of silence.

        Args:
            like: Any tensor of the batch's shape, `(batch, n_ports)`.
        """

    @abstractmethod
    def heard(self, state: State) -> Tensor:
        """Return what the ports hear now, shape `(batch, n_ports)`; only earlier samples are in it."""

    @abstractmethod
    def carried(self, state: State, sent: Tensor) -> State:
        """Return the state one sample later.

        Args:
            state: The present one; it is not changed.
            sent: What the ports send now, shape `(batch, n_ports)`.
        """

    def response(self, n_samples: int) -> Tensor:
        """Return the impulse responses D, shape `(n_samples, n_ports, n_ports)`: heard at the first of two ports.

        A medium is reciprocal where all of them are symmetric.
        """
        sent = torch.eye(self.n_ports, dtype=torch.float64)
        state, found = self.rest(sent), []
        for _ in range(n_samples):
            found.append(self.heard(state))
            state = self.carried(state, sent)
            sent = torch.zeros_like(sent)
        return torch.stack(found).mT


class AcousticCavity(PortedMedium):
    """Sound pressure u in a two-dimensional cavity, by leapfrog steps on a square grid.

    `(1 + γ/2) u⁺ = 2 u - (1 - γ/2) u⁻ + c² Δu - 2 v ∂ₓ(u - u⁻) + s`, one sample a step: centred differences of the
    damped wave equation (Courant, Friedrichs & Lewy 1928; stable for c² ≤ 1/2), Δ with mirrored neighbours at hard
    walls and silent ones at open ends. Damping may differ from place to place: the impulse responses between ports stay
    symmetric whatever it is. A mean flow v along the rows breaks that.

    Args:
        shape: Rows and columns of the grid.
        ports: Row and column of each port.
        courant: c, in cells a sample, at most √½.
        damping: γ, the part of the velocity that is lost in a sample, in the air.
        wall_damping: What is added to γ in the cells along the walls.
        walls: `hard` ones reflect pressure as it is and keep what is pumped in; `open` ends reflect it reversed.
        flow: v, in cells a sample; 0 for a medium at rest.
        roughness: Relative standard deviation of γ from cell to cell, which cannot go below 0.
        seed: Of the roughness.
    """

    damping: Tensor
    _cells: Tensor
    _beyond: Tensor

    def __init__(
        self, shape: tuple[int, int], ports: Sequence[tuple[int, int]], *, courant: float = 0.6, damping: float = 0.05,
        wall_damping: float = 0.0, walls: Literal["hard", "open"] = "hard", flow: float = 0.0, roughness: float = 0.0,
        seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        rows, columns = shape
        if min(shape) < 2 or any(not (0 <= r < rows and 0 <= c < columns) for r, c in ports):
            raise ValueError(f"AcousticCavity: ports {tuple(ports)} do not lie on a grid of {rows} x {columns} cells")
        if len(set(ports)) != len(ports) or not ports:
            raise ValueError(f"AcousticCavity: ports {tuple(ports)} are to be different cells, one or more")
        if not 0 < courant <= math.sqrt(0.5):
            raise ValueError(f"AcousticCavity: courant is {courant:g}, leapfrog steps are stable above 0 up to 0.707")
        if damping < 0 or wall_damping < 0:
            raise ValueError(f"AcousticCavity: damping {damping:g} and {wall_damping:g} are to be at least 0")
        self.shape, self.ports, self.courant, self.flow = (rows, columns), tuple(ports), courant, flow
        self.n_ports = len(self.ports)
        beyond = torch.zeros(rows, columns, dtype=torch.float64)
        for edge in (beyond[0], beyond[-1], beyond[:, 0], beyond[:, -1]):
            edge += walls == "open"
        self.register_buffer("_beyond", beyond, persistent=False)
        cells = torch.full((rows, columns), damping, dtype=torch.float64)
        for edge in (cells[0], cells[-1], cells[1:-1, 0], cells[1:-1, -1]):
            edge += wall_damping
        draw = torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("damping", (cells * (1 + roughness * draw)).clamp_min(0))
        self.register_buffer("_cells", torch.tensor([r * columns + c for r, c in self.ports]), persistent=False)

    def rest(self, like: Tensor) -> State:
        """See `PortedMedium.rest`: u now and one sample before."""
        silence = like.new_zeros(len(like), *self.shape)
        return silence, silence

    def heard(self, state: State) -> Tensor:
        """See `PortedMedium.heard`."""
        return state[0].flatten(1)[:, self._cells]

    def carried(self, state: State, sent: Tensor) -> State:
        """See `PortedMedium.carried`."""
        u, before = state
        half = self.damping.to(u.dtype) / 2
        push = 2 * u - (1 - half) * before + self.courant**2 * (_laplacian(u) - self._beyond.to(u.dtype) * u)
        if self.flow:
            push = push - 2 * self.flow * _slope(u - before)
        push = push.flatten(1).index_add(1, self._cells, sent).unflatten(1, self.shape)
        return push / (1 + half), u


class DelayLine(PortedMedium):
    """One port, and a loop that hands back what was sent some samples ago, slowed by a low-pass of first order.

    `ε x' = -x + s(t - τ)`, exactly integrated for an s that is constant over a sample (Appeltant et al. 2011, Nat.
    Commun. 2, 468; optoelectronic: Paquot et al. 2012, Sci. Rep. 2, 287). One port is always reciprocal.

    Args:
        delay: τ in samples, 1 or more.
        response: ε in samples; 0 for none.
    """

    n_ports = 1

    def __init__(self, delay: int, *, response: float = 0.0) -> None:
        super().__init__()
        if delay < 1 or response < 0:
            raise ValueError(
                f"DelayLine: a delay of {delay} samples and a response of {response:g}: give 1 and 0 or more"
            )
        self.delay, self.decay = delay, math.exp(-1 / response) if response else 0.0

    def rest(self, like: Tensor) -> State:
        """See `PortedMedium.rest`: x, and the samples under way, the oldest first."""
        silence = like.new_zeros(len(like), 1)
        return silence, *([silence] * (self.delay - 1))

    def heard(self, state: State) -> Tensor:
        """See `PortedMedium.heard`."""
        return state[0]

    def carried(self, state: State, sent: Tensor) -> State:
        """See `PortedMedium.carried`."""
        x, *under_way = *state, sent
        arrived, *rest = under_way
        return self.decay * x + (1 - self.decay) * arrived, *rest


class FeedbackMedium(nn.Module):
    """Nodes at the ports of a medium: each adds what is injected to what it hears, and sends a function of the sum.

    `a = m + g (D * s)`, `s = f(a)`; or, switched over, `s = G(t) a` with a gain that is played (Hermans et al. 2015,
    Nat. Commun. 6, 6729). In a reciprocal medium a run with injected errors reversed in time, and gains f'(a) of an
    earlier run reversed in time, is that run's backpropagation through time, whatever the damping.

    Args:
        medium: What carries waves between the ports.
        gain: g of each node, a number or shape `(n_ports,)`.
        function: f: `tanh` with f(a) = β tanh(a), or `sin2` with f(a) = β sin²(a + φ).
        amplitude: β of each node, a number or shape `(n_ports,)`.
        bias: φ in rad.
    """

    gain: Tensor
    amplitude: Tensor

    def __init__(
        self, medium: PortedMedium, *, gain: QuantityLike = 1.0, function: NodeFunction = "tanh",
        amplitude: QuantityLike = 1.0, bias: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.medium, self.function, self.bias = medium, function, bias
        register_quantity(self, "gain", gain, shape=(medium.n_ports,))
        register_quantity(self, "amplitude", amplitude, shape=(medium.n_ports,))

    def forward(
        self, injected: Tensor, gains: Tensor | None = None, multiplies: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run from silence.

        Args:
            injected: m, shape `(batch, n_samples, n_ports)`.
            gains: G, same shape.
            multiplies: Which samples of the batch are switched over to G, shape `(batch,)`; none if `None`.

        Returns:
            a and s, each of the same shape.
        """
        state = self.medium.rest(injected[:, 0])
        inputs, sent = [], []
        for k, m in enumerate(injected.unbind(1)):
            a = m + self.gain * self.medium.heard(state)
            s = node_function(a, self.function, self.amplitude, self.bias)
            if gains is not None and multiplies is not None:
                s = torch.where(multiplies[:, None], gains[:, k] * a, s)
            state = self.medium.carried(state, s)
            inputs.append(a)
            sent.append(s)
        return torch.stack(inputs, 1), torch.stack(sent, 1)


def node_function(a: Tensor, function: NodeFunction, amplitude: Tensor | float, bias: float) -> Tensor:
    """Return f(a); see `FeedbackMedium`."""
    return amplitude * (torch.tanh(a) if function == "tanh" else torch.sin(a + bias).square())


def _laplacian(u: Tensor) -> Tensor:
    """Return the sum of differences to the four neighbours; a wall has a mirror behind it."""
    across, down = u.diff(dim=2), u.diff(dim=1)
    pad = nn.functional.pad
    return pad(across, (0, 1)) - pad(across, (1, 0)) + pad(down, (0, 0, 0, 1)) - pad(down, (0, 0, 1, 0))


def _slope(u: Tensor) -> Tensor:
    """Return the antisymmetric difference along the rows."""
    pad = nn.functional.pad
    return (pad(u[:, :, 1:], (0, 1)) - pad(u[:, :, :-1], (1, 0))) / 2
