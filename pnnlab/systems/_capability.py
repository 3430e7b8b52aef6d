"""What a system's physics allows besides the forward pass."""

from enum import StrEnum

__all__ = ["Capability"]


class Capability(StrEnum):
    """One thing that a system can do besides turning inputs into readings; training methods name those that they need.

    A system declares what its wiring gives access to. How well the physics obeys (a reciprocity error, losses) is
    measured, not declared.
    """

    FIELD_OUTPUT = "field_output"
    """Reads amplitude and phase of the field at its outputs."""
    INTERNAL_INTENSITY = "internal_intensity"
    """Reads the intensity inside, next to each parameter."""
    BIDIRECTIONAL = "bidirectional"
    """Can be driven at its outputs and read at its inputs, or inside."""
    RECIPROCAL = "reciprocal"
    """Its transfer backwards is the transpose of that forwards."""
    MIRROR_SYMMETRIC = "mirror_symmetric"
    """A mirror symmetry makes forward injection equal to backward injection."""
    NUDGE = "nudge"
    """A weak error signal can be added at the outputs while the input stays on."""
    CLAMP = "clamp"
    """Outputs can be held at a value."""
    RELAXES = "relaxes"
    """Settles into a minimum of an energy, or another steady state of symmetric coupling."""
    TIME_REVERSAL = "time_reversal"
    """All its dynamical variables can be reversed in time (phase conjugation)."""
    LOSSLESS = "lossless"
    """Loses next to nothing during a run."""
    LOCAL_STATE = "local_state"
    """What each parameter meets locally can be read: a voltage drop, a pair of spins, a field."""
    PHASE_CONTROLS = "phase_controls"
    """Each control shifts the phase of light at one place that it passes."""
    SOFT_CONTROLS = "soft_controls"
    """Its controls are physical and give way: each is drawn to its knob by a spring, and where it rests is read."""
    SECOND_CARRIER = "second_carrier"
    """A second quantity spreads through the same elements, and is read next to each parameter beside the first."""
    LEARNS = "learns"
    """Has two copies, one free and one pushed, whose difference changes the parameters without a computer."""
    OUTER_PRODUCT_UPDATE = "outer_product_update"
    """Changes all its parameters at once by an outer product of pulses."""
    SINGLE_PULSES = "single_pulses"
    """Moves each parameter by pulses of its own, and reads what became of it."""
    TRANSPOSED_READ = "transposed_read"
    """Multiplies with a matrix of weights, and with its transpose from the other side, each weight being a control."""
    SCATTERING = "scattering"
    """Its scattering matrix can be measured at chosen ports."""
    INTERNAL_STATE = "internal_state"
    """States between the input and the output of one shot can be measured."""
    TIME_RESOLVED = "time_resolved"
    """Waveforms can be injected and recorded at its nodes, which multiply by gains that are played, if told so."""
    SINGLE_PHOTON = "single_photon"
    """Its readings are clicks of detectors that tell light from no light: 1 for a photon or more, else 0."""
    PUMP_PROBE = "pump_probe"
    """Weak light can be sent back beside strong light, and meets what that makes of the medium."""
    FACTORED = "factored"
    """Its matrix is two bases with a diagonal between them that can be set, and fields can be read there."""
