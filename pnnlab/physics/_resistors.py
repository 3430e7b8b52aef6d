"""A network of adjustable conductances and diodes, in the steady state that its sources force on it."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pnnlab.physics._conductances import ConductanceLaw, Ohmic
from pnnlab.physics._diodes import Diodes

__all__ = ["ResistorNetwork"]

_ITERATIONS: Final = 200
"""Newton steps at most; networks of some hundred diodes take ten to thirty."""
_CLOSE: Final = 1e-12
"""Volts, and parts of a voltage, by which the last step moves a node at most."""
_ROUNDING: Final = 1e-14
"""Part of the currents that may be left over by rounding."""
_HALVINGS: Final = 40
"""How often a step is halved at most, until the currents that are left have shrunk."""


class ResistorNetwork:
    """Nodes joined by adjustable two-terminal elements; some nodes are held by sources, the others find their voltage.

    Kirchhoff's law at each free node i: the currents of its elements add up to what is injected. Elements whose
    current depends on the voltage drop alone have a co-content, and the state is the minimum of
    `E = Σ_e g_e Φ(ΔV_e) + Σ_d Φ_d(V) - Σ_i J_i V_i` (Millar 1951, Phil. Mag. 42, 1150); its tangent is then
    symmetric, and a small injected current is answered as reciprocity demands. `gyration` breaks that.

    Args:
        n_nodes: Number of nodes.
        edges: The two nodes of each element; its drop is that of the first above the second.
        held: Nodes that sources hold.
        law: What current flows through an element; ohmic if `None`.
        diodes: From nodes to fixed rails.
        gyration: Beside each element lies a gyrator, of this times its conductance: it puts through currents
            `+ρ g V_j` at node i and `-ρ g V_i` at node j (Tellegen 1948), so that the network is not reciprocal.

    Raises:
        ValueError: An element or a held node does not exist.
    """

    def __init__(
        self, n_nodes: int, edges: Sequence[tuple[int, int]], held: Sequence[int], *, law: ConductanceLaw | None = None,
        diodes: Diodes | None = None, gyration: float = 0.0,
    ) -> None:  # fmt: skip
        strange = [n for n in (*held, *(n for edge in edges for n in edge)) if not 0 <= n < n_nodes]
        if strange or any(a == b for a, b in edges) or not edges:
            raise ValueError(
                f"resistor network: edges must join two different ones of the {n_nodes} nodes, and held nodes be among "
                f"them; found {strange[:3] or 'an edge from a node to itself, or no edge'}"
            )
        self.n_nodes, self.n_edges = n_nodes, len(edges)
        self.law, self.diodes, self.gyration = Ohmic() if law is None else law, diodes, gyration
        self.held = torch.tensor(sorted(held), dtype=torch.int64)
        self.free = torch.tensor([n for n in range(n_nodes) if n not in set(held)], dtype=torch.int64)
        self.heads, self.tails = torch.tensor(edges, dtype=torch.int64).unbind(1)
        self._is_free = torch.zeros(n_nodes, dtype=torch.bool)
        self._is_free[self.free] = True

    def solve(
        self, held_v: Tensor, setting: Tensor, *, current_a: Tensor | None = None, clamped: Tensor | None = None,
        clamp_v: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the voltage of every node in V, shape `(batch, n_nodes)`, differentiable in all that is given.

        Args:
            held_v: Voltages of the held nodes, shape `(batch, n_held)`.
            setting: Of each element, as its law takes it (S for conductances), shape `(n_edges,)` or
                `(batch, n_edges)`; in one row the batch shares the network, which is quicker.
            current_a: Currents into nodes, shape `(batch, n_nodes)`; none if `None`.
            clamped: Which other nodes are held, too, shape `(batch, n_nodes)`; none if `None`.
            clamp_v: At what voltage, same shape; looked at only where they are.

        Raises:
            RuntimeError: No state was found, as when a node hangs in the air.
        """
        setting = setting.reshape(-1, self.n_edges)
        source = held_v.new_zeros(len(held_v), self.n_nodes).index_copy(1, self.held, held_v)
        fixed = ~self._is_free.expand(len(held_v), -1)
        if clamped is not None and clamp_v is not None:
            source, fixed = torch.where(clamped & ~fixed, clamp_v, source), fixed | clamped
        injected = torch.zeros_like(source) if current_a is None else current_a
        with torch.no_grad():
            volts = self._newton(source.detach(), fixed, setting.detach(), injected.detach())
        if not torch.is_grad_enabled() or not any(t.requires_grad for t in (source, setting, injected)):
            return volts
        # one more Newton step, of which the residual alone is seen by autograd: the implicit function theorem
        volts = torch.where(fixed, source, volts)
        left = self._left_over(volts, fixed, setting, injected)
        with torch.no_grad():
            tangent = self._tangent(volts, fixed, self._of_elements(volts, setting))
        step: Tensor = _Solve.apply(tangent, left)  # type: ignore[no-untyped-call]
        return volts - self._at_all(step)

    def drops(self, volts: Tensor) -> Tensor:
        """Return the voltage drop of each element, shape `(batch, n_edges)`, of voltages of all nodes."""
        return volts[:, self.heads] - volts[:, self.tails]

    def source_currents(self, volts: Tensor, setting: Tensor) -> Tensor:
        """Return what the sources of the held nodes put into the network in A, shape `(batch, n_held)`."""
        return self._outflow(volts, setting.reshape(-1, self.n_edges))[:, self.held]

    # Kirchhoff's law

    def _outflow(self, volts: Tensor, setting: Tensor) -> Tensor:
        """Return the current that elements take from each node, shape `(batch, n_nodes)`."""
        high, low = volts[:, self.heads], volts[:, self.tails]
        current = self.law.current(high, low, setting)
        at_head, at_tail = current, -current
        if self.gyration:
            around = self.gyration * self.law.conductance(setting)
            at_head, at_tail = at_head + around * low, at_tail - around * high
        flow = torch.zeros_like(volts).index_add(1, self.heads, at_head).index_add(1, self.tails, at_tail)
        return self._with_diodes(flow, volts)

    def _with_diodes(self, flow: Tensor, volts: Tensor) -> Tensor:
        return flow if self.diodes is None else flow + self.diodes.current(volts)

    def _left_over(
        self, volts: Tensor, fixed: Tensor, setting: Tensor, injected: Tensor, linear: Tensor | None = None
    ) -> Tensor:
        """Return the current that leaves each node that is not held in A, shape `(batch, n_free)`, 0 where clamped.

        Args:
            volts: Of all nodes.
            fixed: Which are held or clamped.
            setting: As in `solve`.
            injected: As in `solve`.
            linear: What `_of_elements` returned, where that is the same at all voltages: it is quicker.
        """
        flow = self._outflow(volts, setting) if linear is None else self._with_diodes(_times(linear, volts), volts)
        return (flow - injected).masked_fill(fixed, 0.0)[:, self.free]

    def _tangent(self, volts: Tensor, fixed: Tensor, elements: Tensor) -> Tensor:
        """Return its derivative in those nodes' voltages, shape `(batch, n_free, n_free)`; 1 for what is clamped.

        Args:
            volts: Of all nodes.
            fixed: Which are held or clamped.
            elements: What `_of_elements` returned.
        """
        tangent = elements[:, self.free][:, :, self.free].expand(len(volts), -1, -1).clone()
        diagonal, clamped = tangent.diagonal(dim1=1, dim2=2), fixed[:, self.free]
        if self.diodes is not None:
            diagonal += self.diodes.slope(volts)[:, self.free]
        if clamped.any():
            tangent.masked_fill_(clamped[:, :, None] | clamped[:, None, :], 0.0)
            diagonal.masked_fill_(clamped, 1.0)
        return tangent

    def _at_all(self, of_free: Tensor) -> Tensor:
        """Return what free nodes have as a row of all nodes, 0 for the others."""
        return of_free.new_zeros(len(of_free), self.n_nodes).index_copy(1, self.free, of_free)

    def _of_elements(self, volts: Tensor, setting: Tensor) -> Tensor:
        """Return by how much currents out of nodes grow with voltages, shape `(batch or 1, n_nodes, n_nodes)`."""
        by_head, by_tail = self.law.slopes(volts[:, self.heads], volts[:, self.tails], setting)
        n, head, tail = self.n_nodes, self.heads, self.tails
        around = torch.zeros_like(by_head)
        if self.gyration:
            around = around + self.gyration * self.law.conductance(setting)
        parts = [by_head, -by_tail + around, -by_head - around, by_tail]
        places = torch.cat([head * n + head, head * n + tail, tail * n + head, tail * n + tail])
        # rows of a long matrix add up faster than columns
        flat = volts.new_zeros(n * n, len(by_head))
        flat.index_add_(0, places, torch.cat([part.T for part in parts]))
        return flat.T.reshape(-1, n, n)

    def _newton(self, source: Tensor, fixed: Tensor, setting: Tensor, injected: Tensor) -> Tensor:
        """Find the state by Newton steps, each halved until less current is left over."""
        volts, size = source, self._scale(source, setting, injected)
        linear = self._of_elements(volts, setting) if self.law.is_linear else None
        left = self._left_over(volts, fixed, setting, injected, linear)
        for _ in range(_ITERATIONS):
            tangent = self._tangent(volts, fixed, self._of_elements(volts, setting) if linear is None else linear)
            step = self._at_all(torch.linalg.solve(tangent, left))
            length, before = torch.ones_like(size), left.norm(dim=1, keepdim=True) + _ROUNDING * size
            for _ in range(_HALVINGS):
                ahead = volts - length * step
                left = self._left_over(ahead, fixed, setting, injected, linear)
                # what is no number is no less either
                worse = ~(left.norm(dim=1, keepdim=True) <= before)
                if not worse.any():
                    break
                length = torch.where(worse, length / 2, length)
            volts = ahead
            if bool(((length * step).abs() <= _CLOSE * (1 + volts.abs())).all()):
                return volts
        worst = float((left.norm(dim=1) / size[:, 0]).max())
        raise RuntimeError(
            f"resistor network: no steady state in {_ITERATIONS} steps; {worst:.0e} of currents are left"
        )

    def _scale(self, source: Tensor, setting: Tensor, injected: Tensor) -> Tensor:
        """Return how large currents are, shape `(batch, 1)`."""
        most = self.law.conductance(setting).abs().amax(1, keepdim=True)
        spread = source.abs().amax(1, keepdim=True) + 1e-3
        return most * spread + injected.abs().amax(1, keepdim=True)


class _Solve(torch.autograd.Function):
    """Solve a linear system whose matrix counts as constant."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        solved: Tensor = torch.linalg.solve(matrix, right)
        return solved

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (matrix,) = ctx.saved_tensors
        return None, torch.linalg.solve(matrix.mT, grads[0])


def _times(matrices: Tensor, rows: Tensor) -> Tensor:
    """Return the product of one matrix, or one for each row, and the rows as columns."""
    product: Tensor = rows @ matrices[0].T if len(matrices) == 1 else (matrices @ rows[:, :, None])[:, :, 0]
    return product
