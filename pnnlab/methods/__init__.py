"""The training methods of the review, one file each (Momeni et al. 2025, Nature 645, 53; arXiv 2406.03372)."""

from pnnlab.methods._method import (
    LossFunction,
    MethodOptions,
    TrainingMethod,
    gradient_step,
    physical_layers,
    set_rule,
)
from pnnlab.methods._registry import (
    GROUP,
    check_capabilities,
    find_method,
    known_methods,
    lacking,
    make_method,
    runnable,
)
from pnnlab.methods._setting import Descent, Setting
from pnnlab.methods.in_silico import InSilico
from pnnlab.methods.physics_aware import PhysicsAware
from pnnlab.methods.spsa import Spsa, SpsaOptions

__all__ = [
    "GROUP",
    "Descent",
    "InSilico",
    "LossFunction",
    "MethodOptions",
    "PhysicsAware",
    "Setting",
    "Spsa",
    "SpsaOptions",
    "TrainingMethod",
    "check_capabilities",
    "find_method",
    "gradient_step",
    "known_methods",
    "lacking",
    "make_method",
    "physical_layers",
    "runnable",
    "set_rule",
]
