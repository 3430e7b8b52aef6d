"""An Ising machine that is sampled by annealing."""

import math

import torch
from torch import Tensor, nn

from pnnlab.physics._layered_graph import Acting
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._spin_states import SpinStates

__all__ = ["IsingMachine"]


class IsingMachine(nn.Module):
    """Spins of ±1 that flip at random towards exp(-E / T), with E = -sum J_ij s_i s_j - sum h_i s_i.

    Each read starts from random spins, is cooled from `hot` to T in the first half of its sweeps and stays at T in the
    second; in a sweep, every spin is drawn anew in the field of the others (Glauber dynamics). Couplings that differ in
    their two directions leave no energy: each spin then feels `J_ij (1 + skew_ij)`.

    Args:
        skew: Antisymmetric relative deviation of the couplings, shape `(n, n)`.
        temperature: T, in units in which couplings are.
        hot: Temperature at which a read begins, in units of T.
        sweeps: Sweeps of a read.
    """

    skew: Tensor

    def __init__(self, skew: Tensor, *, temperature: float = 1.0, hot: float = 4.0, sweeps: int = 20) -> None:
        super().__init__()
        if not 0 < temperature < math.inf or hot < 1 or sweeps < 1:
            raise ValueError(
                f"Ising machine: temperature {temperature:g}, hot {hot:g}, {sweeps} sweeps; expected a temperature "
                "above 0, a hot that is 1 or more, and a sweep or more"
            )
        register_quantity(self, "skew", skew)
        self.temperature, self.hot, self.sweeps = temperature, hot, sweeps

    def probability(self, acting: Acting, states: SpinStates) -> Tensor:
        """Return exp(-E / T) over its sum for every state of few spins, shape `(batch, 2^n)`, differentiably.

        It is what reads come to if sweeps are many and the skew is 0.
        """
        return torch.softmax(-states.energy(acting.field, acting.coupling) / self.temperature, dim=-1)

    @torch.no_grad()
    def sample(
        self, acting: Acting, reads: int, generator: torch.Generator, *, clamp: Tensor | None = None
    ) -> Tensor:  # fmt: skip
        """Return spins of ±1, shape `(batch, reads, n)`.

        Args:
            acting: Fields and couplings.
            reads: How often each sample of the batch is annealed.
            generator: Source of the randomness.
            clamp: Values at which the last spins are held, shape `(batch, n_outputs)`, NaN for free ones; they may lie
                between -1 and 1, as a field of that strength would act.
        """
        field = acting.field.unsqueeze(1)
        n, batch = field.shape[-1], len(field)
        coupling = acting.coupling * (1 + self.skew)
        coupling = coupling.expand(batch, n, n)
        held = torch.full((batch, 1, n), torch.nan, dtype=field.dtype, device=field.device)
        if clamp is not None:
            held[..., n - clamp.shape[-1] :] = clamp.unsqueeze(1)
        held = held.expand(batch, reads, n)
        spins = torch.randint(0, 2, (batch, reads, n), generator=generator, device=field.device).to(field) * 2 - 1
        spins = torch.where(held.isnan(), spins, held)
        cooling = self.temperature * self.hot ** (1 - 2 * torch.arange(self.sweeps) / self.sweeps).clamp(min=0)
        groups = self._independent(coupling)
        for now in cooling.tolist():
            for group in groups:
                local = field[..., group] + spins @ coupling[:, group].mT
                up = torch.sigmoid(2 * local / now)
                drawn = 2.0 * (torch.rand(up.shape, generator=generator, dtype=up.dtype, device=up.device) < up) - 1
                fixed = held[..., group]
                spins[..., group] = torch.where(fixed.isnan(), drawn, fixed)
        return spins

    def moments(self, spins: Tensor) -> Tensor:
        """Return the means over reads of all spins, then of all pairs, shape `(batch, n + n (n - 1) / 2)`."""
        n = spins.shape[-1]
        first, second = torch.triu_indices(n, n, 1).unbind(0)
        products = (spins.mT @ spins / spins.shape[1])[:, first, second]
        return torch.cat([spins.mean(1), products], dim=-1)

    @staticmethod
    def _independent(coupling: Tensor) -> list[list[int]]:
        """Return groups of spins that do not act on each other and may be drawn together."""
        joined = (coupling != 0).any(0).tolist()
        groups: list[list[int]] = []
        for spin in range(len(joined)):
            for group in groups:
                if not any(joined[spin][other] or joined[other][spin] for other in group):
                    group.append(spin)
                    break
            else:
                groups.append([spin])
        return groups
