"""All states of a few spins, and what is measured of them."""

from itertools import combinations
from typing import Final

import torch
from torch import Tensor

__all__ = ["MOST_SPINS", "SpinStates"]

MOST_SPINS: Final = 16
"""More spins than this have too many states to list."""


class SpinStates:
    """The 2^n states of n spins of ±1, and the means of spins and of their pairs.

    Args:
        n_spins: n.
        dtype: Type of the tensors.

    Attributes:
        spins: Every state, shape `(2^n, n)`; the first spin changes slowest.
        first: The earlier spin of each pair, shape `(n (n - 1) / 2,)`.
        second: The later one.
    """

    def __init__(self, n_spins: int, dtype: torch.dtype = torch.float64) -> None:
        if not 1 <= n_spins <= MOST_SPINS:
            raise ValueError(f"spin states: {n_spins} spins, the states of 1 to {MOST_SPINS} can be listed")
        self.n_spins = n_spins
        bits = torch.arange(2**n_spins).unsqueeze(-1) >> torch.arange(n_spins - 1, -1, -1) & 1
        self.spins = (1 - 2 * bits).to(dtype)
        pairs = torch.tensor(list(combinations(range(n_spins), 2)), dtype=torch.int64).reshape(-1, 2)
        self.first, self.second = pairs.unbind(-1)
        self._products = self.spins[:, self.first] * self.spins[:, self.second]

    def energy(self, field: Tensor, coupling: Tensor) -> Tensor:
        """Return -sum_(i<j) J_ij s_i s_j - sum_i h_i s_i of every state, shape `(batch, 2^n)`; as in `Acting`."""
        pairs = coupling[..., self.first, self.second]
        along = (self._products @ pairs.unsqueeze(-1)).squeeze(-1)
        return -field @ self.spins.T - along

    def moments(self, probability: Tensor) -> Tensor:
        """Return the means of all spins, then of all pairs, shape `(batch, n + n (n - 1) / 2)`.

        Args:
            probability: Of every state, shape `(batch, 2^n)`.
        """
        return probability @ torch.cat([self.spins, self._products], dim=-1)

    def counted(self, probability: Tensor, shots: int, generator: torch.Generator | None = None) -> Tensor:
        """Return how often each state was found in a number of shots, over that number, shape `(batch, 2^n)`."""
        drawn = torch.multinomial(probability, shots, replacement=True, generator=generator)
        return (
            torch.zeros_like(probability).scatter_add_(-1, drawn, torch.ones_like(drawn, dtype=probability.dtype))
            / shots
        )

    def read_out(self, probability: Tensor, flip: Tensor) -> Tensor:
        """Return the probabilities of what is read where each spin is read wrongly with some probability.

        Args:
            probability: Of every state, shape `(batch, 2^n)`.
            flip: Of each spin to be read as the other, shape `(n,)`.
        """
        seen = probability
        for spin, wrong in enumerate(flip):
            parts = seen.unflatten(-1, (2**spin, 2, -1))
            seen = torch.lerp(parts, parts.flip(-2), wrong).flatten(-3)
        return seen
