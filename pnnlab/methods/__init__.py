"""The training methods of the review, one file each (Momeni et al. 2025, Nature 645, 53; arXiv 2406.03372)."""

from pnnlab.methods._echo_adjoint import echo_residual
from pnnlab.methods._method import (
    LossFunction,
    MethodOptions,
    TrainingMethod,
    backward,
    gradient_step,
    physical_layers,
    set_rule,
)
from pnnlab.methods._physical import PhysicalGradient
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
from pnnlab.methods.agnostic_equilibrium_propagation import (
    AgnosticEquilibriumPropagation,
    AgnosticEquilibriumPropagationOptions,
)
from pnnlab.methods.analog_sgd import AnalogSgd
from pnnlab.methods.augmented_dfa import AugmentedDFA
from pnnlab.methods.bayesian import Bayesian, BayesianOptions
from pnnlab.methods.cma_es import CmaEs, CmaEsOptions
from pnnlab.methods.contrastive_hebbian import ContrastiveHebbian, ContrastiveHebbianOptions
from pnnlab.methods.contrastive_local_learning import ContrastiveLocalLearning, ContrastiveLocalLearningOptions
from pnnlab.methods.coupled_learning import CoupledLearning, CoupledLearningOptions
from pnnlab.methods.direct_feedback_alignment import DirectFeedbackAlignment
from pnnlab.methods.direct_random_target_projection import DirectRandomTargetProjection
from pnnlab.methods.dual_adaptive import DualAdaptive
from pnnlab.methods.equilibrium_propagation import EquilibriumPropagation, EquilibriumPropagationOptions
from pnnlab.methods.feedback_alignment import FeedbackAlignment
from pnnlab.methods.finite_differences import FiniteDifferences, FiniteDifferencesOptions
from pnnlab.methods.forward_forward import ForwardForward
from pnnlab.methods.forward_gradient import ForwardGradient, ForwardGradientOptions
from pnnlab.methods.frequency_propagation import FrequencyPropagation, FrequencyPropagationOptions
from pnnlab.methods.fully_forward import FullyForward, FullyForwardOptions, mirror_asymmetry
from pnnlab.methods.genetic import Genetic, GeneticOptions
from pnnlab.methods.greedy_boolean import GreedyBoolean, GreedyBooleanOptions
from pnnlab.methods.hamiltonian_echo import HamiltonianEcho, HamiltonianEchoOptions
from pnnlab.methods.hybrid import Hybrid
from pnnlab.methods.in_memory_backpropagation import InMemoryBackpropagation
from pnnlab.methods.in_silico import InSilico
from pnnlab.methods.in_situ import InSitu, InSituOptions
from pnnlab.methods.in_situ_diffractive import InSituDiffractive
from pnnlab.methods.l2ight import L2ight, L2ightOptions
from pnnlab.methods.layer_wise import LayerWise
from pnnlab.methods.madem import Madem, MademOptions
from pnnlab.methods.measured_activations import MeasuredActivations
from pnnlab.methods.mixed_precision import MixedPrecision
from pnnlab.methods.multi_mechanism import MultiMechanism, MultiMechanismOptions
from pnnlab.methods.multiplexed import Multiplexed, MultiplexedOptions
from pnnlab.methods.nes import Nes, NesOptions
from pnnlab.methods.node_perturbation import NodePerturbation, NodePerturbationOptions
from pnnlab.methods.noise_injection import NoiseInjection
from pnnlab.methods.online_physics_aware import OnlinePhysicsAware
from pnnlab.methods.parameter_shift import ParameterShift, ParameterShiftOptions
from pnnlab.methods.particle_swarm import ParticleSwarm, ParticleSwarmOptions
from pnnlab.methods.pepg import Pepg, PepgOptions
from pnnlab.methods.pepita import Pepita
from pnnlab.methods.photon_counting import PhotonCounting
from pnnlab.methods.phyll import PhyLL
from pnnlab.methods.physical_media import PhysicalMedia, PhysicalMediaOptions
from pnnlab.methods.physics_aware import PhysicsAware
from pnnlab.methods.policy_gradient import PolicyGradient, PolicyGradientOptions
from pnnlab.methods.predictive_coding import PredictiveCoding
from pnnlab.methods.quantisation_aware import QuantisationAware
from pnnlab.methods.random_direction import RandomDirection, RandomDirectionOptions
from pnnlab.methods.recurrent_hamiltonian_echo import RecurrentHamiltonianEcho, RecurrentHamiltonianEchoOptions
from pnnlab.methods.reservoir import Reservoir, ReservoirOptions
from pnnlab.methods.robust_in_silico import RobustInSilico
from pnnlab.methods.saturable_absorption import SaturableAbsorption
from pnnlab.methods.scattering_backpropagation import ScatteringBackpropagation, ScatteringBackpropagationOptions
from pnnlab.methods.scattering_gradient import ScatteringGradient, ScatteringGradientOptions
from pnnlab.methods.sharpness_aware import SharpnessAware
from pnnlab.methods.sign_symmetric import SignSymmetric
from pnnlab.methods.simulated_annealing import SimulatedAnnealing, SimulatedAnnealingOptions
from pnnlab.methods.spsa import Spsa, SpsaOptions
from pnnlab.methods.state_separation import StateSeparation
from pnnlab.methods.target_propagation import TargetPropagation
from pnnlab.methods.tiki_taka import TikiTaka, TikiTakaOptions
from pnnlab.methods.weight_perturbation import WeightPerturbation, WeightPerturbationOptions
from pnnlab.methods.write_verify import WriteVerify, WriteVerifyOptions

