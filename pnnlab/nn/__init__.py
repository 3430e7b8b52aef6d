"""Torch modules: the physical layer, its one autograd function, and the fixed structure between layers."""

from pnnlab.nn._adjoint import Adjoint
from pnnlab.nn._autograd import twin_vjp
from pnnlab.nn._cut import Segment, cut_at_layers
from pnnlab.nn._fidelity import (
    Agreement,
    Derivatives,
    FidelityConfig,
    agreement,
    compare_derivatives,
    gradient_fidelity,
    measure_derivatives,
)
from pnnlab.nn._forwards import forward_derivatives
from pnnlab.nn._in_flight import SHALLOW, run_in_flight
from pnnlab.nn._layer import ForwardRule, PhysicalLayer, interface_of, measure_shots, record_shots
from pnnlab.nn._recent import RecentShots
from pnnlab.nn._structure import ClassBins, Embed, Reencode, Spread

__all__ = [
    "SHALLOW",
    "Adjoint",
    "Agreement",
    "ClassBins",
    "Derivatives",
    "Embed",
    "FidelityConfig",
    "ForwardRule",
    "PhysicalLayer",
    "RecentShots",
    "Reencode",
    "Segment",
    "Spread",
    "agreement",
    "compare_derivatives",
    "cut_at_layers",
    "forward_derivatives",
    "gradient_fidelity",
    "interface_of",
    "measure_derivatives",
    "measure_shots",
    "record_shots",
    "run_in_flight",
    "twin_vjp",
]
