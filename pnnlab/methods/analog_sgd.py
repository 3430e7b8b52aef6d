"""Stochastic gradient descent by coincidences of pulses, on the array itself."""

from typing import ClassVar

from pnnlab.methods._in_place import InPlace, LayerRule
from pnnlab.methods._pulsed_weights import PulsedWeights
from pnnlab.methods._setting import Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import FloatArray

__all__ = ["AnalogSgd"]


class AnalogSgd(InPlace):
    """Every sample's outer product is written at once by pulses on rows and columns (resistive processing unit).

    Gokmen & Vlasov, Front. Neurosci. 10, 333 (2016): E[Δw_ij] = -BL Δw_min C² x_i d_j = -η x_i d_j. Right for cells
    whose steps up and down are equal. Others drift to where they are (the symmetry point), the faster the more
    pulses come, and what the array holds is a compromise of that and the gradient: at strong asymmetry it breaks, and
    `tiki_taka` does not.
    """

    name: ClassVar[str] = "analog_sgd"
    summary: ClassVar[str] = "pulsed outer products on a crossbar (Gokmen & Vlasov, Front. Neurosci. 10, 333, 2016)"

    def make_rule(self, layer: PhysicalLayer, weights: PulsedWeights, setting: Setting) -> LayerRule:
        """See `InPlace.make_rule`."""
        return _Descent(layer, weights)


class _Descent(LayerRule):
    """The array learns directly."""

    def learn(self, x: FloatArray, d: FloatArray, learning_rate: float) -> None:
        """See `LayerRule.learn`."""
        self.weights.descend(x, d, learning_rate)
