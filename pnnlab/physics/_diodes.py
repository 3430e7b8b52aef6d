"""Diodes from nodes of a network to fixed rails."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

__all__ = ["Diodes"]

THERMAL_V: Final = 8.617333262e-5 * 300.15
"""Boltzmann's constant over the elementary charge, at 27 °C."""
_STEEPEST: Final = 80.0
"""Beyond this many thermal voltages the exponential goes on as a straight line, so that no number overflows."""


class Diodes:
    """Two diodes on each of some nodes: one lets current out to an upper rail, one in from a lower rail.

    Each carries `I_s (exp(v / (n V_T)) - 1)` at a forward voltage v (Shockley 1949). Together they keep the node near
    or between the rails: the network's nonlinearity, one that saturates (Kendall et al. 2020, arXiv 2006.01981).

    Args:
        nodes: Which nodes have them.
        n_nodes: Number of nodes of the network.
        rail_v: The rails lie at plus and minus this.
        saturation_a: I_s.
        ideality: n.
        spread: Relative deviation of each diode's saturation current, upper ones first, shape `(2 · nodes,)`.
    """

    def __init__(
        self, nodes: Sequence[int], n_nodes: int, *, rail_v: float = 0.0, saturation_a: float = 2.5e-9,
        ideality: float = 1.75, spread: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.nodes = torch.tensor(list(nodes), dtype=torch.int64)
        self._n_nodes, self._rail_v, self._unit_v = n_nodes, rail_v, ideality * THERMAL_V
        factor = torch.ones(2 * len(nodes), dtype=torch.float64) if spread is None else (1 + spread).clamp_min(0.01)
        self._upper_a, self._lower_a = (saturation_a * factor).chunk(2)

    def current(self, volts: Tensor) -> Tensor:
        """Return the current out of each node in A, shape `(batch, n_nodes)`, of the voltages of all."""
        up, down, _, _ = self._branches(volts)
        return self._at_nodes(
            self._upper_a.to(volts.dtype) * (up - 1) - self._lower_a.to(volts.dtype) * (down - 1), volts
        )

    def slope(self, volts: Tensor) -> Tensor:
        """Return by how much that grows with the node's voltage in S, same shape."""
        _, _, up, down = self._branches(volts)
        both = self._upper_a.to(volts.dtype) * up + self._lower_a.to(volts.dtype) * down
        return self._at_nodes(both / self._unit_v, volts)

    def _branches(self, volts: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = volts[:, self.nodes]
        (up, up_slope), (down, down_slope) = (
            _exponential(forward / self._unit_v) for forward in (own - self._rail_v, -own - self._rail_v)
        )
        return up, down, up_slope, down_slope

    def _at_nodes(self, values: Tensor, volts: Tensor) -> Tensor:
        return torch.zeros_like(volts).index_copy(1, self.nodes, values)


def _exponential(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(x) and its derivative, both with a straight continuation."""
    steep = x.clamp_max(_STEEPEST).exp()
    return steep * (1 + (x - _STEEPEST).clamp_min(0)), steep
