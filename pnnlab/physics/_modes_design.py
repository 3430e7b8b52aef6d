"""Modes that voltages tune and drive: what stands between converters, as designed and as made."""

from typing import Literal, TypeAlias

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from pnnlab.physics._modes import CoupledModes
from pnnlab.physics._quantity import register_quantity
from pnnlab.quantities import FrozenModel, Hertz

__all__ = ["ModePairs", "ModesDesign", "TunedModes"]

ModePairs: TypeAlias = Literal["all", "ring", "none"] | tuple[tuple[int, int], ...]


class ModesDesign(FrozenModel):
    """The design of coupled modes: what their maker, and so a twin, knows of them.

    All frequencies are over 2π.

    Attributes:
        modes: Number of modes n, each with a port.
        seed: Of what is drawn: static detunings and couplings that are known.
        external_hz: κ_ext, the rate of the coupling to the port.
        internal_hz: κ_int, of all other losses.
        couplings: Pairs of modes whose coupling a voltage sets: `all`, neighbours on a `ring`, `none`, or the pairs.
        detuning_hz_per_volt: Detuning of a mode by a volt.
        coupling_hz_per_volt: Coupling of a pair by a volt.
        static_detuning_hz: Standard deviation of the modes' detunings at 0 V.
        static_coupling_hz: Standard deviation of the couplings at 0 V, between all modes.
        kerr_hz: Kerr shift of a mode that leaks 1 V into its port; 0 for linear modes.
    """

    modes: int = Field(default=8, gt=1)
    seed: int = 0
    external_hz: Hertz = Field(default=1e6, gt=0)
    internal_hz: Hertz = Field(default=0.2e6, ge=0)
    couplings: ModePairs = "all"
    detuning_hz_per_volt: float = 1e6
    coupling_hz_per_volt: float = 1e6
    static_detuning_hz: Hertz = Field(default=0.0, ge=0)
    static_coupling_hz: Hertz = Field(default=0.0, ge=0)
    kerr_hz: Hertz = 0.0

    @field_validator("couplings")
    @classmethod
    def _check_couplings(cls, couplings: ModePairs) -> ModePairs:
        if isinstance(couplings, tuple) and any(j == k or j < 0 or k < 0 for j, k in couplings):
            raise ValueError("each coupling joins two different modes, counted from 0")
        return couplings

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Return the pairs of modes whose coupling can be set, in the order of their channels."""
        n = self.modes
        if self.couplings == "all":
            return tuple((j, k) for j in range(n) for k in range(j + 1, n))
        if self.couplings == "ring":
            return tuple((j, j + 1) for j in range(n - 1)) + (((0, n - 1),) if n > 2 else ())
        return () if self.couplings == "none" else self.couplings

    def build(self, dtype: torch.dtype = torch.float32) -> "TunedModes":
        """Return the modes as designed.

        Raises:
            ValueError: A coupling is between modes that there are not.
        """
        generator, n = torch.Generator().manual_seed(self.seed), self.modes
        detuning = self.static_detuning_hz * torch.randn(n, generator=generator, dtype=torch.float64)
        drawn = self.static_coupling_hz * torch.randn(n, n, generator=generator, dtype=torch.float64)
        coupling = ((drawn + drawn.T) / 2**0.5).fill_diagonal_(0)
        modes = CoupledModes(
            torch.full((n,), self.external_hz, dtype=dtype), internal_hz=self.internal_hz,
            detuning_hz=detuning.to(dtype), coupling_hz=coupling.to(dtype), kerr_hz_per_v2=self.kerr_hz,
            pairs=self.pairs,
        )  # fmt: skip
        return TunedModes(
            modes,
            torch.full((n,), self.detuning_hz_per_volt, dtype=dtype),
            torch.full((len(self.pairs),), self.coupling_hz_per_volt, dtype=dtype),
        )


class TunedModes(nn.Module):
    """Coupled modes behind the channels of converters.

    Channels in: the detunings' voltages (n), those of the couplings (n_pairs), in-phase parts of the fields that are
    injected at the ports (n) and their quadratures (n). Channels out: in-phase parts and quadratures of the fields that
    leave (2 n). A field of 1 V is a voltage of 1 V.

    Args:
        modes: The modes.
        detuning_hz_per_v: Over 2π, shape `(n,)`.
        coupling_hz_per_v: Over 2π, shape `(n_pairs,)`.
        crosstalk: Part of a mode's tuning voltage that its two neighbours (on a ring) get as well.
    """

    detuning_hz_per_v: Tensor
    coupling_hz_per_v: Tensor

    def __init__(
        self, modes: CoupledModes, detuning_hz_per_v: Tensor, coupling_hz_per_v: Tensor, *, crosstalk: float = 0.0
    ) -> None:
        super().__init__()
        self.modes, self.crosstalk = modes, crosstalk
        register_quantity(self, "detuning_hz_per_v", detuning_hz_per_v, shape=(modes.n_modes,))
        register_quantity(self, "coupling_hz_per_v", coupling_hz_per_v, shape=(modes.n_pairs,))

    @property
    def n_in(self) -> int:
        """Return the number of channels in."""
        return 3 * self.modes.n_modes + self.modes.n_pairs

    @property
    def n_out(self) -> int:
        """Return the number of channels out."""
        return 2 * self.modes.n_modes

    def forward(self, volts: Tensor, jitter_hz: Tensor | None = None) -> Tensor:
        """Return what the channels out read in V, shape `(batch, n_out)`.

        Args:
            volts: Of the channels in, shape `(batch, n_in)`.
            jitter_hz: Added to the detunings, shape `(batch, n)`; none if `None`.
        """
        n, m = self.modes.n_modes, self.modes.n_pairs
        tuning, couplings, in_phase, quadrature = volts.split((n, m, n, n), -1)
        if self.crosstalk:
            tuning = tuning + self.crosstalk * (tuning.roll(1, -1) + tuning.roll(-1, -1))
        detuning = tuning * self.detuning_hz_per_v
        if jitter_hz is not None:
            detuning = detuning + jitter_hz
        out = self.modes(torch.complex(in_phase, quadrature), detuning, couplings * self.coupling_hz_per_v)
        return torch.cat([out.real, out.imag], -1)
