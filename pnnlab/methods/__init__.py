"""The training methods of the review, one file each (Momeni et al. 2025, Nature 645, 53; arXiv 2406.03372)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pnnlab.methods._method import LossFunction, TrainingMethod, physical_layers, set_rule
from pnnlab.methods.in_silico import InSilico
from pnnlab.methods.physics_aware import PhysicsAware

__all__ = ["METHODS", "InSilico", "LossFunction", "PhysicsAware", "TrainingMethod", "physical_layers", "set_rule"]

METHODS: Final[Mapping[str, type[TrainingMethod]]] = MappingProxyType(
    {method.name: method for method in (InSilico, PhysicsAware)}
)
"""Every method by its name."""