__all__ = [
    "GROUP",
    "AgnosticEquilibriumPropagation",
    "AgnosticEquilibriumPropagationOptions",
    "AnalogSgd",
    "AugmentedDFA",
    "Bayesian",
    "BayesianOptions",
    "CmaEs",
    "CmaEsOptions",
    "ContrastiveHebbian",
    "ContrastiveHebbianOptions",
    "ContrastiveLocalLearning",
    "ContrastiveLocalLearningOptions",
    "CoupledLearning",
    "CoupledLearningOptions",
    "Descent",
    "DirectFeedbackAlignment",
    "DirectRandomTargetProjection",
    "DualAdaptive",
    "EquilibriumPropagation",
    "EquilibriumPropagationOptions",
    "FeedbackAlignment",
    "FiniteDifferences",
    "FiniteDifferencesOptions",
    "ForwardForward",
    "ForwardGradient",
    "ForwardGradientOptions",
    "FrequencyPropagation",
    "FrequencyPropagationOptions",
    "FullyForward",
    "FullyForwardOptions",
    "Genetic",
    "GeneticOptions",
    "GreedyBoolean",
    "GreedyBooleanOptions",
    "HamiltonianEcho",
    "HamiltonianEchoOptions",
    "Hybrid",
    "InMemoryBackpropagation",
    "InSilico",
    "InSitu",
    "InSituDiffractive",
    "InSituOptions",
    "L2ight",
    "L2ightOptions",
    "LayerWise",
    "LossFunction",
    "Madem",
    "MademOptions",
    "MeasuredActivations",
    "MethodOptions",
    "MixedPrecision",
    "MultiMechanism",
    "MultiMechanismOptions",
    "Multiplexed",
    "MultiplexedOptions",
    "Nes",
    "NesOptions",
    "NodePerturbation",
    "NodePerturbationOptions",
    "NoiseInjection",
    "OnlinePhysicsAware",
    "ParameterShift",
    "ParameterShiftOptions",
    "ParticleSwarm",
    "ParticleSwarmOptions",
    "Pepg",
    "PepgOptions",
    "Pepita",
    "PhotonCounting",
    "PhyLL",
    "PhysicalGradient",
    "PhysicalMedia",
    "PhysicalMediaOptions",
    "PhysicsAware",
    "PolicyGradient",
    "PolicyGradientOptions",
    "PredictiveCoding",
    "QuantisationAware",
    "RandomDirection",
    "RandomDirectionOptions",
    "RecurrentHamiltonianEcho",
    "RecurrentHamiltonianEchoOptions",
    "Reservoir",
    "ReservoirOptions",
    "RobustInSilico",
    "SaturableAbsorption",
    "ScatteringBackpropagation",
    "ScatteringBackpropagationOptions",
    "ScatteringGradient",
    "ScatteringGradientOptions",
    "Setting",
    "SharpnessAware",
    "SignSymmetric",
    "SimulatedAnnealing",
    "SimulatedAnnealingOptions",
    "Spsa",
    "SpsaOptions",
    "StateSeparation",
    "TargetPropagation",
    "TikiTaka",
    "TikiTakaOptions",
    "TrainingMethod",
    "WeightPerturbation",
    "WeightPerturbationOptions",
    "WriteVerify",
    "WriteVerifyOptions",
    "backward",
    "check_capabilities",
    "echo_residual",
    "find_method",
    "gradient_step",
    "known_methods",
    "lacking",
    "make_method",
    "mirror_asymmetry",
    "physical_layers",
    "runnable",
    "set_rule",
]
