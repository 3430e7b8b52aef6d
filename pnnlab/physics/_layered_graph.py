"""Nodes in layers, joined in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Acting", "Joining", "LayeredGraph", "Softness"]

Joining = Literal["neighbours", "all"]
"""Which pairs are joined: nodes of neighbouring layers, or all but pairs of two inputs."""


@dataclass(frozen=True, slots=True)
class Softness:
    """Which products of values act on couplings and biases that give way.

    Attributes:
        joined: 1 where two free nodes are joined, else 0, shape `(n_free, n_free)`.
        held: For each free node, the sum of the squares of the inputs that are joined to it, and 1 for its bias, shape
            `(batch, n_free)`.
    """

    joined: Tensor
    held: Tensor

    def met(self, value: Tensor) -> Tensor:
        """Return the sum of the squares of all values that are joined to each free node, shape `(batch, n_free)`."""
        return self.held + value**2 @ self.joined


@dataclass(frozen=True, slots=True)
class Acting:
    """What acts on the free nodes of a graph while its inputs are held.

    Attributes:
        field: On each free node, shape `(batch, n_free)`.
        coupling: Between free nodes, symmetric with a zero diagonal, shape `(n_free, n_free)` or with the batch first.
        softness: What acts back on couplings, where they can give way.
    """

    field: Tensor
    coupling: Tensor
    softness: Softness | None = None

    def nudged(self, nudge: Tensor) -> "Acting":
        """Return the same with a force added to the field of the last nodes, shape `(batch, n_outputs)`."""
        n_free = self.field.shape[-1]
        field = self.field + torch.nn.functional.pad(nudge, (n_free - nudge.shape[-1], 0))
        return replace(self, field=field)


class LayeredGraph:
    """Nodes in layers: the first layer is held at the inputs, the last one holds the outputs.

    Nodes are counted from 0, layer by layer. Pairs come in the order of their nodes, the earlier node first.

    Args:
        layers: Nodes of each layer, inputs first.
        joining: Which pairs are joined.

    Attributes:
        n_nodes: All nodes.
        n_inputs: Those that are held.
        n_free: The others.
        n_outputs: Those of the last layer.
        first: The earlier node of each pair, shape `(n_pairs,)`.
        second: The later one, same shape.
    """

    def __init__(self, layers: Sequence[int], *, joining: Joining = "neighbours") -> None:
        if len(layers) < 2 or min(layers) < 1:
            raise ValueError(f"layered graph: layers of {tuple(layers)} nodes, expected two or more of 1 node or more")
        self.layers = tuple(layers)
        self.n_nodes, self.n_inputs, self.n_outputs = sum(layers), layers[0], layers[-1]
        self.n_free = self.n_nodes - self.n_inputs
        ends = [sum(layers[: k + 1]) for k in range(len(layers))]
        members = [range(end - size, end) for end, size in zip(ends, layers, strict=True)]
        if joining == "all":
            pairs = [pair for pair in combinations(range(self.n_nodes), 2) if pair[1] >= self.n_inputs]
        else:
            pairs = [pair for left, right in pairwise(members) for pair in product(left, right)]
        self.first, self.second = torch.tensor(pairs).unbind(-1)

    @property
    def n_pairs(self) -> int:
        """Return the number of joined pairs."""
        return len(self.first)

    @property
    def between_free(self) -> Tensor:
        """Return which pairs join two free nodes, shape `(n_pairs,)`."""
        return self.first >= self.n_inputs

    def matrix(self, values: Tensor) -> Tensor:
        """Return a symmetric matrix, shape `(..., n_nodes, n_nodes)`, of one value a pair, shape `(..., n_pairs)`."""
        half = values.new_zeros(*values.shape[:-1], self.n_nodes * self.n_nodes)
        places = (self.first * self.n_nodes + self.second).to(values.device)
        half = half.index_add(-1, places, values).unflatten(-1, (self.n_nodes, self.n_nodes))
        whole: Tensor = half + half.mT
        return whole

    def acting(self, inputs: Tensor, couplings: Tensor, biases: Tensor) -> Acting:
        """Return what acts on the free nodes where every pair's energy is minus coupling times both values.

        Args:
            inputs: Values at which the input nodes are held, shape `(batch, n_inputs)`.
            couplings: One a pair, shape `(n_pairs,)` or `(batch, n_pairs)`.
            biases: Field on each free node, shape `(n_free,)` or `(batch, n_free)`.
        """
        whole, n = self.matrix(couplings), self.n_inputs
        field = (whole[..., n:, :n] @ inputs.unsqueeze(-1)).squeeze(-1) + biases
        joined = self.matrix(torch.ones(self.n_pairs, dtype=inputs.dtype, device=inputs.device))
        softness = Softness(joined[n:, n:], inputs**2 @ joined[:n, n:] + 1)
        return Acting(field, whole[..., n:, n:], softness)
