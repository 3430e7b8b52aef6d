"""Coupled phase oscillators."""

from typing import Literal

import numpy as np

from pnnlab.systems._array import A
from pnnlab.systems._coupled_nodes import CoupledNodes, CoupledNodesConfig
from pnnlab.systems._shots import FloatArray

__all__ = ["Oscillators", "OscillatorsConfig"]


class OscillatorsConfig(CoupledNodesConfig):
    """A system of the kind `oscillators` in the bench file."""

    kind: Literal["oscillators"] = "oscillators"


class Oscillators(CoupledNodes):
    """Phases of E = -sum K_ij cos(p_i - p_j) - sum b_i sin p_i and what the board adds of its own.

    Inputs are injected in quadrature with the reference. What is read of each free oscillator is the sine of its phase,
    and after all these the cosines.
    """

    Config = OscillatorsConfig
    config: OscillatorsConfig

    @property
    def _n_readings(self) -> int:
        return 2 * self._n_free

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`: the sines of the last layer's phases."""
        found: A = self._in_units(reading[..., self._n_free - self.n_out : self._n_free])
        return found

    def _met(self, held: FloatArray, asked: FloatArray, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
        sine, cosine = reading[:, : self._n_free], reading[:, self._n_free :]
        ahead = self._products(np.concatenate([held, sine], -1))
        along = self._products(np.concatenate([np.zeros_like(held), cosine], -1))
        return -np.concatenate([ahead + along, sine], -1), -self._field(asked, sine)
