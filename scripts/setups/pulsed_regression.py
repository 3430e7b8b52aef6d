"""Linear regression by a crossbar that pulses train, on cells of chosen asymmetry."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pnnlab.devices import SimulatedClock
from pnnlab.methods import Setting, TrainingMethod, make_method
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import CrossbarSystem, DeviceThread, Facilities
from pnnlab_drivers.sim.crossbar import SimCrossbar
from pnnlab_drivers.sim.crossbar_chip import CrossbarChip, CrossbarChipOptions

__all__ = ["OPTIONS", "PulsedRegression", "wired_array"]

_N_IN, _N_OUT = 10, 20
_INPUT_SCALE = 0.25
"""Inputs are normal with this deviation, so that the converters cut one in 16 000."""
_LABEL_NOISE = 0.1
_READ_V, _FULL_A = 0.2, 10e-6
OPTIONS: Final[Mapping[int, Mapping[str, Any]]] = {
    1: {"version": 1, "scaled": False, "transfer_every": 2, "learning_rate": 0.32, "transfer_rate": 0.1},
    2: {"version": 2, "scaled": False, "transfer_every": 2, "learning_rate": 1.6, "transfer_rate": 0.05},
    3: {"version": 3, "scaled": False, "transfer_every": 2, "learning_rate": 1.6, "transfer_rate": 0.05, "chop": 0.02},
    4: {"version": 4, "scaled": False, "transfer_every": 2, "learning_rate": 1.6, "transfer_rate": 0.05},
}
"""Tiki-Taka here, by version: rates at which the slow array follows the fast one without swinging.

Label noise keeps gradients large, so they are taken as they are."""


class _CallersThread(DeviceThread):
    """Nothing is handed over: with one sample a step, that would take longer than everything else."""

    @property
    def is_current(self) -> bool:
        """See `DeviceThread.is_current`."""
        return True


def wired_array(
    name: str, shape: tuple[int, int], pulses: Mapping[str, Any], *, clock: SimulatedClock, seed: int,
    read_noise: float = 0.0, pair: str = "reference",
) -> CrossbarSystem:  # fmt: skip
    """Return a crossbar of `shape` weights from -1 to 1 on cells of 0 uS to 100 uS, without quantisation.

    Args:
        name: Of the system.
        shape: Inputs and outputs.
        pulses: How its cells answer pulses, as in a bench file.
        clock: Its time.
        seed: Of the specimen.
        read_noise: Standard deviation of an output that is read, in weights at input 1.
        pair: As in a bench file.
    """
    gain = (1.0 if pair == "differential" else 0.5) * 100e-6 * _READ_V / _FULL_A
    chip = CrossbarChipOptions.model_validate({"shape": (shape[0], 2 * shape[1]), "pulses": pulses})
    plant = CrossbarChip(f"{name}-cells", chip, clock=clock, seed=seed)
    # both columns of a pair are noisy
    noise_a = read_noise * gain * _FULL_A / math.sqrt(2)
    options = SimCrossbar.Options.model_validate({"quantised": False, "noise_rms_a": noise_a})
    device = SimCrossbar(f"{name}-chip", options, clock=clock, plant=plant).open()
    config = CrossbarSystem.Config.model_validate({
        "array": device.name, "read_voltage_v": _READ_V, "full_scale_a": _FULL_A, "low_siemens": 0.0,
        "high_siemens": 100e-6, "pair": pair,
    })  # fmt: skip
    return CrossbarSystem(name, config, {"array": device}, Facilities(clock, _CallersThread("caller")))


@dataclass(frozen=True)
class PulsedRegression:
    """10 inputs, 20 outputs, targets even in ±0.4, normal inputs, label noise 0.1, one sample a step.

    Cells of soft bounds ±1 (spread 30 %), steps of 0.01 at the middle, noise of 30 % from pulse to pulse. The asymmetry
    of a cell is normal: its up step is larger by it and its down step smaller, its deviation is what is chosen.

    Attributes:
        asymmetry: Standard deviation of the relative asymmetry.
        seed: Of specimens, targets and samples.
        read_noise: Of what is read of any array, in weights.
    """

    asymmetry: float
    seed: int = 0
    read_noise: float = 0.02

    @property
    def pulses(self) -> dict[str, Any]:
        """Return the response of the cells, as in a bench file."""
        return {
            "response": "reram-gong-2018-soft-bounds", "step": 0.01, "low": -1.0, "high": 1.0, "step_spread": 0.0,
            "asymmetry_spread": self.asymmetry, "low_spread": 0.3, "high_spread": 0.3, "cycle_std": 0.3,
        }  # fmt: skip

    def error(
        self, method: str, *, steps: int = 6000, learning_rate: float = 0.02, options: Mapping[str, Any] | None = None
    ) -> float:
        """Train, and return |W - W*|/|W*| of the array's weights as they are read, mean of ten late readings.

        Args:
            method: Name of a method that trains a crossbar in place.
            steps: Of one sample each.
            learning_rate: In weights, for inputs of variance 1.
            options: More options of the method.
        """
        torch.manual_seed(self.seed)
        clock = SimulatedClock()
        slow, fast = (
            wired_array(
                name, (_N_IN, _N_OUT), self.pulses, clock=clock, seed=2 * self.seed + k, read_noise=self.read_noise
            )
            for k, name in enumerate(("layer", "layer-fast"))
        )  # fmt: skip
        chosen = {"learning_rate": learning_rate / _INPUT_SCALE**2, **(options or {})}
        layer = PhysicalLayer(slow, controls=torch.full((slow.n_controls,), 0.5))
        trained = make_method(method, chosen)
        systems = {system.name: system for system in (slow, fast)}
        trained.prepare(layer, Setting(_N_IN, _N_OUT, steps, 1.0, falls=False, seed=self.seed, systems=systems))
        return self._train(trained, layer, slow, steps)

    def _train(self, method: TrainingMethod, layer: PhysicalLayer, array: CrossbarSystem, steps: int) -> float:
        generator = torch.Generator().manual_seed(self.seed)
        target = 0.8 * torch.rand(_N_IN, _N_OUT, generator=generator) - 0.4
        optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)

        def loss(y: Tensor, wanted: Tensor) -> Tensor:
            return 0.5 * (y / array.gain - wanted).square().sum()

        errors = []
        for k in range(steps):
            x = (_INPUT_SCALE * torch.randn(1, _N_IN, generator=generator)).clamp(-1, 1)
            labels = x @ target + _INPUT_SCALE * _LABEL_NOISE * torch.randn(1, _N_OUT, generator=generator)
            method.step(layer, x, labels, loss, optimiser)
            if k >= steps - 10 * max(steps // 60, 1) and k % max(steps // 60, 1) == 0:
                read = torch.from_numpy(np.asarray(array.read_weights()))
                errors.append(float((read - target).norm() / target.norm()))
        return float(np.mean(errors))
