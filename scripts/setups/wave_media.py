"""Media with nonlinear nodes between converters, in double precision and without noise unless asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pnnlab.devices import SimulatedClock
from pnnlab.systems import Facilities, FloatArray, WaveMedium
from pnnlab_drivers.sim.wave_medium import WaveMediumBoard
from scripts.setups._converters import between

__all__ = ["NarmaErrors", "cavity", "delay_line", "narma_error", "wave_medium"]


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


def cavity(*, seed: int = 0, **plant: Any) -> WaveMedium:
    """Return three nodes in a damped cavity with uneven damping, shown four steps of two inputs.

    Args:
        seed: Of the specimen.
        plant: Further options of the plant.
    """
    options = {"samples": 32, "roughness": 0.5, "gain": 0.5, **plant}
    return wave_medium(
        options,
        {"steps": 4, "features": 2, "step_samples": 6, "read_from": 16, "windows": 2, "bias_reach": 0.5},
        seed=seed,
    )


def delay_line(**plant: Any) -> WaveMedium:
    """Return one node with a delayed, slowed feedback, shown four steps of two inputs; with options of the plant."""
    options = {
        "medium": {"kind": "delay-line", "delay": 7, "response": 1.5}, "samples": 40, "function": "sin2", "bias": 0.3,
        "gain": 0.7, **plant,
    }  # fmt: skip
    return wave_medium(options, {"steps": 4, "features": 2, "step_samples": 8, "read_from": 20, "windows": 5})


@dataclass(frozen=True)
class NarmaErrors:
    """Errors of NARMA-10 over the standard deviation of the targets, of samples that were not learned.

    Attributes:
        reservoir: Of a linear read-out of the medium.
        inputs: Of a linear read-out of the last ten inputs.
    """

    reservoir: float
    inputs: float


def narma_error(*, seed: int = 0, series: int = 40, steps: int = 120, nodes: int = 50) -> NarmaErrors:
    """Return how well one delayed node follows NARMA-10 (Atiya & Parlos 2000, IEEE Trans. Neural Netw. 11, 697).

    Inputs are held for one loop each, under a random mask of two values (Appeltant et al. 2011, Nat. Commun. 2, 468;
    with sin²: Paquot et al. 2012, Sci. Rep. 2, 287). Half of the series are learned, the first 20 steps of each are not
    looked at.

    Args:
        seed: Of inputs and mask.
        series: Number of series, each one shot.
        steps: Inputs of a series.
        nodes: Virtual nodes: samples that an input is held.
    """
    generator = np.random.default_rng(seed)
    u = generator.uniform(0, 0.5, (series, steps))
    y = np.zeros((series, steps))
    for k in range(9, steps - 1):
        y[:, k + 1] = 0.3 * y[:, k] + 0.05 * y[:, k] * y[:, k - 9 : k + 1].sum(1) + 1.5 * u[:, k - 9] * u[:, k] + 0.1
    system = wave_medium(
        {
            "medium": {"kind": "delay-line", "delay": nodes + 1, "response": 0.2}, "samples": steps * nodes,
            "function": "sin2", "bias": 0.4, "gain": 0.7,
        },
        {"steps": steps, "features": 1, "step_samples": nodes, "windows": steps * nodes, "input_reach": 0.2},
    )  # fmt: skip
    theta = np.full(system.n_controls, 0.5)
    theta[:nodes] = 0.5 + 0.5 * generator.choice([-1.0, 1.0], nodes)
    states = system.measure(u, theta).y.reshape(series, steps, nodes)
    last_ten = np.stack([np.roll(u, k, 1) for k in range(10)], -1)
    return NarmaErrors(_read_out(states, y), _read_out(last_ten, y))


def _read_out(features: FloatArray, y: FloatArray) -> float:
    """Return the error of y one step after the features, of the second half of the series."""
    x = features[:, 20:-1].reshape(-1, features.shape[-1])
    target = y[:, 21:].reshape(-1)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    half = len(x) // 2
    ridge = 1e-8 * np.eye(x.shape[1]) * half
    weights = np.linalg.solve(x[:half].T @ x[:half] + ridge, x[:half].T @ target[:half])
    return float(np.sqrt(np.mean((x[half:] @ weights - target[half:]) ** 2)) / target[half:].std())
