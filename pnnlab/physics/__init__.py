"""Differentiable, batched models of the substrates: one file a substrate, SI units."""

from pnnlab.physics._circuit import OscillatorNetwork
from pnnlab.physics._crossbar import Crossbar, DifferentialPair, multiply
from pnnlab.physics._detection import area_sum, bin_mean, expected_counts, intensity
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
from pnnlab.physics._modulation import PhaseModulator
from pnnlab.physics._presets import MEMRISTOR_PRESETS, memristor_preset
from pnnlab.physics._propagation import AngularSpectrum
from pnnlab.physics._quantity import register_quantity
from pnnlab.physics._wires import Wires, effective_conductance

__all__ = [
    "MEMRISTOR_PRESETS",
    "AngularSpectrum",
    "Crossbar",
    "DifferentialPair",
    "FlickerNoise",
    "Memristor",
    "OscillatorNetwork",
    "PhaseModulator",
    "PhaseScreens",
    "PowerLawDrift",
    "ProgrammedCells",
    "Relaxation",
    "TransmissionMatrix",
    "Wires",
    "area_sum",
    "bin_mean",
    "conductance_at",
    "effective_conductance",
    "expected_counts",
    "intensity",
    "memristor_preset",
    "multiply",
    "program",
    "read_noise_std",
    "register_quantity",
]
