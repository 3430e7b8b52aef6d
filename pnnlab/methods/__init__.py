"""The training methods of the review, one file each (Momeni et al. 2025, Nature 645, 53; arXiv 2406.03372)."""

from pnnlab.methods._method import (
    LossFunction,
    MethodOptions,
    TrainingMethod,
    backward,
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
from pnnlab.methods.dual_adaptive import DualAdaptive
from pnnlab.methods.hybrid import Hybrid
from pnnlab.methods.in_silico import InSilico
from pnnlab.methods.measured_activations import MeasuredActivations
from pnnlab.methods.noise_injection import NoiseInjection
from pnnlab.methods.online_physics_aware import OnlinePhysicsAware
from pnnlab.methods.photon_counting import PhotonCounting
from pnnlab.methods.physics_aware import PhysicsAware
from pnnlab.methods.quantisation_aware import QuantisationAware
from pnnlab.methods.robust_in_silico import RobustInSilico
from pnnlab.methods.sharpness_aware import SharpnessAware
from pnnlab.methods.spsa import Spsa, SpsaOptions
from pnnlab.methods.state_separation import StateSeparation

__all__ = [
    "GROUP",
    "Descent",
    "DualAdaptive",
    "Hybrid",
    "InSilico",
    "LossFunction",
    "MeasuredActivations",
    "MethodOptions",
    "NoiseInjection",
    "OnlinePhysicsAware",
    "PhotonCounting",
    "PhysicsAware",
    "QuantisationAware",
    "RobustInSilico",
    "Setting",
    "SharpnessAware",
    "Spsa",
    "SpsaOptions",
    "StateSeparation",
    "TrainingMethod",
    "backward",
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
