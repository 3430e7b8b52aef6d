"""Media with nonlinear nodes between converters, in double precision and without noise unless asked for."""

from collections.abc import Mapping
from typing import Any

from pnnlab.devices import SimulatedClock
from pnnlab.systems import Facilities, WaveMedium
from pnnlab_drivers.sim.wave_medium import WaveMediumBoard
from scripts.setups._converters import between

__all__ = ["cavity", "delay_line", "wave_medium"]


def wave_medium(
    plant: Mapping[str, Any], system: Mapping[str, Any], *, seed: int = 0, converters: Mapping[str, Any] | None = None
) -> WaveMedium:
    """Return a medium with nodes.

    Args:
        plant: Options of the plant.
        system: Keys of the system besides the common ones; those that both share are taken from the plant.
        seed: Of the specimen.
        converters: Options of DAC and ADC.
    """
    clock = SimulatedClock()
    options = WaveMediumBoard.Options.model_validate({"precision": "float64", **plant})
    board = WaveMediumBoard("board", options, clock=clock, seed=seed)
    shared = {key: plant[key] for key in ("function", "bias", "amplitude", "samples") if key in plant}
    config = WaveMedium.Config.model_validate({
        "kind": "wave-medium", "dac": "dac", "adc": "adc", "rate_hz": 10e3, "precision": "float64",
        "nodes": board.n_nodes, **shared, **system,
    })  # fmt: skip
    return WaveMedium("medium", config, between(board, clock, converters), Facilities(clock))


def cavity(**plant: Any) -> WaveMedium:
    """Return three nodes in a damped cavity with uneven damping, shown four steps of two inputs."""
    options = {"samples": 32, "roughness": 0.5, "gain": 0.5, **plant}
    return wave_medium(
        options, {"steps": 4, "features": 2, "step_samples": 6, "read_from": 16, "windows": 2, "bias_reach": 0.5}
    )


def delay_line(**plant: Any) -> WaveMedium:
    """Return one node with a delayed, slowed feedback, shown four steps of two inputs."""
    options = {
        "medium": {"kind": "delay-line", "delay": 7, "response": 1.5}, "samples": 40, "function": "sin2", "bias": 0.3,
        "gain": 0.7, **plant,
    }  # fmt: skip
    return wave_medium(options, {"steps": 4, "features": 2, "step_samples": 8, "read_from": 20, "windows": 5})
