"""Spins whose means and correlations are read: sampled by annealing, or quantum."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np

from pnnlab.devices import Device
from pnnlab.systems._array import A
from pnnlab.systems._coupled_nodes import CoupledNodes, CoupledNodesConfig
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import Facilities

__all__ = ["AnnealedSpins", "AnnealedSpinsConfig", "QuantumSpins", "QuantumSpinsConfig"]


class Spins(CoupledNodes):
    """Spins of E = -sum J_ij s_i s_j - sum h_i s_i; what is read are means of the free ones, then of all their pairs.

    Inputs are held spins, or the fields that these would make.
    """

    def __init__(
        self, name: str, config: CoupledNodesConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        n, n_in = self._n_free, self.n_in
        from_inputs = self._first < n_in
        # pairs of free spins are read in the order of their nodes, those with an input are worked out
        place = np.zeros((n, n), np.int64)
        place[np.triu_indices(n, 1)] = n + np.arange(n * (n - 1) // 2)
        ends = np.maximum(self._first - n_in, 0), self._second - n_in
        self._read_at = np.where(from_inputs, ends[1], place[ends])
        self._input_of = np.where(from_inputs, self._first, 0)
        self._from_input = from_inputs

    @property
    def _n_readings(self) -> int:
        return self._n_free + self._n_free * (self._n_free - 1) // 2

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`: the means of the last layer's spins."""
        found: A = self._in_units(reading[..., self._n_free - self.n_out : self._n_free])
        return found

    def _met(self, held: FloatArray, asked: FloatArray, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
        factor, free = np.where(self._from_input, held[:, self._input_of], 1.0), reading[:, : self._n_free]
        return -np.concatenate([factor * reading[:, self._read_at], free], -1), -self._field(asked, free)


class AnnealedSpinsConfig(CoupledNodesConfig):
    """A system of the kind `ising` in the bench file."""

    kind: Literal["ising"] = "ising"


class AnnealedSpins(Spins):
    """Spins of an Ising machine, read many times in a shot; outputs can be held at +1 and -1."""

    Config = AnnealedSpinsConfig
    config: AnnealedSpinsConfig


class QuantumSpinsConfig(CoupledNodesConfig):
    """A system of the kind `spins` in the bench file."""

    kind: Literal["spins"] = "spins"


class QuantumSpins(Spins):
    """Quantum spins: Z_i and Z_i Z_j are read, and a transverse field does not commute with them.

    Their mean values answer small forces symmetrically, as an energy's would, so that equilibrium propagation is
    quantum equilibrium propagation here.
    """

    Config = QuantumSpinsConfig
    config: QuantumSpinsConfig
    has_clamp: ClassVar[bool] = False
