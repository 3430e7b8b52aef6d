"""Networks of springs."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from pnnlab.devices import Device
from pnnlab.systems._array import A
from pnnlab.systems._coupled_nodes import CoupledNodes, CoupledNodesConfig
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import Facilities

__all__ = ["Springs", "SpringsConfig"]


class SpringsConfig(CoupledNodesConfig):
    """A system of the kind `springs` in the bench file.

    Couplings are stiffnesses from 0 to `largest_coupling`; biases are what is added to each spring's rest length.
    Lengths are in units of the distance of two layers, which are drawn side by side, their nodes one unit apart.
    """

    kind: Literal["springs"] = "springs"


class Springs(CoupledNodes):
    """Nodes of E = sum k_e (l_e - l0_e)^2 / 2 in a plane; what is read are displacements along both axes, node by node.

    Inputs displace the first layer's nodes along the line of the layers; outputs are displacements of the last layer's
    across it.
    """

    Config = SpringsConfig
    config: SpringsConfig

    def __init__(self, name: str, config: SpringsConfig, devices: Mapping[str, Device], facilities: Facilities) -> None:
        super().__init__(name, config, devices, facilities)
        layers = config.layers
        self._places = np.array(
            [(k, n - (size - 1) / 2) for k, size in enumerate(layers) for n in range(size)], np.float64
        )
        self._drawn = self._lengths(self._places[None])[0]

    @property
    def _n_biases(self) -> int:
        return len(self._first)

    @property
    def _n_readings(self) -> int:
        return 2 * self._n_free

    def _control_ends(self) -> FloatArray:
        ends = super()._control_ends()
        ends[0, 0] = 0.0
        return ends

    def outputs(self, reading: A) -> A:
        """See `PortSystem.outputs`."""
        found: A = self._in_units(reading[..., 1::2][..., self._n_free - self.n_out :])
        return found

    def _met(self, held: FloatArray, asked: FloatArray, reading: FloatArray) -> tuple[FloatArray, FloatArray]:
        displaced = np.concatenate([np.stack([held, np.zeros_like(held)], -1), reading.reshape(len(held), -1, 2)], 1)
        places = self._places + displaced
        stiffness, lengthening = asked.reshape(2, -1)
        lengths = self._lengths(places)
        stretch = lengths - self._drawn - lengthening
        # what the springs of an input node resist along its line
        along = (places[:, self._first] - places[:, self._second])[..., 0] / lengths
        at_inputs = (stiffness * stretch * along) @ (self._first[:, None] == np.arange(self.n_in))
        return np.concatenate([stretch**2 / 2, -stiffness * stretch], -1), at_inputs

    def _lengths(self, places: FloatArray) -> FloatArray:
        """Return the length of each spring, shape `(batch, n_pairs)`, of nodes' places, shape `(batch, n_nodes, 2)`."""
        found: FloatArray = np.linalg.norm(places[:, self._first] - places[:, self._second], axis=-1)
        return found
