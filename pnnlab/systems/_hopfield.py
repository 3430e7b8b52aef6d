"""Continuous Hopfield units."""

from typing import Literal

import numpy as np

from pnnlab.systems._array import A
from pnnlab.systems._capability import Capability
from pnnlab.systems._coupled_nodes import CoupledNodes, CoupledNodesConfig
from pnnlab.systems._shots import FloatArray

__all__ = ["Hopfield", "HopfieldConfig"]


class HopfieldConfig(CoupledNodesConfig):
    """A system of the kind `hopfield` in the bench file.

    Attributes:
        compliance: By how much couplings and biases give way to the product of values that acts on them: they are
            physical themselves, and where they come to rest is read, too. 0 for couplings that hold.
    """

    kind: Literal["hopfield"] = "hopfield"
    compliance: float = 0.0


class Hopfield(CoupledNodes):
    """Units of E = sum s^2 / 2 - sum w_ij r(s_i) r(s_j) - sum b_i r(s_i); what is read are the r(s_i).

    Where couplings give way, their voltages are read after those of the units.
    """

    Config = HopfieldConfig
    config: HopfieldConfig

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        soft = {Capability.SOFT_CONTROLS} if self.config.compliance else set()
        return super().capabilities | soft

    @property
    def _n_readings(self) -> int:
        soft = len(self._first) + self._n_biases if self.config.compliance else 0
        return self._n_free + soft

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`: the values of the last layer."""
        found: A = self._in_units(reading[..., self._n_free - self.n_out : self._n_free])
        return found

    @property
    def softness(self) -> FloatArray:
        """See `pnnlab.systems.YieldsControls.softness`."""
        found: FloatArray = self.config.compliance / self._control_span**2
        return found

    def rest(
        self, x: FloatArray, knobs: FloatArray, *, nudge: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:  # fmt: skip
        """See `pnnlab.systems.YieldsControls.rest`; knobs may go a little beyond the ends."""
        reading = self.settled(x, knobs, nudge=nudge, beyond=True)
        at = self._in_units(reading)[:, self._n_free :]
        return self.outputs(reading), (at - self._control_low) / self._control_span

    def _met(self, held: FloatArray, asked: FloatArray, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
        free = reading[:, : self._n_free]
        pairs = self._products(np.concatenate([held, free], -1))
        return -np.concatenate([pairs, free], -1), -self._field(asked, free)
