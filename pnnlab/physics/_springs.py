"""A network of elastic springs in a plane."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnnlab.physics._layered_graph import LayeredGraph
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._relaxation import Settling, relax

__all__ = ["SpringLoad", "SpringNetwork"]


@dataclass(frozen=True, slots=True)
class SpringLoad:
    """What acts on the free nodes of a spring network.

    Attributes:
        inputs: Displacement of each held node along the first axis, shape `(batch, n_inputs)`.
        stiffness: Of each spring, shape `(n_pairs,)` or `(batch, n_pairs)`.
        lengthening: By which each spring's rest length differs from its drawn one, same shapes.
        pull: Force on each output node along the second axis, shape `(batch, n_outputs)`.
    """

    inputs: Tensor
    stiffness: Tensor
    lengthening: Tensor
    pull: Tensor


class SpringNetwork(nn.Module):
    """Nodes in a plane that fall down E = sum k_e (l_e - l0_e)^2 / 2 + ground sum u^2 / 2.

    Lengths are in units of the distance of two layers, stiffnesses and forces in a common unit. Layers stand beside
    each other along the first axis, the nodes of a layer above each other along the second. The energy is quadratic in
    the springs' lengths and not in the nodes' places, so large displacements u are answered nonlinearly. Outputs are
    the displacements of the last layer along the second axis. Nodes are overdamped: velocity is force.

    Args:
        graph: Nodes and springs.
        ground: Stiffness of the spring that holds each free node at its drawn place.
        skew: By which the pull of each spring on its earlier node is relatively larger, and on its later one smaller,
            than the spring's tension, shape `(n_pairs,)`; 0 for springs that keep to Newton's third law.
        settling: How long nodes settle.
    """

    skew: Tensor
    places: Tensor
    incidence: Tensor

    def __init__(
        self, graph: LayeredGraph, skew: Tensor, *, ground: float = 0.3, settling: Settling | None = None
    ) -> None:
        super().__init__()
        self.graph, self.ground = graph, ground
        self.settling = Settling(step=0.05) if settling is None else settling
        register_quantity(self, "skew", skew)
        places = [(float(k), n - (size - 1) / 2) for k, size in enumerate(graph.layers) for n in range(size)]
        self.register_buffer("places", torch.tensor(places, dtype=skew.dtype))
        ends = [nn.functional.one_hot(nodes, graph.n_nodes).T.to(skew) for nodes in (graph.first, graph.second)]
        self.register_buffer("incidence", torch.stack([ends[0] * (1 + skew), -ends[1] * (1 - skew)]).sum(0))

    @property
    def rest_length(self) -> Tensor:
        """Return the drawn rest length of each spring, shape `(n_pairs,)`."""
        return (self.places[self.graph.first] - self.places[self.graph.second]).square().sum(-1).sqrt()

    def positions(self, state: Tensor, load: SpringLoad) -> Tensor:
        """Return where all nodes are, shape `(batch, n_nodes, 2)`, for displacements of the free ones as in `relax`."""
        held = torch.stack([load.inputs, torch.zeros_like(load.inputs)], dim=-1)
        return self.places + torch.cat([held, state.unflatten(-1, (-1, 2))], dim=-2)

    def lengths(self, state: Tensor, load: SpringLoad) -> Tensor:
        """Return the length of each spring, shape `(batch, n_pairs)`."""
        return self._vectors(state, load).square().sum(-1).sqrt()

    def energy(self, state: Tensor, load: SpringLoad) -> Tensor:
        """Return E less the work of the pull, shape `(batch,)`."""
        stretch = self.lengths(state, load) - self.rest_length - load.lengthening
        work = (load.pull * self.values(state)).sum(-1)
        return (load.stiffness * stretch**2).sum(-1) / 2 + self.ground / 2 * (state**2).sum(-1) - work

    def force(self, state: Tensor, load: SpringLoad) -> Tensor:
        """Return the force on each coordinate of the free nodes, shape `(batch, 2 n_free)`."""
        vectors = self._vectors(state, load)
        length = vectors.square().sum(-1).sqrt()
        tension = load.stiffness * (1 - (self.rest_length + load.lengthening) / length)
        onto = self.incidence[self.graph.n_inputs :] @ (tension.unsqueeze(-1) * vectors)
        pull = torch.stack([torch.zeros_like(load.pull), load.pull], dim=-1)
        pulled = nn.functional.pad(pull, (0, 0, self.graph.n_free - self.graph.n_outputs, 0))
        return (pulled - onto).flatten(-2) - self.ground * state

    def start(self, load: SpringLoad) -> Tensor:
        """Return no displacement."""
        return load.inputs.new_zeros(len(load.inputs), 2 * self.graph.n_free)

    def relax(
        self, load: SpringLoad, start: Tensor, *, clamp: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:  # fmt: skip
        """Return the displacements of the free nodes once they have settled, shape `(batch, 2 n_free)`, node by node.

        Args:
            load: What acts.
            start: Where they begin, same shape.
            clamp: Displacements along the second axis at which the last nodes are held, shape `(batch, n_outputs)`, NaN
                for free ones.
            generator: Source of the noise.
        """
        if clamp is None:
            return relax(lambda state: self.force(state, load), start, self.settling, generator)
        both = torch.stack([torch.full_like(clamp, torch.nan), clamp], dim=-1).flatten(-2)
        held = nn.functional.pad(both, (start.shape[-1] - both.shape[-1], 0), value=torch.nan)
        free, at = held.isnan(), held.nan_to_num()
        begin = torch.where(free, start, at)
        return relax(
            lambda state: torch.where(free, self.force(state, load), at - state), begin, self.settling, generator
        )

    def values(self, state: Tensor) -> Tensor:
        """Return the outputs, shape `(batch, n_outputs)`."""
        return state[..., 1::2][..., -self.graph.n_outputs :]

    def _vectors(self, state: Tensor, load: SpringLoad) -> Tensor:
        at = self.positions(state, load)
        return at[..., self.graph.first, :] - at[..., self.graph.second, :]
