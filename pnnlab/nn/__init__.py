"""Torch modules: the physical layer, its one autograd function, and the fixed structure between layers."""

from pnnlab.nn._autograd import twin_vjp
from pnnlab.nn._fidelity import Agreement, FidelityConfig, agreement, gradient_fidelity
from pnnlab.nn._in_flight import SHALLOW, run_in_flight
from pnnlab.nn._layer import ForwardRule, PhysicalLayer, interface_of, measure_shots, record_shots
from pnnlab.nn._recent import RecentShots
from pnnlab.nn._structure import ClassBins, Reencode, Spread

__all__ = [
    "SHALLOW",
    "Agreement",
    "ClassBins",
    "FidelityConfig",
    "ForwardRule",
    "PhysicalLayer",
    "RecentShots",
    "Reencode",
    "Spread",
    "agreement",
    "gradient_fidelity",
    "interface_of",
    "measure_shots",
    "record_shots",
    "run_in_flight",
    "twin_vjp",
]
