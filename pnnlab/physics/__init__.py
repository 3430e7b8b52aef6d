"""Differentiable, batched models of the substrates: one file a substrate, SI units."""

from pnnlab.physics._circuit import OscillatorNetwork
from pnnlab.physics._conductances import ConductanceLaw, Ohmic, Transistor
from pnnlab.physics._crossbar import Crossbar, DifferentialPair, multiply
from pnnlab.physics._detection import area_sum, bin_mean, click_probability, expected_counts, intensity
from pnnlab.physics._diffractive import DiffractiveStack, StackFields
from pnnlab.physics._diodes import Diodes
from pnnlab.physics._echo_lattice import Echoed, EchoLattice, grid_coupling
from pnnlab.physics._hopfield import HopfieldNetwork
from pnnlab.physics._ising import IsingMachine
from pnnlab.physics._layered_graph import Acting, Joining, LayeredGraph, Softness
from pnnlab.physics._medium import PhaseScreens, TransmissionMatrix
from pnnlab.physics._memristor import (
    FlickerNoise,
    Memristor,
    PowerLawDrift,
    ProgrammedCells,
    Relaxation,
    conductance_at,
    program,
    read_noise_std,
)
from pnnlab.physics._mesh import Arrangement, InterferometerMesh
from pnnlab.physics._mesh_circuit import MeshCircuit, Taps
from pnnlab.physics._mesh_fields import MeshFields, mesh_fields
from pnnlab.physics._modes import CoupledModes
from pnnlab.physics._modes_design import ModePairs, ModesDesign, TunedModes
from pnnlab.physics._modulation import PhaseModulator
from pnnlab.physics._pendulum import PendulumNetwork
from pnnlab.physics._phase_oscillators import PhaseOscillators
from pnnlab.physics._presets import MEMRISTOR_PRESETS, memristor_preset
from pnnlab.physics._propagation import AngularSpectrum
from pnnlab.physics._pulse_response import (
    PULSE_PRESETS,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PulsedCells,
    PulseResponse,
    SoftBounds,
    draw_cells,
    pulse_preset,
    symmetry_point,
)
from pnnlab.physics._pulsed import (
    Pulses,
    apply_pulses,
    apply_steps,
    balanced_pulses,
    coincidences,
    even_pulses,
    fixed_pulses,
    pulsed_update,
)
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._relaxation import Settling, relax
from pnnlab.physics._resistors import ResistorNetwork
from pnnlab.physics._saturable import AbsorbingMatrix, SaturableAbsorber
from pnnlab.physics._spiking import LeakyIntegrateFire
from pnnlab.physics._spin_network import SpinNetwork
from pnnlab.physics._spin_states import MOST_SPINS, SpinStates
from pnnlab.physics._springs import SpringLoad, SpringNetwork
from pnnlab.physics._svd_mesh import SvdMesh
from pnnlab.physics._wave_medium import (
    AcousticCavity,
    DelayLine,
    FeedbackMedium,
    NodeFunction,
    PortedMedium,
    node_function,
)
from pnnlab.physics._wires import Wires, effective_conductance

__all__ = [
    "MEMRISTOR_PRESETS",
    "MOST_SPINS",
    "PULSE_PRESETS",
    "AbsorbingMatrix",
    "AcousticCavity",
    "Acting",
    "AngularSpectrum",
    "Arrangement",
    "ConductanceLaw",
    "ConstantStep",
    "CoupledModes",
    "Crossbar",
    "DelayLine",
    "DifferentialPair",
    "DiffractiveStack",
    "Diodes",
    "EchoLattice",
    "Echoed",
    "ExponentialStep",
    "FeedbackMedium",
    "FlickerNoise",
    "HopfieldNetwork",
    "InterferometerMesh",
    "IsingMachine",
    "Joining",
    "LayeredGraph",
    "LeakyIntegrateFire",
    "LinearStep",
    "Memristor",
    "MeshCircuit",
    "MeshFields",
    "ModePairs",
    "ModesDesign",
    "NodeFunction",
    "Ohmic",
    "OscillatorNetwork",
    "PendulumNetwork",
    "PhaseModulator",
    "PhaseOscillators",
    "PhaseScreens",
    "PortedMedium",
    "PowerLawDrift",
    "ProgrammedCells",
    "PulseResponse",
    "PulsedCells",
    "Pulses",
    "Relaxation",
    "ResistorNetwork",
    "SaturableAbsorber",
    "Settling",
    "SoftBounds",
    "Softness",
    "SpinNetwork",
    "SpinStates",
    "SpringLoad",
    "SpringNetwork",
    "StackFields",
    "SvdMesh",
    "Taps",
    "Transistor",
    "TransmissionMatrix",
    "TunedModes",
    "Wires",
    "apply_pulses",
    "apply_steps",
    "area_sum",
    "balanced_pulses",
    "bin_mean",
    "click_probability",
    "coincidences",
    "conductance_at",
    "draw_cells",
    "effective_conductance",
    "even_pulses",
    "expected_counts",
    "fixed_pulses",
    "grid_coupling",
    "intensity",
    "memristor_preset",
    "mesh_fields",
    "multiply",
    "node_function",
    "program",
    "pulse_preset",
    "pulsed_update",
    "read_noise_std",
    "register_quantity",
    "relax",
    "symmetry_point",
]
