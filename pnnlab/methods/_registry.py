"""Which training methods there are: pnnlab's own, and those that other installed distributions offer."""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods._method import MethodOptions, TrainingMethod
from pnnlab.methods.agnostic_equilibrium_propagation import AgnosticEquilibriumPropagation
from pnnlab.methods.analog_sgd import AnalogSgd
from pnnlab.methods.augmented_dfa import AugmentedDFA
from pnnlab.methods.bayesian import Bayesian
from pnnlab.methods.cma_es import CmaEs
from pnnlab.methods.contrastive_hebbian import ContrastiveHebbian
from pnnlab.methods.contrastive_local_learning import ContrastiveLocalLearning
from pnnlab.methods.coupled_learning import CoupledLearning
from pnnlab.methods.direct_feedback_alignment import DirectFeedbackAlignment
from pnnlab.methods.direct_random_target_projection import DirectRandomTargetProjection
from pnnlab.methods.dual_adaptive import DualAdaptive
from pnnlab.methods.equilibrium_propagation import EquilibriumPropagation
from pnnlab.methods.feedback_alignment import FeedbackAlignment
from pnnlab.methods.finite_differences import FiniteDifferences
from pnnlab.methods.forward_forward import ForwardForward
from pnnlab.methods.forward_gradient import ForwardGradient
from pnnlab.methods.frequency_propagation import FrequencyPropagation
from pnnlab.methods.fully_forward import FullyForward
from pnnlab.methods.genetic import Genetic
from pnnlab.methods.greedy_boolean import GreedyBoolean
from pnnlab.methods.hamiltonian_echo import HamiltonianEcho
from pnnlab.methods.hybrid import Hybrid
from pnnlab.methods.in_memory_backpropagation import InMemoryBackpropagation
from pnnlab.methods.in_silico import InSilico
from pnnlab.methods.in_situ import InSitu
from pnnlab.methods.in_situ_diffractive import InSituDiffractive
from pnnlab.methods.l2ight import L2ight
from pnnlab.methods.layer_wise import LayerWise
from pnnlab.methods.madem import Madem
from pnnlab.methods.measured_activations import MeasuredActivations
from pnnlab.methods.mixed_precision import MixedPrecision
from pnnlab.methods.multi_mechanism import MultiMechanism
from pnnlab.methods.multiplexed import Multiplexed
from pnnlab.methods.nes import Nes
from pnnlab.methods.node_perturbation import NodePerturbation
from pnnlab.methods.noise_injection import NoiseInjection
from pnnlab.methods.online_physics_aware import OnlinePhysicsAware
from pnnlab.methods.parameter_shift import ParameterShift
from pnnlab.methods.particle_swarm import ParticleSwarm
from pnnlab.methods.pepg import Pepg
from pnnlab.methods.pepita import Pepita
from pnnlab.methods.photon_counting import PhotonCounting
from pnnlab.methods.phyll import PhyLL
from pnnlab.methods.physical_media import PhysicalMedia
from pnnlab.methods.physics_aware import PhysicsAware
from pnnlab.methods.policy_gradient import PolicyGradient
from pnnlab.methods.predictive_coding import PredictiveCoding
from pnnlab.methods.quantisation_aware import QuantisationAware
from pnnlab.methods.random_direction import RandomDirection
from pnnlab.methods.recurrent_hamiltonian_echo import RecurrentHamiltonianEcho
from pnnlab.methods.reservoir import Reservoir
from pnnlab.methods.robust_in_silico import RobustInSilico
from pnnlab.methods.saturable_absorption import SaturableAbsorption
from pnnlab.methods.scattering_backpropagation import ScatteringBackpropagation
from pnnlab.methods.scattering_gradient import ScatteringGradient
from pnnlab.methods.sharpness_aware import SharpnessAware
from pnnlab.methods.sign_symmetric import SignSymmetric
from pnnlab.methods.simulated_annealing import SimulatedAnnealing
from pnnlab.methods.spsa import Spsa
from pnnlab.methods.state_separation import StateSeparation
from pnnlab.methods.target_propagation import TargetPropagation
from pnnlab.methods.tiki_taka import TikiTaka
from pnnlab.methods.weight_perturbation import WeightPerturbation
from pnnlab.methods.write_verify import WriteVerify
from pnnlab.quantities import FROM_FILE
from pnnlab.systems import System

__all__ = ["GROUP", "check_capabilities", "find_method", "known_methods", "lacking", "make_method", "runnable"]

GROUP: Final = "pnnlab.methods"
"""Entry-point group in which a distribution offers a method of its own, as `name = "module:Class"`."""

