"""What current flows through an adjustable conductance."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

__all__ = ["ConductanceLaw", "Ohmic", "Transistor"]


class ConductanceLaw(ABC):
    """The current through an element between two nodes, as its setting and their voltages have it.

    All arguments are tensors that broadcast to `(batch, n_edges)`: voltages of the element's first and second node in
    V, and its setting.
    """

    is_linear: bool = False
    """Whether slopes are the same at all voltages."""

    @abstractmethod
    def current(self, high: Tensor, low: Tensor, setting: Tensor) -> Tensor:
        """Return the current from the first node to the second in A."""

    @abstractmethod
    def slopes(self, high: Tensor, low: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
        """Return by how much it grows with the first voltage, and falls with the second, in S."""

    @abstractmethod
    def conductance(self, setting: Tensor) -> Tensor:
        """Return the conductance at 0 V in S."""


@dataclass(frozen=True)
class Ohmic(ConductanceLaw):
    """A conductance, of which a cubic part may bend the characteristic: `I = g (v + c v³)` at a drop v.

    The setting is g in S, and the co-content per conductance `v²/2 + c v⁴/4`.

    Attributes:
        cubic_per_v2: c.
    """

    cubic_per_v2: float = 0.0

    @property
    def is_linear(self) -> bool:  # type: ignore[override]
        """See `ConductanceLaw.is_linear`."""
        return self.cubic_per_v2 == 0

    def current(self, high: Tensor, low: Tensor, setting: Tensor) -> Tensor:
        """See `ConductanceLaw.current`."""
        drop = high - low
        return setting * (drop + self.cubic_per_v2 * drop**3 if self.cubic_per_v2 else drop)

    def slopes(self, high: Tensor, low: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
        """See `ConductanceLaw.slopes`."""
        slope = setting if self.is_linear else setting * (1 + 3 * self.cubic_per_v2 * (high - low) ** 2)
        return slope, slope

    def conductance(self, setting: Tensor) -> Tensor:
        """See `ConductanceLaw.conductance`."""
        return setting


@dataclass(frozen=True)
class Transistor(ConductanceLaw):
    """An n-channel field-effect transistor of long channel; the setting is its gate's voltage against ground in V.

    `I = (K/2) (max(V_G - V_th - V_low, 0)² - max(V_G - V_th - V_high, 0)²)`: in its ohmic region that is
    `K (V_G - V_th - V_mean) ΔV`, as in contrastive local learning networks (Dillavou et al. 2024, PNAS 121,
    e2319718121), with saturation and cut-off beyond it. The current depends on both voltages, not on their difference
    alone, so it has no co-content, and the network's tangent is not symmetric.

    Attributes:
        gain_a_per_v2: K.
        threshold_v: V_th.
        off_siemens: What conducts beside the channel.
    """

    gain_a_per_v2: float = 1e-4
    threshold_v: float = 0.8
    off_siemens: float = 1e-10

    def current(self, high: Tensor, low: Tensor, setting: Tensor) -> Tensor:
        """See `ConductanceLaw.current`."""
        at_high, at_low = self._overdrives(high, low, setting)
        return self.gain_a_per_v2 / 2 * (at_low**2 - at_high**2) + self.off_siemens * (high - low)

    def slopes(self, high: Tensor, low: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
        """See `ConductanceLaw.slopes`."""
        at_high, at_low = self._overdrives(high, low, setting)
        return self.gain_a_per_v2 * at_high + self.off_siemens, self.gain_a_per_v2 * at_low + self.off_siemens

    def conductance(self, setting: Tensor) -> Tensor:
        """See `ConductanceLaw.conductance`."""
        return self.gain_a_per_v2 * (setting - self.threshold_v).clamp_min(0) + self.off_siemens

    def _overdrives(self, high: Tensor, low: Tensor, setting: Tensor) -> tuple[Tensor, Tensor]:
        over = setting - self.threshold_v
        return (over - high).clamp_min(0), (over - low).clamp_min(0)