_OWN: Final[tuple[type[TrainingMethod], ...]] = (
    AgnosticEquilibriumPropagation,
    AnalogSgd,
    AugmentedDFA,
    Bayesian,
    CmaEs,
    ContrastiveHebbian,
    ContrastiveLocalLearning,
    CoupledLearning,
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    DualAdaptive,
    EquilibriumPropagation,
    FeedbackAlignment,
    FiniteDifferences,
    ForwardForward,
    ForwardGradient,
    FrequencyPropagation,
    FullyForward,
    Genetic,
    GreedyBoolean,
    HamiltonianEcho,
    Hybrid,
    InMemoryBackpropagation,
    InSilico,
    InSitu,
    InSituDiffractive,
    L2ight,
    LayerWise,
    Madem,
    MeasuredActivations,
    MixedPrecision,
    MultiMechanism,
    Multiplexed,
    Nes,
    NodePerturbation,
    NoiseInjection,
    OnlinePhysicsAware,
    ParameterShift,
    ParticleSwarm,
    Pepg,
    Pepita,
    PhotonCounting,
    PhyLL,
    PhysicalMedia,
    PhysicsAware,
    PolicyGradient,
    PredictiveCoding,
    QuantisationAware,
    RandomDirection,
    RecurrentHamiltonianEcho,
    Reservoir,
    RobustInSilico,
    ScatteringBackpropagation,
    ScatteringGradient,
    SaturableAbsorption,
    SharpnessAware,
    SignSymmetric,
    SimulatedAnnealing,
    Spsa,
    StateSeparation,
    TargetPropagation,
    TikiTaka,
    WeightPerturbation,
    WriteVerify,
)


@cache
def known_methods() -> Mapping[str, type[TrainingMethod] | EntryPoint]:
    """Return every method by its name, sorted; those of other distributions are not imported yet.

    Raises:
        RunError: Two claim one name.
    """
    known: dict[str, type[TrainingMethod] | EntryPoint] = {method.name: method for method in _OWN}
    for entry in sorted(set(entry_points(group=GROUP)), key=lambda entry: (entry.name, entry.value)):
        if entry.name in known:
            first = known[entry.name]
            other = first.value if isinstance(first, EntryPoint) else f"{first.__module__}:{first.__name__}"
            raise RunError(
                f"the training method {entry.name!r} is claimed by {entry.value} and {other}; uninstall one of them"
            )
        known[entry.name] = entry
    return MappingProxyType(dict(sorted(known.items())))


def find_method(name: str) -> type[TrainingMethod]:
    """Return a method's class.

    Raises:
        RunError: There is none of that name, or it does not import, or it is none.
    """
    known = known_methods()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        allowed = f"did you mean {near[0]!r}?" if near else f"methods are {', '.join(known)}"
        raise RunError(f"method {name!r} is not known; {allowed}")
    found = known[name]
    if not isinstance(found, EntryPoint):
        return found
    try:
        loaded = found.load()
    except Exception as error:  # importing runs code of other distributions, which may raise anything
        raise RunError(f"method {name!r} ({found.value}) does not import: {type(error).__name__}: {error}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, TrainingMethod)):
        raise RunError(f"method {name!r} ({found.value}) is no subclass of pnnlab.methods.TrainingMethod")
    if getattr(loaded, "name", None) != name:
        raise RunError(
            f"method {name!r} ({found.value}) calls itself {getattr(loaded, 'name', None)!r}; make them equal"
        )
    return loaded


def make_method(name: str, options: Mapping[str, object] | None = None) -> TrainingMethod:
    """Return a method with its options.

    Args:
        name: The method's name.
        options: As they stand in a recipe; the defaults where left out.

    Raises:
        RunError: There is no such method, or the options do not fit it.
    """
    method = find_method(name)
    try:
        checked: MethodOptions = method.Options.model_validate(dict(options or {}), context=FROM_FILE)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors())
        raise RunError(
            f"method {name!r} cannot be used with these options: {wrong}; "
            f"options are {', '.join(method.Options.model_fields) or 'none'}"
        ) from error
    return method(checked)


def lacking(method: type[TrainingMethod], systems: Iterable[System]) -> list[str]:
    """Return in words what each system lacks that a method needs; empty where it can run."""
    return [
        f"system {system.name!r} ({system.config.kind}) lacks {', '.join(sorted(method.needs - system.capabilities))}"
        for system in systems
        if method.needs - system.capabilities
    ]


def runnable(systems: Iterable[System]) -> list[str]:
    """Return the names of the methods for which all systems have what is needed."""
    systems = list(systems)
    return [name for name in known_methods() if not lacking(find_method(name), systems)]


def check_capabilities(method: type[TrainingMethod], systems: Iterable[System]) -> None:
    """Refuse a method that the systems' physics cannot serve.

    Raises:
        CapabilityError: It tells what is lacking, and which methods would run.
    """
    systems = list(systems)
    wrong = lacking(method, systems)
    if wrong:
        raise CapabilityError(
            f"method {method.name!r} cannot run here: {'; '.join(wrong)}; methods that can are "
            f"{', '.join(runnable(systems))}"
        )
